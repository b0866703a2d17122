"""Find configuration keys that do not exist, before anything is written or built.

mmengine passes a dict to its registered module as keyword arguments. A misspelt key raises a
``TypeError`` deep inside; it has no effect at all if the constructor takes ``**kwargs`` or the key
is at top level. Here every dict with a ``type`` is compared with the signature of the constructor.
``**kwargs`` are followed to the parent classes as long as they are only passed on. A key that
cannot be decided is accepted, unless it closely resembles an argument.
"""

import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any, Optional

from mmengine import registry as roots
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import Registry
from mmengine.runner import LogProcessor, Runner
from mmseg import registry
from torch.utils.data import DataLoader

from ...core.words import did_you_mean, nearest
from .paramwise import paramwise_problems
from .signatures import arguments_of

# Registry for each top-level key; the first match counts.
_REGISTRIES = {
    'model': registry.MODELS,
    'tta_model': registry.MODELS,
    'train_dataloader': registry.DATASETS,
    'val_dataloader': registry.DATASETS,
    'test_dataloader': registry.DATASETS,
    'val_evaluator': registry.METRICS,
    'test_evaluator': registry.METRICS,
    'optim_wrapper': registry.OPTIM_WRAPPERS,
    'param_scheduler': registry.PARAM_SCHEDULERS,
    'train_cfg': registry.LOOPS,
    'val_cfg': registry.LOOPS,
    'test_cfg': registry.LOOPS,
    'default_hooks': registry.HOOKS,
    'custom_hooks': registry.HOOKS,
    'visualizer': registry.VISUALIZERS,
}
# Keys whose value belongs to another registry.
_INNER = {
    'pipeline': registry.TRANSFORMS,
    'transforms': registry.TRANSFORMS,
    'sampler': registry.DATA_SAMPLERS,
    'batch_sampler': registry.DATA_SAMPLERS,
    'collate_fn': roots.FUNCTIONS,
    'optimizer': registry.OPTIMIZERS,
    'init_cfg': roots.WEIGHT_INITIALIZERS,
    'vis_backends': registry.VISBACKENDS,
    'assigner': registry.TASK_UTILS,
}
# Keys that a builder removes before it calls the constructor.
_CONSUMED = {
    'optim_wrapper': {'optimizer', 'constructor', 'paramwise_cfg'},
    'param_scheduler': {'convert_to_iter_based'},
    'default_hooks': {'priority'},
    'custom_hooks': {'priority'},
    'visualizer': {'name'},
    'norm_cfg': {'requires_grad'},
    'init_cfg': {'override'},
}
_NOT_TYPES = {'clip_grad', 'metainfo', 'backend_args', 'loss_scale', 'paramwise_cfg'}
_RUNNER_KEYS = (set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}) | {
    'activation_checkpointing', 'compile', 'custom_imports', 'efficient_conv_bn_eval',
    'find_unused_parameters', 'fold_pool', 'init_note', 'log_level', 'max_iters',
    'model_wrapper_cfg', 'runner_type', 'sync_bn', 'tta_model', 'tta_pipeline',
    'val_interval',
}  # fmt: skip


class UnknownKeyError(ValueError):
    """A key or type in a config that does not exist."""


def check_config(cfg: Config) -> None:
    """Compare a config with the arguments of its modules.

    Args:
        cfg: A complete config.

    Raises:
        UnknownKeyError: Naming every key and type that does not exist, with suggestions.
    """
    problems = list(_top_level_problems(cfg))
    for key, start in _REGISTRIES.items():
        value = cfg.get(key)
        if key.endswith('_dataloader') and isinstance(value, dict):
            problems += _signature_problems(
                key, DataLoader, set(value), {'num_batch_per_epoch', 'dataset'}
            )
        problems += [*_kind_problems(key, value), *_problems(key, value, start, key)]
    problems += _signature_problems(
        'log_processor', LogProcessor, set(cfg.get('log_processor') or {}), {'type'}
    )
    problems += paramwise_problems(cfg.get('optim_wrapper'))
    if problems:
        raise UnknownKeyError(f'{cfg.filename or "config"}: ' + '; '.join(problems))


def _kind_problems(key: str, value: Any) -> Iterator[str]:
    """Report a text or number where a module config is expected."""
    listed = isinstance(value, (list, tuple))
    if key == 'custom_hooks' and value is not None and not listed:
        yield f'{key} must be a list of dicts, got {value!r}'
        return
    for item in value if listed else [value]:
        if isinstance(item, (str, int, float)):
            yield f'{key} must be {"a list of dicts" if listed else "a dict"}, got {item!r}'
            return


def _suggest(word: str, known: Any, cutoff: float = 0.6) -> str:
    hint = did_you_mean(nearest(word, known, likeness=cutoff))
    return hint and f', {hint}'


def _hint(word: str, known: Any, cutoff: float = 0.6) -> str:
    """Suggest similar names, or all if they are few."""
    return _suggest(word, known, cutoff) or (
        f'; it has {", ".join(sorted(known))}' if 0 < len(known) <= 20 else ''
    )


def _top_level_problems(cfg: Config) -> Iterator[str]:
    """Report misspelt Runner settings; other top-level names are variables of the file."""
    for key in cfg:
        if key not in _RUNNER_KEYS and not key.isupper():  # capitals are constants of the file
            hint = _suggest(key, _RUNNER_KEYS, cutoff=0.92)
            if hint:
                yield f'{key} is no setting of the Runner{hint}'


def _problems(path: str, value: Any, current: Registry, key: str) -> Iterator[str]:
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _problems(f'{path}.{index}', item, current, key)
    if not isinstance(value, dict) or key in _NOT_TYPES:
        return
    if 'type' in value:
        yield from _module_problems(path, value, current, key)
    if str(value.get('type', '')).startswith('Albu'):
        return  # contains transforms of albumentations, which have no registry
    for name, item in value.items():
        yield from _problems(f'{path}.{name}', item, _INNER.get(name, current), name)


def _module_problems(path: str, value: dict, current: Registry, key: str) -> Iterator[str]:
    kind = value['type']
    if isinstance(kind, str):
        if '.' in kind and kind.split('.')[0] not in ('mmengine', 'mmcv', 'mmseg', 'mmseg_ext'):
            return  # of another package, imported when it is built
        found = _find(kind, current)
        if found is None:
            yield (
                f'{path}.type: no {current.name} is called {kind}{_suggest(kind, _names(current))}'
            )
            return
        kind = found
    consumed = {'type', '_scope_'} | _CONSUMED.get(path.split('.')[0], set())
    consumed |= _CONSUMED.get(key, set())
    yield from _signature_problems(path, kind, set(value), consumed)


def _find(name: str, first: Registry) -> Optional[Callable]:
    """Find a registered module in the expected registry, or else in all others."""
    for place in (first, *_REGISTRIES.values(), *_INNER.values()):
        found = place.get(name)
        if found is not None:
            return found
    return None


def _names(place: Optional[Registry]) -> set:
    names: set = set()
    while place is not None:
        names |= set(place.module_dict)
        place = place.parent
    return names


def _signature_problems(path: str, kind: Callable, given: set, consumed: set) -> list[str]:
    accepted, swallows = arguments_of(kind)
    unknown = sorted(given - consumed - accepted)
    if swallows:  # may be for **kwargs, unless it resembles an argument
        unknown = [key for key in unknown if _suggest(key, accepted, cutoff=0.88)]
    name = getattr(kind, '__name__', str(kind))
    removed = getattr(kind, 'REMOVED', {})
    return [
        f'{path}.{key}: {name} has no argument {key!r}'
        + (f' any more: {removed[key]}' if key in removed else _hint(key, accepted))
        for key in unknown
    ]


def check_options(cfg: Config, options: dict) -> None:
    """Refuse ``--cfg-options`` for keys that do not exist; new keys in existing dicts are allowed.

    Args:
        cfg: The config before the options are merged.
        options: Values by dotted key.

    Raises:
        UnknownKeyError: If a dict in the path does not exist, or the last key resembles an existing
            one.
    """
    for option in options:
        place: Any = cfg
        parts = option.split('.')
        for depth, part in enumerate(parts):
            known = _keys(place)
            if part in known:
                place = place[int(part)] if isinstance(place, (list, tuple)) else place[part]
                continue
            if depth == 0:
                known = known | _RUNNER_KEYS
            hint = _suggest(part, known, cutoff=0.75)
            last = depth == len(parts) - 1
            if part in known or (last and depth and isinstance(place, dict) and not hint):
                break
            if part == 'init_cfg' and 'type' in known:  # every module takes one
                break
            where = '.'.join(parts[:depth]) or 'the config'
            raise UnknownKeyError(
                f'--cfg-options {option}: {where} has no key {part!r}'
                f'{_hint(part, known, cutoff=0.75)}'
            )
        if parts[0] not in _RUNNER_KEYS:
            print_log(
                f'--cfg-options {option}: a variable of the config file; settings already '
                'written from it keep their value',
                'current',
                logging.WARNING,
            )


def _keys(place: Any) -> set:
    if isinstance(place, (list, tuple)):
        return {str(i) for i in range(len(place))}
    return set(place) if isinstance(place, (dict, Config)) else set()
