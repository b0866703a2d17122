"""Change the length of a run by a single number."""

from typing import Any, Optional

from mmengine.config import Config

VALIDATIONS = 10  # most validations in a shortened run, which would otherwise mainly validate


def _scaled(value: int, ratio: float) -> int:
    return max(1, round(value * ratio)) if value > 0 else value


def set_max_iters(cfg: Config, max_iters: int) -> None:
    """Rescale loop, schedulers, validation and checkpoint intervals.

    A shortened run validates at most ten times. A config that trains by epochs is changed to
    iterations, with all events at the same fraction of the run.

    Args:
        cfg: Changed in place.
        max_iters: Iterations of the new run.

    Raises:
        ValueError: If the number is not positive, the config has no training loop that can be
            rescaled, or one of its hooks counts epochs.
    """
    if not isinstance(max_iters, int) or max_iters < 1:
        raise ValueError(f'max_iters must be a positive integer, got {max_iters!r}')
    epochs = not _counts_iterations(cfg)
    if epochs:
        _count_iterations(cfg)
    loop = cfg.train_cfg
    ratio = max_iters / loop['max_iters']
    loop['max_iters'] = max_iters
    cfg.max_iters = max_iters
    _scale_intervals(cfg, ratio, 1 if ratio >= 1 and not epochs else -(-max_iters // VALIDATIONS))
    for scheduler in _schedulers(cfg):
        if not scheduler.get('by_epoch', True):
            _scale_scheduler(scheduler, ratio)


def _scale_intervals(cfg: Config, ratio: float, least: int) -> None:
    """Rescale the intervals of validation and checkpoints; equal intervals stay equal."""
    loop, last = cfg.train_cfg, cfg.train_cfg['max_iters']
    checkpoint = cfg.get('default_hooks', {}).get('checkpoint') or {}
    saves = not checkpoint.get('by_epoch', True) and checkpoint.get('interval', -1) > 0
    together = saves and checkpoint['interval'] == loop.get('val_interval')
    if 'val_begin' in loop:
        loop['val_begin'] = min(_scaled(loop['val_begin'], ratio), last)
    if 'val_interval' in loop:
        loop['val_interval'] = min(max(_scaled(loop['val_interval'], ratio), least), last)
    if saves:
        own = min(_scaled(checkpoint['interval'], ratio), last)
        checkpoint['interval'] = loop['val_interval'] if together else own


def set_val_interval(cfg: Config, steps: int) -> None:
    """Change the validation interval, and the checkpoint interval if it was equal.

    Args:
        cfg: Changed in place.
        steps: Iterations, or epochs, between two validations.
    """
    loop = cfg.train_cfg
    checkpoint = cfg.get('default_hooks', {}).get('checkpoint') or {}
    if checkpoint.get('interval') == loop.get('val_interval'):
        checkpoint['interval'] = steps
    loop['val_interval'] = steps


def short_schedule(cfg: Config) -> Optional[str]:
    """Return a warning if the learning rate schedule ends before the training loop.

    Args:
        cfg: Config whose ``train_cfg`` may have been lengthened without its schedule. The learning
            rate would then stay at its last value.
    """
    loop = cfg.get('train_cfg') or {}
    unit = 'max_epochs' if 'max_epochs' in loop else 'max_iters'
    mine = [s for s in _schedulers(cfg) if s.get('by_epoch', True) == (unit == 'max_epochs')]
    ends = [scheduler['end'] for scheduler in mine if 'end' in scheduler]
    if not ends or len(ends) < len(mine) or max(ends) >= loop.get(unit, 0):
        return None
    rescaled = (
        ': give max_iters=N alone, which rescales the schedule' if unit == 'max_iters' else ''
    )
    return (
        f'train_cfg.{unit}={loop[unit]} lengthens the loop alone, param_scheduler ends at '
        f'{max(ends)}, and the rate stays what it is then{rescaled}'
    )


def late_validation(cfg: Config) -> Optional[str]:
    """Return a warning if training ends before its first validation, without a best checkpoint.

    Args:
        cfg: A complete config.
    """
    loop = cfg.get('train_cfg') or {}
    unit = 'max_epochs' if 'max_epochs' in loop else 'max_iters'
    begin, last = loop.get('val_begin', 1), loop.get(unit)
    if not cfg.get('val_cfg') or last is None or begin <= last:
        return None
    return (
        f'train_cfg.val_begin={begin} lies beyond {unit}={last}: nothing is validated and no best '
        'checkpoint is kept; give train_cfg.val_begin=1, or a smaller one'
    )


def check_units(cfg: Config) -> None:
    """Refuse a learning rate schedule that counts epochs in a training that counts iterations.

    mmengine's schedulers count epochs unless told otherwise, and such a training is one epoch: the
    rate would never change.

    Args:
        cfg: A complete config.

    Raises:
        ValueError: Naming the first such scheduler.
    """
    for scheduler in _schedulers(cfg) if _counts_iterations(cfg) else ():
        if scheduler.get('by_epoch', True) and not scheduler.get('convert_to_iter_based'):
            raise ValueError(
                f'param_scheduler: {scheduler.get("type")} counts epochs, and the training '
                'iterations: the learning rate would never change; give by_epoch=False, and begin '
                'and end in iterations'
            )


def late_checkpoints(cfg: Config) -> Optional[str]:
    """Return a warning if checkpoints are counted in epochs in a training of iterations.

    Args:
        cfg: A complete config.
    """
    hooks = cfg.get('default_hooks') or {}
    hook = hooks.get('checkpoint', {})  # mmengine adds one unless it is None
    if not _counts_iterations(cfg) or hook is None or not hook.get('by_epoch', True):
        return None
    return (
        'default_hooks.checkpoint counts epochs, and the training iterations: the only checkpoint '
        'is written at the end, and a kill loses everything; give by_epoch=False, and interval in '
        'iterations'
    )


def _counts_iterations(cfg: Config) -> bool:
    return 'max_iters' in (cfg.get('train_cfg') or {})


def _scale_scheduler(scheduler: dict, ratio: float) -> None:
    for key in ('begin', 'end', 'T_max'):
        if key in scheduler:
            scheduler[key] = _scaled(scheduler[key], ratio)
    if 'end' in scheduler:  # even in a very short run, each phase has a step
        scheduler['end'] = max(scheduler['end'], scheduler.get('begin', 0) + 1)
    if 'milestones' in scheduler:
        scheduler['milestones'] = [_scaled(step, ratio) for step in scheduler['milestones']]


def _count_iterations(cfg: Config) -> None:
    """Turn an epoch loop into a loop of as many iterations, to be rescaled."""
    loop = cfg.get('train_cfg') or {}
    hooks = [hook.get('type') for hook in cfg.get('custom_hooks') or []]
    if 'max_epochs' not in loop or 'dynamic_intervals' in loop or 'FlatCosineLrHook' in hooks:
        raise ValueError(
            f'max_iters cannot rescale this config (train_cfg.type={loop.get("type")}, '
            f'custom_hooks {hooks}): set train_cfg.max_epochs and the schedulers instead'
        )
    kept = {key: loop[key] for key in ('val_begin', 'val_interval') if key in loop}
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=loop['max_epochs'], **kept)
    for scheduler in _schedulers(cfg):
        scheduler.pop('convert_to_iter_based', None)
        scheduler['by_epoch'] = False
    hooks_of = cfg.get('default_hooks') or {}
    if hooks_of.get('checkpoint'):
        hooks_of['checkpoint']['by_epoch'] = False
    if hooks_of.get('logger'):
        hooks_of['logger']['log_metric_by_epoch'] = False
    if cfg.get('log_processor'):
        cfg.log_processor['by_epoch'] = False


def _schedulers(cfg: Config) -> list[Any]:
    found = cfg.get('param_scheduler') or []
    if isinstance(found, dict) and 'type' not in found:  # a list for each of several optimisers
        return [one for each in found.values() for one in _listed(each)]
    return _listed(found)


def _listed(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (list, tuple)) else [found]
