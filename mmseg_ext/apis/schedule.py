"""Change the length of a run by one number."""

from typing import Any

from mmengine.config import Config


def _scaled(value: int, ratio: float) -> int:
    return max(1, round(value * ratio)) if value > 0 else value


def set_max_iters(cfg: Config, max_iters: int) -> None:
    """Rescale loop, schedulers, validation and checkpoint intervals of an iteration loop.

    Args:
        cfg: Changed in place.
        max_iters: Iterations of the new run.

    Raises:
        ValueError: If the config trains by epochs, or the number is not positive.
    """
    loop = cfg.get('train_cfg') or {}
    if 'max_iters' not in loop:
        raise ValueError(
            'max_iters sets the length of iteration loops, and train_cfg has type '
            f'{loop.get("type")}: set train_cfg.max_epochs and the schedulers instead'
        )
    if not isinstance(max_iters, int) or max_iters < 1:
        raise ValueError(f'max_iters must be a positive integer, got {max_iters!r}')
    ratio = max_iters / loop['max_iters']
    loop['max_iters'] = max_iters
    cfg.max_iters = max_iters
    for key in ('val_interval', 'val_begin'):
        if key in loop:
            loop[key] = min(_scaled(loop[key], ratio), max_iters)
    for scheduler in _schedulers(cfg):
        for key in ('begin', 'end', 'T_max'):
            if not scheduler.get('by_epoch', True) and key in scheduler:
                scheduler[key] = _scaled(scheduler[key], ratio)
    checkpoint = cfg.get('default_hooks', {}).get('checkpoint') or {}
    if not checkpoint.get('by_epoch', True) and checkpoint.get('interval', -1) > 0:
        checkpoint['interval'] = min(_scaled(checkpoint['interval'], ratio), max_iters)


def _schedulers(cfg: Config) -> list[Any]:
    found = cfg.get('param_scheduler') or []
    return list(found) if isinstance(found, (list, tuple)) else [found]
