"""Do what needs mmengine as soon as it is imported, and do not import it for that.

Its import takes seconds, torch's among them, which ``--help`` and a wrong argument need not wait
for. So ``import mmseg_ext`` only leaves word here. The first import of mmengine, mmcv or mmseg, by
whomever, ends with what waits: nobody can look into a registry that lacks our modules.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Optional

WATCHED = ('mmengine', 'mmcv', 'mmseg')
_waiting: list[Callable[[], object]] = []


def once_loaded(call: Callable[[], object]) -> None:
    """Call a function when mmengine, mmcv or mmseg is there: now, or at the end of its import.

    Those that wait are called in the order in which they came. An error of one is an error of the
    import, and the next import calls all of them again.

    Args:
        call: Function without arguments, which may be called again.
    """
    if any(name in sys.modules for name in WATCHED):
        call()
        return
    _waiting.append(call)
    if _WATCH not in sys.meta_path:
        sys.meta_path.insert(0, _WATCH)


class _Watch(MetaPathFinder):
    """Finds what the other finders find, and lets the first import end with what waits."""

    def __init__(self) -> None:
        self.busy = False  # within that import, in which the packages import each other

    def find_spec(
        self, name: str, path: Optional[Sequence[str]] = None, target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        """Find one of the watched packages; ``None`` for all others."""
        if self.busy or name not in WATCHED:
            return None
        found = (finder.find_spec(name, path, target) for finder in _others())
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:  # a folder without code has no loader
            spec.loader = _LoaderThen(spec.loader, self)
        return spec


_WATCH = _Watch()


def _others() -> list[Any]:
    return [finder for finder in sys.meta_path if finder is not _WATCH]


class _LoaderThen(Loader):
    """Runs a package as its own loader does, and then what waits."""

    def __init__(self, loader: Any, watch: _Watch) -> None:
        self._loader, self._watch = loader, watch

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        """Create the module as its own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, whose loader is its own from here on, and call what waits."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._watch.busy = True
        try:
            self._loader.exec_module(module)
            for call in _waiting:
                call()
        finally:
            self._watch.busy = False
        _waiting.clear()
        sys.meta_path.remove(self._watch)
