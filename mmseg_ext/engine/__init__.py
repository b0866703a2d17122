"""Optimiser wrappers, hooks and loops; importing registers them."""

from . import (
    checkpoint_hook,
    early_stopping,
    ema_teacher,
    flat_cosine_lr,
    freeze,
    hooks,
    inflate,
    nonfinite,
    optim_wrapper,
    parts,
    progress,
    recompute_hook,
    semi_constructor,
    stop_hook,
    val_loss,
    vgg,
)

__all__ = [
    'checkpoint_hook',
    'early_stopping',
    'ema_teacher',
    'freeze',
    'hooks',
    'inflate',
    'nonfinite',
    'optim_wrapper',
    'parts',
    'progress',
    'recompute_hook',
    'semi_constructor',
    'flat_cosine_lr',
    'stop_hook',
    'val_loss',
    'vgg',
]
