"""The tools as commands: ``mmseg-ext-train`` runs ``tools/train.py``, wherever it is installed.

``setup.py`` makes a command of every file in ``tools``, which loads an attribute of this module
that is named as the file is. So a new tool needs no line here.
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from . import errors as cli

# A link to the checkout's folder after ``pip install -e``, a copy in a wheel.
TOOLS = Path(__file__).resolve().parents[2] / '.mim' / 'tools'


def load_tool(name: str) -> ModuleType:
    """Import a tool, under a name of its own.

    Args:
        name: Its file without the suffix; sub-folders are searched, too.

    Raises:
        FileNotFoundError: If the installation has no such tool, or two of that name.
    """
    found = sorted(TOOLS.rglob(f'{name}.py'))
    if len(found) != 1:
        raise FileNotFoundError(
            f'{len(found)} tools {name} in {TOOLS}: install mmsegmentation-ext again'
        )
    spec = importlib.util.spec_from_file_location(f'mmseg_ext_tool_{name}', found[0])
    assert spec is not None and spec.loader is not None  # a file that exists, ending in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its classes may be pickled
    spec.loader.exec_module(module)
    return module


def __getattr__(name: str) -> Callable[[], None]:
    if name.startswith('_'):  # import machinery and inspect probe for these
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return lambda: cli.run_tool(lambda: load_tool(name).main())
