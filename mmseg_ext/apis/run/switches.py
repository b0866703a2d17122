"""Switches of a training: each a changed setting of the config, with the hooks that are there.

:mod:`.switch_arguments` adds them to a tool's arguments; ``docs/training.md`` shows each.
"""

import argparse
import logging
from collections.abc import Sequence
from typing import Any, Optional

from mmengine.config import Config
from mmengine.logging import print_log

from ..config.check import check_config
from ..config.compiler import compiler_problem
from ..config.semi import is_semi
from .switch_arguments import EMA_MOMENTUM, MEDIAN, add_switches
from .tracking import use_tracker

_FASTER_START = 10  # the average spans a tenth of the steps so far, until 1 / momentum steps


def use_switches(cfg: Config, args: argparse.Namespace, *, semi: Optional[str] = None) -> None:
    """Apply the switches of a command line to a config.

    Args:
        cfg: From ``load_config``, before it becomes a semi-supervised one; changed in place.
        args: What ``add_switches`` added, parsed.
        semi: Semi-supervised method that the config will be changed for.

    Raises:
        ImportError: If the package of a tracker is missing.
        ValueError: If a switch does not fit the config or another switch.
    """
    for name in args.log_to:
        use_tracker(cfg, name)
    if args.early_stop is not None:
        use_early_stop(cfg, args.early_stop)
    if args.accumulate is not None:
        use_accumulation(cfg, args.accumulate)
    if args.ema is not None:
        use_ema(cfg, args.ema, semi=semi)
    if args.activation_checkpointing is not None:
        use_activation_checkpointing(cfg, args.activation_checkpointing or ['backbone'])
    use_freeze(cfg, args.freeze)
    if args.balance is not None:
        use_balance(cfg, None if args.balance == MEDIAN else args.balance, semi=semi)
    if args.compile:
        use_compile(cfg)
    check_config(cfg)


def check_switches(cfg: Config, words: Sequence[str]) -> None:
    """Refuse switches that do not fit a config, which stays as it is.

    Args:
        cfg: From ``load_config``.
        words: From ``switch_words``.

    Raises:
        ImportError: If the package of a tracker is missing.
        ValueError: If a switch does not fit the config or another switch.
    """
    parser = argparse.ArgumentParser()
    add_switches(parser)
    use_switches(cfg.copy(), parser.parse_args(list(words)))


def use_early_stop(cfg: Config, patience: int) -> None:
    """End the training after some validations in a row without a better score.

    Args:
        cfg: Changed in place. The score is that of ``default_hooks.checkpoint.save_best``.
        patience: Number of validations.

    Raises:
        ValueError: If the number is below 1, or the config validates nothing.
    """
    if patience < 1:
        raise ValueError(f'--early-stop must be at least 1 validation, got {patience}')
    if not cfg.get('val_cfg'):
        raise ValueError('--early-stop needs validations, and the config has no val_cfg')
    saving = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    best = saving.get('save_best')
    monitor = best if isinstance(best, str) and best != 'auto' else 'mIoU'
    rule = {key: saving[key] for key in ('rule',) if saving.get(key)}
    _add_hook(cfg, dict(type='EarlyStoppingHook', monitor=monitor, patience=patience, **rule))


def use_accumulation(cfg: Config, count: int) -> None:
    """Let each optimiser step take the mean gradient of several batches.

    The number of iterations, each of one batch, stays; there are fewer steps.

    Args:
        cfg: Changed in place.
        count: Batches of a step.

    Raises:
        ValueError: If there is no whole step in the training.
    """
    length = (cfg.get('train_cfg') or {}).get('max_iters')
    if count < 1 or (length is not None and count > length):
        raise ValueError(
            f'--accumulate must be from 1 to the {length or "run"} iterations, got {count}'
        )
    for wrapper in _wrappers(cfg):
        wrapper['accumulative_counts'] = count


def _wrappers(cfg: Config) -> list[Any]:
    """The settings of the optimiser wrapper, or of each of several."""
    own = cfg.optim_wrapper
    if 'optimizer' in own or 'type' in own:
        return [own]
    return [value for value in own.values() if isinstance(value, dict)]


def use_ema(cfg: Config, momentum: float = EMA_MOMENTUM, *, semi: Optional[str] = None) -> None:
    """Average the weights and BN statistics over the steps, by mmengine's ``EMAHook``.

    The average is what validations score and checkpoints hold under ``state_dict``; the trained
    weights are beside it, for a resume. Early in the run the average spans a tenth of the steps.

    Args:
        cfg: Changed in place.
        momentum: Share of the newest weights in a new average.
        semi: Semi-supervised method that the config will be changed for.

    Raises:
        ValueError: If the config has an average of its own, or a hook that makes BN statistics of
            the trained weights.
    """
    if not 0 < momentum < 1:
        raise ValueError(f'--ema must be between 0 and 1, got {momentum}')
    kinds = [hook.get('type') for hook in cfg.get('custom_hooks') or ()]
    if semi or is_semi(cfg.model):
        raise ValueError('--ema: a semi-supervised run has an average already, its teacher')
    for kind in ('EMAHook', 'PreciseBNHook'):
        if kind in kinds:
            raise ValueError(f'--ema and {kind} in custom_hooks exclude each other')
    count = _wrappers(cfg)[0].get('accumulative_counts', 1)
    average = dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=momentum)
    average.update(gamma=_FASTER_START * count, interval=count, update_buffers=True)
    _add_hook(cfg, average)


def use_activation_checkpointing(cfg: Config, parts: Sequence[str] = ('backbone',)) -> None:
    """Compute the activations of parts of the network again in the backward pass.

    Args:
        cfg: Changed in place.
        parts: Names of the parts, as in the segmentor.
    """
    for part in parts:
        _add_hook(cfg, dict(type='RecomputeHook', module=part))


def use_freeze(cfg: Config, parts: Sequence[str]) -> None:
    """Leave parts of the network as they start; warn of one that starts with random weights.

    Args:
        cfg: Changed in place.
        parts: Names of the parts, as in the segmentor.
    """
    for part in parts:
        _add_hook(cfg, dict(type='FreezeHook', module=part))
        if not cfg.get('load_from') and not _has_start(cfg.model, part.split('.')):
            print_log(
                f'--freeze {part}: it starts with random weights and stays so; give it a start, '
                'such as --cfg-options load_from=FILE',
                'current',
                logging.WARNING,
            )


def _has_start(model: Any, path: Sequence[str]) -> bool:
    """Whether a part's settings, or those of what it is in, name a file of weights."""
    inits = [model.get('init_cfg') or [], dict(checkpoint=model.get('pretrained'))]
    found = [init for own in inits for init in (own if isinstance(own, (list, tuple)) else [own])]
    if any(isinstance(init, dict) and init.get('checkpoint') for init in found):
        return True
    inner = model.get(path[0]) if path else None
    return isinstance(inner, dict) and _has_start(inner, path[1:])


def use_balance(
    cfg: Config, threshold: Optional[float] = None, *, semi: Optional[str] = None
) -> None:
    """Draw images with rare classes more often.

    Args:
        cfg: Changed in place.
        threshold: Share of images below which a class is rare; ``None`` takes the median class's.
        semi: Semi-supervised method that the config will be changed for.

    Raises:
        ValueError: If the config draws its images in a way of its own, or the threshold is no
            share.
    """
    if threshold is not None and not 0 < threshold <= 1:
        raise ValueError(f'--balance must be a share of the images in (0, 1], got {threshold}')
    sampler = cfg.train_dataloader.get('sampler') or {}
    kind = sampler.get('type')
    if semi or kind not in ('InfiniteSampler', 'DefaultSampler'):
        own = 'with --semi unlabelled images are' if semi else f'{kind} decides what is'
        raise ValueError(f'--balance: {own} drawn beside labelled ones; leave one of both out')
    cfg.train_dataloader.sampler = dict(
        type='BalancedSampler', threshold=threshold, endless=kind == 'InfiniteSampler'
    )


def use_compile(cfg: Config) -> None:
    """Compile the training step by ``torch.compile``, or say in one line why not.

    Args:
        cfg: Changed in place.

    Raises:
        ValueError: If activations are recomputed, too, which the compiler decides by itself.
    """
    if any(hook.get('type') == 'RecomputeHook' for hook in cfg.get('custom_hooks') or ()):
        raise ValueError('--compile and --activation-checkpointing exclude each other')
    problem = compiler_problem()
    if problem:
        print_log(f'--compile: {problem}; training without it', 'current', logging.WARNING)
    else:
        cfg.compile = True


def _add_hook(cfg: Config, hook: dict) -> None:
    """Add a hook; one of this class and part that is there already is replaced."""
    key = (hook['type'], hook.get('module'))
    others = [h for h in cfg.get('custom_hooks') or () if (h.get('type'), h.get('module')) != key]
    cfg.custom_hooks = [*others, hook]
