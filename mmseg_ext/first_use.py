"""What OpenMMLab's packages import at once and few runs use, imported at its first use.

1. mmengine imports torch's FSDP, and with it DTensor and sympy, for three classes. They are in
   their registries and in their packages as before, and imported when they are asked for.
2. mmseg imports parts of scipy for one function in each of four modules, which calls it later.
3. mmengine's visualizer, which every run has, makes a figure of matplotlib when it is built. It
   makes it when something is drawn.

Together they are half of what is imported beside torch. Nothing is changed in a process in which
another has imported these modules before.
"""

import builtins
import functools
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple


class _Class(NamedTuple):
    """A class that waits.

    Args:
        name: Its name, in its registry and elsewhere.
        home: Package whose ``__init__`` imports it.
        module: Module in which it is, relative to the package.
        registry: Registry of mmengine.
        others: Further packages that pass it on.
    """

    name: str
    home: str
    module: str
    registry: str
    others: tuple[str, ...] = ()


_CLASSES = (
    _Class(
        'ZeroRedundancyOptimizer',
        'mmengine.optim.optimizer',
        'zero_optimizer',
        'OPTIMIZERS',
        ('mmengine.optim',),
    ),
    _Class(
        'MMFullyShardedDataParallel',
        'mmengine.model.wrappers',
        'fully_sharded_distributed',
        'MODEL_WRAPPERS',
        ('mmengine.model',),
    ),
    _Class('FSDPStrategy', 'mmengine._strategy', 'fsdp', 'STRATEGIES'),
)
_WITH_SCIPY = (
    'mmseg.datasets.transforms.transforms',
    'mmseg.models.assigners.hungarian_assigner',
    'mmseg.models.backbones.beit',
    'mmseg.models.losses.huasdorff_distance_loss',
)
_FIGURE = ('fig_save_canvas', 'fig_save', 'ax_save', 'dpi')  # what a visualizer draws on
_ABSENT = object()  # stands for a class while its package is imported


class _Later:
    """A function by its dotted path, or what leads to one; imported when it is called."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> '_Later':
        if name.startswith('__'):  # import machinery and inspect probe dunder names
            raise AttributeError(name)
        return _Later(f'{self._path}.{name}')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return pkgutil.resolve_name(self._path)(*args, **kwargs)


class _Modules(dict):
    """What a registry holds, and the names of modules that register something when imported."""

    def __init__(self, known: dict, later: dict[str, str]) -> None:
        super().__init__(known)
        self._later = later

    def _waits(self, key: object) -> bool:
        """Whether a name is to be registered; a module that is imported just now does so itself."""
        return key in self._later and self._later[str(key)] not in sys.modules

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or self._waits(key)

    def __getitem__(self, key: str) -> Any:
        if not super().__contains__(key) and self._waits(key):
            importlib.import_module(self._later[key])
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default

    def __iter__(self) -> Iterator[str]:
        yield from super().__iter__()
        yield from (key for key in self._later if self._waits(key))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def keys(self) -> Any:
        return dict.fromkeys(self).keys()

    def items(self) -> Any:
        return {key: self[key] for key in self}.items()

    # values() has what is imported: mmengine asks in each training whether the model is of one of
    # these classes, and of one that is not imported there is no model.


@contextmanager
def imported_later() -> Iterator[None]:
    """Hold back the imports above, of packages that are imported within."""
    wanted = {(one.home, one.module): one for one in _CLASSES}
    held = []
    plain_import = builtins.__import__

    def import_or_hold(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        importer = str((globals or {}).get('__name__'))
        one = wanted.get((importer, name)) if level == 1 else None
        if one is not None and fromlist and f'{one.home}.{name}' not in sys.modules:
            held.append(one)
            return SimpleNamespace(**{one.name: _ABSENT})
        if importer in _WITH_SCIPY and name.partition('.')[0] == 'scipy':
            return _Later(name if fromlist else 'scipy')
        return plain_import(name, globals, locals, fromlist, level)

    builtins.__import__ = import_or_hold
    try:
        yield
    finally:
        builtins.__import__ = plain_import
        for one in held:
            _offer(one)


def _offer(one: _Class) -> None:
    """Let a class be found by its registry, and as an attribute of its packages."""
    registry = getattr(importlib.import_module('mmengine.registry'), one.registry)
    module = f'{one.home}.{one.module}'
    registry._module_dict = _Modules(registry._module_dict, {one.name: module})
    for package in filter(None, map(sys.modules.get, (one.home, *one.others))):
        if package.__dict__.get(one.name) is _ABSENT:
            delattr(package, one.name)
            package.__getattr__ = _getter(package.__name__, one.name, module)  # type: ignore


def _getter(package: str, name: str, module: str) -> Any:
    def get(asked: str) -> Any:
        if asked != name:
            raise AttributeError(f'module {package!r} has no attribute {asked!r}')
        return getattr(importlib.import_module(module), name)

    return get


class _NoFigure:
    """Stands for a figure while a visualizer is built."""

    def get_dpi(self) -> None:
        return None


def make_figures_later() -> None:
    """Let a visualizer make its figure when one of its parts is asked for."""
    from mmengine.visualization import Visualizer

    build = Visualizer.__init__
    if hasattr(build, '__wrapped__') or hasattr(Visualizer, '__getattr__'):
        return

    @functools.wraps(build)
    def build_without(self: Any, name: str = 'visualizer', *args: Any, **kwargs: Any) -> None:
        if (args[0] if args else kwargs.get('image')) is not None:  # is drawn at once
            build(self, name, *args, **kwargs)
            return
        self._initialize_fig = lambda settings: (_NoFigure(),) * 3
        build(self, name, *args, **kwargs)
        for part in ('_initialize_fig', *_FIGURE):
            delattr(self, part)

    def make(self: Any, name: str) -> Any:
        if name not in _FIGURE or 'fig_save_cfg' not in self.__dict__:
            raise AttributeError(f'{type(self).__name__!r} object has no attribute {name!r}')
        parts = self._initialize_fig(self.fig_save_cfg)
        self.__dict__.update(zip(_FIGURE, (*parts, parts[1].get_dpi())))
        return self.__dict__[name]

    Visualizer.__init__, Visualizer.__getattr__ = build_without, make
