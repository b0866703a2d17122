"""Check an optimiser's settings for single parameters, of which mmengine reads only what it knows.

Source: ``DefaultOptimWrapperConstructor`` of mmengine 0.10. A key of ``custom_keys`` holds for each
parameter whose name contains it; beside the two factors, it takes settings of the optimiser.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Optional

from mmseg.registry import OPTIMIZERS

from ...core.words import did_you_mean, nearest
from .signatures import arguments_of

_READ = (
    *('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'dwconv_decay_mult'),
    *('flat_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'),
)
_FACTORS = ('lr_mult', 'decay_mult')
# Others, such as mmseg's for rates by layer, read settings of their own.
_CONSTRUCTORS = (None, 'DefaultOptimWrapperConstructor', 'SemiOptimWrapperConstructor')
Wrapper = tuple[str, Mapping]  # path in the config, and what stands there


def paramwise_problems(optim_wrapper: Any) -> Iterator[str]:
    """Name the settings of every ``paramwise_cfg`` that nothing reads, with suggestions."""
    for path, wrapper in _wrappers('optim_wrapper', optim_wrapper):
        if wrapper.get('constructor') in _CONSTRUCTORS:
            settings = wrapper['paramwise_cfg']
            here = f'{path}.paramwise_cfg'
            yield from _unread(here, settings, _READ)
            for key, values in _custom_keys(wrapper).items():
                if isinstance(values, Mapping):
                    known = (*_FACTORS, *_settings_of(wrapper.get('optimizer')))
                    yield from _unread(f'{here}.custom_keys.{key}', values, known)
                else:
                    yield f'{here}.custom_keys.{key} must be a dict, got {values!r}'


def unmatched_keys(optim_wrapper: Any, names: Collection[str]) -> Optional[str]:
    """Say which ``custom_keys`` change nothing, as no parameter of the model is called so.

    Args:
        optim_wrapper: Of a config; it may have one of its own for each part of the model.
        names: Names of the model's parameters.
    """
    parts = {part for name in names for part in name.split('.')}
    notes = [
        f'{path}.paramwise_cfg.custom_keys: {key!r} is in the name of no parameter and changes '
        f'nothing; {did_you_mean(nearest(key, sorted(parts))) or "leave it out"}'
        for path, wrapper in _wrappers('optim_wrapper', optim_wrapper)
        for key in _custom_keys(wrapper)
        if not any(key in name for name in names)
    ]
    return '; '.join(notes) or None


def _wrappers(path: str, value: Any) -> Iterator[Wrapper]:
    """Walk through the optimisers that have a ``paramwise_cfg``."""
    if not isinstance(value, Mapping):
        return
    if isinstance(value.get('paramwise_cfg'), Mapping):
        yield path, value
    for name, item in value.items():
        if name not in ('paramwise_cfg', 'optimizer'):
            yield from _wrappers(f'{path}.{name}', item)


def _custom_keys(wrapper: Mapping) -> Mapping:
    return wrapper['paramwise_cfg'].get('custom_keys') or {}


def _settings_of(optimizer: Any) -> Collection[str]:
    kind = optimizer.get('type') if isinstance(optimizer, Mapping) else None
    found = OPTIMIZERS.get(kind) if isinstance(kind, str) else kind
    return arguments_of(found)[0] if found else ()


def _unread(path: str, given: Mapping, known: Collection[str]) -> Iterator[str]:
    for name in given:
        if name not in known:
            hint = did_you_mean(nearest(name, known))
            yield f'{path}.{name}: nothing reads it; {hint or "it has " + ", ".join(known)}'
