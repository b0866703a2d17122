"""Resuming a stopped training: checkpoint, settings and learning rate.

A setting of the config that has changed is either applied from the reached iteration on, or
refused; none is ignored. The learning rate is that of the current schedule at this iteration.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.dist import all_reduce, get_world_size
from mmengine.model import is_model_wrapper
from mmengine.optim import BaseOptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop
from torch import Tensor

from ..core.checkpoints import settings_of
from ..core.files import PathLike
from ..core.fitting import check_classes, check_finite, check_fit, weights_of
from ..core.saved import began_with, best_files, find_resumable, lacking, optimizer_states
from .step_hook import wrappers_of

_MOVING = ('last_step', '_global_step', '_last_value', 'verbose')  # the progress of a scheduler
GRADIENTS = 'waiting_gradients'  # key in a checkpoint
_WATCHED = ('optim_wrapper', 'param_scheduler', 'train_cfg')


def choose(runner: Any, folder: PathLike) -> bool:
    """Let a Runner resume from the last complete checkpoint in its folder, if there is one.

    A ``load_from`` from which the stopped run itself started is not loaded again; any other is the
    checkpoint from which the user wants to resume.

    Args:
        runner: Built, nothing loaded yet.
        folder: Folder of its checkpoints.

    Returns:
        Whether there is a checkpoint to resume from.
    """
    found = find_resumable(folder)
    if runner._load_from is not None and not began_with(found.meta, runner._load_from):
        return True
    for path, reason in found.skipped:
        runner.logger.warning(f'resuming skips {path.name}: {reason}')
    if found.path is not None:
        runner._load_from = str(found.path)
        return True
    runner._resume = False
    if found.skipped:
        runner.logger.warning(f'no checkpoint in {folder} is whole: starting at 0')
    else:
        runner.logger.info(f'no checkpoint in {folder} to go on from: starting at 0')
    best = [path.name for path in best_files(folder)]
    if best:
        runner.logger.warning(
            f'{best[-1]} holds no state of the optimiser and is kept as {best[-1]}.old: to start '
            'from its weights, say --cfg-options load_from=FILE without --resume'
        )
    return False


def adapt(runner: Any, checkpoint: dict) -> None:
    """Check a checkpoint against the run that resumes from it, and apply the current settings.

    Args:
        runner: Built, nothing loaded yet.
        checkpoint: Content of the checkpoint, changed in place before mmengine uses it.

    Raises:
        ValueError: If it is damaged, has another model or other classes, or does not fit the run.
    """
    name = Path(runner._load_from)
    problem = lacking(name, checkpoint)
    if problem:
        raise ValueError(problem)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    state = weights_of(checkpoint, name)
    check_fit(model.state_dict(), state, name, complete=True)
    check_finite(state, name)
    known = getattr(runner.train_dataloader.dataset, 'metainfo', None) or {}
    check_classes(checkpoint['meta'], known.get('classes'), name)
    _clean_notes(checkpoint['message_hub']['runtime_info'])
    _check_place(runner, checkpoint['meta'], name)
    _check_seed(runner, checkpoint['meta'], name)
    _adapt_settings(runner, checkpoint, name)
    for part, saved in optimizer_states(checkpoint['optimizer']).items():
        check_finite(_moments(part, saved), name)
    _give_gradients(model, checkpoint.pop(GRADIENTS, {}), name)


def _moments(part: str, saved: dict) -> dict[str, Any]:
    """What an optimiser remembers of each parameter, under names for messages."""
    found = [item for item in saved['state'].items() if isinstance(item[1], dict)]
    title = f'optimizer {part} '.replace('  ', ' ')
    return {f'{title}{index} {key}': v for index, kept in found for key, v in kept.items()}


def keep_gradients(runner: Any, checkpoint: dict) -> None:
    """Save accumulated gradients that wait for their optimiser step in a checkpoint.

    They differ between processes until that step; their mean gives the same step.
    """
    counts = [getattr(w, '_accumulative_counts', 1) for w in wrappers_of(runner.optim_wrapper)]
    if max(counts) < 2:
        return
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    named = [(name, value.grad) for name, value in model.named_parameters()]
    waiting = {name: grad.detach().clone() for name, grad in named if grad is not None}
    if get_world_size() > 1:
        for grad in waiting.values():
            all_reduce(grad, op='mean')
    if waiting:
        checkpoint[GRADIENTS] = {name: grad.cpu() for name, grad in waiting.items()}


def _give_gradients(model: Any, waiting: Any, name: Path) -> None:
    """Restore accumulated gradients if a checkpoint was saved between two optimiser steps."""
    own = dict(model.named_parameters())
    if not isinstance(waiting, dict) or any(
        key not in own or not isinstance(grad, Tensor) or grad.shape != own[key].shape
        for key, grad in waiting.items()
    ):
        raise ValueError(f'{name} holds gradients ({GRADIENTS}) of other parameters: it is damaged')
    for key, grad in waiting.items():
        own[key].grad = grad.to(own[key])


def _clean_notes(info: dict) -> None:
    """Drop records of kept and best checkpoints that have a foreign format."""
    kinds: Any = dict(keep_ckpt_ids=list, last_ckpt=str, best_ckpt=str, best_score=(int, float))
    for key, value in list(info.items()):
        kind: Any = next((k for start, k in kinds.items() if str(key).startswith(start)), object)
        numbers = kind is not list or (isinstance(value, list) and _are_numbers(value))
        if not isinstance(value, kind) or not numbers:
            del info[key]
    for key in [key for key in info if str(key).startswith('best_')]:
        partner = str(key).replace('best_score', 'best_ckpt')
        if partner not in info or partner.replace('best_ckpt', 'best_score') not in info:
            del info[key]


def _are_numbers(values: list) -> bool:
    return all(isinstance(value, int) for value in values)


def _check_place(runner: Any, meta: dict, name: Path) -> None:
    """Refuse an iteration or epoch that this run does not reach."""
    loop = runner.train_loop
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    if by_epoch and meta['epoch'] == 0 < meta['iter']:
        raise ValueError(
            f'{name} was written in a run that counts iterations, this one counts epochs '
            f'(train_cfg.type={type(loop).__name__}): take the config that it was trained with'
        )
    done, last, unit = (
        (meta['epoch'], loop.max_epochs, 'epochs')
        if by_epoch
        else (meta['iter'], loop.max_iters, 'iterations')
    )
    if done > last:
        raise ValueError(
            f'{name} has {done} {unit} behind it and this run ends after {last}: there is nothing '
            f'left to train; give more {unit}, or take an earlier checkpoint'
        )


def _check_seed(runner: Any, meta: dict, name: Path) -> None:
    wanted, used = runner._randomness_cfg.get('seed'), meta.get('seed')
    if wanted is not None and used is not None and wanted != used:
        raise ValueError(
            f'{name} was trained with the seed {used}, not {wanted}: go on with --seed {used}, or '
            'start anew in another --work-dir'
        )


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


def _adapt_settings(runner: Any, checkpoint: dict, name: Path) -> None:
    """Apply the current optimisers and schedules from the reached iteration on."""
    if not isinstance(runner.optim_wrapper, BaseOptimWrapper):
        return
    settings = settings_of(checkpoint['meta'])
    changes = list(_differences(settings, runner.cfg))
    parts = _parts(runner, checkpoint, settings, name)
    schedules = {
        title: _adapt_part(part, changes, checkpoint['meta'], name) for title, part in parts.items()
    }
    if any(saved is not None for saved in schedules.values()):
        checkpoint['param_schedulers'] = schedules.get('', schedules)
    if changes:
        runner.logger.warning(
            f'the settings differ from those of {name.name} and hold from iteration '
            f'{checkpoint["meta"]["iter"]} on: {"; ".join(changes)}'
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


def _adapt_part(part: _Part, changes: list[str], meta: dict, name: Path) -> Any:
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


def _is_same_schedule(schedulers: list, saved: Any, changes: list[str]) -> bool:
    if not isinstance(saved, list) or len(saved) != len(schedulers):
        return False
    if any('param_scheduler' in change and '.type' in change for change in changes):
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


def _differences(then: dict, now: Any) -> Iterator[str]:
    """Describe the changed settings of optimiser, schedule and length."""
    if not then:
        return
    for key in _WATCHED:
        old, new = _flat(key, then.get(key)), _flat(key, now.get(key))
        for path in dict.fromkeys([*old, *new]):
            if path != 'train_cfg.val_interval' and old.get(path) != new.get(path):
                yield f'{path}: {old.get(path)} -> {new.get(path)}'


def _flat(path: str, value: Any) -> dict:
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, (list, tuple)):
        pairs = list(enumerate(value))
    else:
        return {path: value}
    found: dict = {}
    for key, item in pairs:
        found.update(_flat(f'{path}.{key}', item))
    return found


def is_validation_due(runner: Any) -> bool:
    """Tell whether an uninterrupted run would validate at this iteration."""
    loop = runner.train_loop
    if runner.val_loop is None:
        return False
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    step, last = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    loop._decide_current_val_interval()
    return step >= loop.val_begin and (step % loop.val_interval == 0 or step == last)


def replay_data(runner: Any) -> None:
    """Draw the data of the finished epochs again, so that augmentation continues in sequence.

    An iteration loop does this itself. Workers that are not persistent need no replay, because they
    start each epoch alike.
    """
    loop = runner.train_loop
    if not isinstance(loop, EpochBasedTrainLoop) or loop.epoch >= loop.max_epochs:
        return
    loader = loop.dataloader
    if loader.num_workers > 0 and not loader.persistent_workers:
        return
    runner.logger.info(f'the data of {loop.epoch} epochs are drawn once more, to go on from there')
    sampler = loader.sampler
    if not hasattr(sampler, 'set_epoch'):
        sampler = getattr(loader.batch_sampler, 'sampler', sampler)
    for epoch in range(loop.epoch):
        if hasattr(sampler, 'set_epoch'):
            sampler.set_epoch(epoch)
        for _ in loader:
            pass
