"""Export public names from a package without importing their modules before the first use.

A tool that predicts then need not wait for the import of the code that draws pages. An exported
name must differ from the names of the package's modules: Python sets an imported module as an
attribute of its package, so the meaning of the name would depend on the order of imports.
"""

import importlib
from collections.abc import Callable
from typing import Any


def door(
    package: str, /, *modules: str, **exports: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make ``__getattr__``, ``__dir__`` and ``__all__`` for a package.

    Args:
        package: The package's ``__name__``.
        modules: Modules of the package that are attributes of it before they are imported.
        exports: For each module, relative to the package and with dots if it lies deeper, the names
            that it exports, separated by blanks.
    """
    home = {name: module for module, names in exports.items() for name in names.split()}

    def get(name: str) -> Any:
        if name in modules:
            return importlib.import_module(f'{package}.{name}')
        if name not in home:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        return getattr(importlib.import_module(f'{package}.{home[name]}'), name)

    return get, lambda: sorted(home), sorted(home)
