"""Public names of a package that are imported at first use.

A tool that predicts need not wait for what draws pages. Names must differ from those of the
package's modules: an import sets these as attributes, and which one wins would depend on its order.
"""

import importlib
from collections.abc import Callable
from typing import Any


def door(
    package: str, **exports: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Args:
        package: Its ``__name__``.
        exports: Module of the package, dotted if it lies deeper, to the names that it exports, with
            blanks between.
    """
    home = {name: module for module, names in exports.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        return getattr(importlib.import_module(f'{package}.{home[name]}'), name)

    return get, lambda: sorted(home), sorted(home)
