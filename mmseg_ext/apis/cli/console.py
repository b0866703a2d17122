"""The tools as commands: ``mmseg-ext-train`` runs the installed ``tools/train.py``.

``setup.py`` makes a command of every file in ``tools``. The command loads the attribute of this
module with the name of the file, so a new tool needs no code here.
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from . import errors

# A link to the checkout's folder after ``pip install -e``, a copy in a wheel.
TOOLS = Path(__file__).resolve().parents[2] / '.mim' / 'tools'


def tools() -> dict[str, Path]:
    """Return the file of every tool by name, including those in sub-folders."""
    return {path.stem: path for path in sorted(TOOLS.rglob('*.py'))}


def load_tool(path: Path) -> ModuleType:
    """Import a tool under a unique module name."""
    spec = importlib.util.spec_from_file_location(f'mmseg_ext_tool_{path.stem}', path)
    assert spec is not None and spec.loader is not None  # true for an existing .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its classes may be pickled
    spec.loader.exec_module(module)
    return module


def __getattr__(name: str) -> Callable[[], None]:
    if name.startswith('_'):  # import machinery and inspect ask for these
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    path = tools().get(name)
    if path is None:
        raise AttributeError(f'no tool {name} in {TOOLS}: install mmsegmentation-ext again')
    return lambda: errors.run_tool(lambda: load_tool(path).main())


def __dir__() -> list[str]:
    return sorted({*globals(), *tools()})
