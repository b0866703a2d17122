"""Resuming a stopped training from a checkpoint; its settings are those of ``resume_schedule``."""

from pathlib import Path
from typing import Any

from mmengine.dist import all_reduce, get_world_size
from mmengine.runner import EpochBasedTrainLoop
from torch import Tensor

from ..core.files import PathLike
from ..core.fitting import check_classes, check_finite, check_fit, weights_of
from ..core.saved import began_with, best_files, find_resumable, lacking, optimizer_states
from .distributed import unwrapped
from .resume_schedule import adapt_settings
from .step_hook import wrappers_of

GRADIENTS = 'waiting_gradients'  # key in a checkpoint


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
    model = unwrapped(runner.model)
    state = weights_of(checkpoint, name)
    check_fit(model.state_dict(), state, name, complete=True)
    check_finite(state, name)
    known = getattr(runner.train_dataloader.dataset, 'metainfo', None) or {}
    check_classes(checkpoint['meta'], known.get('classes'), name)
    _clean_notes(checkpoint['message_hub']['runtime_info'])
    _check_place(runner, checkpoint['meta'], name)
    _check_seed(runner, checkpoint['meta'], name)
    adapt_settings(runner, checkpoint, name)
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
    model = unwrapped(runner.model)
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
