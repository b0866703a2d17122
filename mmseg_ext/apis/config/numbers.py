"""Check numbers of a config that make mmseg fail in the middle of a run, or compute NaN."""

from operator import gt
from typing import Any

from mmengine.config import Config

from ...core.words import check_choice


def check_numbers(cfg: Config) -> None:
    """Refuse numbers that make mmseg fail in the middle of a run, or compute NaN.

    Args:
        cfg: A complete config.

    Raises:
        ValueError: Naming the first such setting.
    """
    _check_counts(cfg)
    model = cfg.get('model') or {}
    spread = (model.get('data_preprocessor') or {}).get('std')
    if spread is not None and not all(_is_positive(value) for value in _listed(spread)):
        raise ValueError(f'model.data_preprocessor.std must be numbers above 0, got {spread}')
    test_cfg = model.get('test_cfg') or {}
    mode = test_cfg.get('mode', 'whole')
    check_choice('model.test_cfg.mode', mode, ('whole', 'slide'))
    for key in ('crop_size', 'stride') if mode == 'slide' else ():
        value = test_cfg.get(key)
        if (
            not isinstance(value, (list, tuple))
            or len(value) != 2
            or not all(isinstance(side, int) and side > 0 for side in value)
        ):
            raise ValueError(
                f"model.test_cfg.{key} must be two whole numbers above 0 with mode='slide', "
                f'got {value!r}'
            )
    if mode == 'slide' and any(map(gt, test_cfg['stride'], test_cfg['crop_size'])):
        raise ValueError(
            f'model.test_cfg.stride={test_cfg["stride"]} is larger than '
            f'crop_size={test_cfg["crop_size"]}: pixels between windows would have no prediction'
        )


# Settings that a loop uses only after its first step, with the smallest allowed value.
_LOOP_COUNTS = dict(max_iters=1, max_epochs=1, val_interval=1, val_begin=0)
_HOOK_COUNTS = ('interval', 'max_keep_ckpts')  # values below 1 mean never, or unlimited


def _check_counts(cfg: Config) -> None:
    """Refuse a loop or hook whose counts are not whole numbers.

    Raises:
        ValueError: Naming the first such setting.
    """
    loop = cfg.get('train_cfg') or {}
    for key, least in _LOOP_COUNTS.items():
        if key in loop and not (_is_whole(loop[key]) and loop[key] >= least):
            raise ValueError(
                f'train_cfg.{key} must be a whole number of at least {least}, got {loop[key]!r}'
            )
    for name, hook in (cfg.get('default_hooks') or {}).items():
        for key in _HOOK_COUNTS:
            if key in (hook or {}) and not _is_whole(hook[key]):
                raise ValueError(
                    f'default_hooks.{name}.{key} must be a whole number, got {hook[key]!r}'
                )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and value > 0
