"""Settings of a training that is resumed: those of the run hold from the reached iteration on.

A setting that decides about the steps of the training and has changed is named in a warning, see
``resume_changes``, or refused: another optimiser, another meaning of the masks. The learning rate
is that of the current schedule at this iteration.
"""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.optim import BaseOptimWrapper, OptimWrapperDict
from torch import Tensor

from ..core.checkpoints import settings_of
from ..core.saved import optimizer_states
from .resume_changes import Change, find_changes, settings_of_run
from .resume_masks import check_masks

_MOVING = ('last_step', '_global_step', '_last_value', 'verbose')  # the progress of a scheduler


class _Part(NamedTuple):
    """One of a run's optimisers, and what a checkpoint holds of it.

    Args:
        wrapper: Its wrapper.
        schedulers: Of its settings.
        state: Its state in the checkpoint.
        saved: States of the schedulers in the checkpoint, ``None`` without any.
        kinds: Its class in the checkpoint's config and in the run's.
    """

    wrapper: Any
    schedulers: list
    state: dict
    saved: Any
    kinds: tuple[Any, Any]


def adapt_settings(runner: Any, checkpoint: dict, name: Path) -> None:
    """Apply the current optimisers and schedules from the reached iteration on.

    Args:
        runner: Built, nothing loaded yet.
        checkpoint: Content of the checkpoint, changed in place before mmengine uses it.
        name: Its file, for messages.

    Raises:
        ValueError: If it holds the state of other optimisers, the changed schedule cannot be
            computed for this iteration, or the masks mean something else now.
    """
    if not isinstance(runner.optim_wrapper, BaseOptimWrapper):
        return
    settings, own = settings_of(checkpoint['meta']), settings_of_run(runner)
    check_masks(settings, own, name)
    changes = find_changes(settings, own)
    parts = _parts(runner, checkpoint, settings, name)
    schedules = {
        title: _adapt_part(part, changes, checkpoint['meta'], name) for title, part in parts.items()
    }
    if any(saved is not None for saved in schedules.values()):
        checkpoint['param_schedulers'] = schedules.get('', schedules)
    if changes:
        runner.logger.warning(
            f'the settings differ from those of {name.name} and hold from iteration '
            f'{checkpoint["meta"]["iter"]} on: {"; ".join(map(str, changes))}'
        )


def _parts(runner: Any, checkpoint: dict, settings: dict, name: Path) -> dict[str, _Part]:
    """Pair a run's optimisers with a checkpoint's, by their names; a single one has ``''``."""
    several = isinstance(runner.optim_wrapper, OptimWrapperDict)
    wrappers = _by_name(runner.optim_wrapper, several)
    states = optimizer_states(checkpoint['optimizer'])
    if states.keys() != wrappers.keys():
        raise ValueError(
            f'{name} holds {_told(states)}, and this run has {_told(wrappers)}: go on with the '
            f'config that it was trained with, or start from its weights with load_from={name} and '
            'without --resume'
        )
    mine = _by_name(runner.param_schedulers, several)
    saved = _by_name(checkpoint.get('param_schedulers'), several)
    return {
        key: _Part(
            wrapper,
            mine.get(key) or [],
            states[key],
            saved.get(key),
            (_kind(settings, key), _kind(runner.cfg, key)),
        )
        for key, wrapper in wrappers.items()
    }


def _by_name(value: Any, several: bool) -> dict[str, Any]:
    if not several:
        return {'': value}
    return dict(value.items()) if value else {}


def _told(parts: dict[str, Any]) -> str:
    return 'one optimiser' if list(parts) == [''] else f'optimisers of {" and ".join(parts)}'


def _adapt_part(part: _Part, changes: list[Change], meta: dict, name: Path) -> Any:
    """Change the state of an optimiser in place; return the schedule's that is to be loaded."""
    groups = _saved_groups(part, name)
    schedulers = part.schedulers
    scheduled = {scheduler.param_name for scheduler in schedulers}
    rebuilt = bool(schedulers) and not _is_same_schedule(schedulers, part.saved, changes)
    if rebuilt:
        _advance(schedulers, meta, name)
    for group, now in zip(groups, part.wrapper.param_groups):
        kept = () if rebuilt else {*scheduled, *(f'initial_{key}' for key in scheduled)}
        group.update({k: v for k, v in now.items() if k != 'params' and k not in kept})
    return [dict(s.state_dict()) for s in schedulers] if rebuilt else part.saved


def _saved_groups(part: _Part, name: Path) -> list[dict]:
    """Return the parameter groups of a checkpoint in the order of the optimiser wrapper's."""
    then, now = part.kinds
    groups = list(part.state['param_groups'])
    own = part.wrapper.optimizer.param_groups
    sizes = [len(group.get('params', ())) for group in groups]
    fits = sizes == [len(g['params']) for g in own] and _fits(part.state['state'], own)
    other = then is not None and now is not None and then != now
    if other or not fits or any(('betas' in a) != ('betas' in b) for a, b in zip(groups, own)):
        raise ValueError(
            f'{name} holds the state of another optimiser ({then or "unknown"}) or of other '
            f'parameters than this run has ({now}): go on with the settings that it was trained '
            f'with, or start from its weights with load_from={name} and without --resume'
        )
    base = part.state.get('base_param_settings')
    return [*groups, base] if base is not None else groups


def _fits(state: dict, groups: list[dict]) -> bool:
    """Tell whether the optimiser state of each parameter has the shape of the parameter."""
    shapes = [parameter.shape for group in groups for parameter in group['params']]
    kept = ((index, value) for index, values in state.items() for value in values.values())
    tensors = [(index, value) for index, value in kept if isinstance(value, Tensor) and value.dim()]
    return all(
        isinstance(index, int) and index < len(shapes) and value.shape == shapes[index]
        for index, value in tensors
    )


def _kind(settings: Any, part: str) -> Any:
    """The class of an optimiser in a config."""
    place = settings.get('optim_wrapper') or {}
    for key in (part, 'optimizer') if part else ('optimizer',):
        place = place.get(key) if isinstance(place, dict) else None
    return place.get('type') if isinstance(place, dict) else None


def _is_same_schedule(schedulers: list, saved: Any, changes: list[Change]) -> bool:
    if not isinstance(saved, list) or len(saved) != len(schedulers):
        return False
    paths = [change.path for change in changes]
    if any(path.startswith('param_scheduler') and path.endswith('.type') for path in paths):
        return False
    return all(_fixed(s.state_dict()) == _fixed(then) for s, then in zip(schedulers, saved))


def _fixed(state: dict) -> dict:
    return {key: value for key, value in state.items() if key not in _MOVING}


def _advance(schedulers: list, meta: dict, name: Path) -> None:
    """Advance new schedulers to the reached iteration."""
    if any(getattr(scheduler, 'need_val_args', False) for scheduler in schedulers):
        raise ValueError(
            f'{name}: the schedule has changed and follows the scores, so that its rate cannot be '
            f'computed anew: keep the schedule, or start with load_from={name} without --resume'
        )
    by_iter = [scheduler for scheduler in schedulers if not scheduler.by_epoch]
    by_epoch = [scheduler for scheduler in schedulers if scheduler.by_epoch]
    epochs = meta['epoch']
    lengths = [meta['iter'] // epochs] * epochs if epochs else []
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # torch warns that the optimiser made no steps
        for length in lengths:
            _take_steps(by_iter, length)
            _take_steps(by_epoch, 1)
        _take_steps(by_iter, meta['iter'] - sum(lengths))


def _take_steps(schedulers: list, count: int) -> None:
    for _ in range(count if schedulers else 0):
        for scheduler in schedulers:
            scheduler.step()
