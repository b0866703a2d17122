"""Optimiser wrappers, hooks and loops; importing registers them."""

from . import (
    checkpoint_hook,
    ema_teacher,
    flat_cosine_lr,
    hooks,
    inflate,
    nonfinite,
    optim_wrapper,
    parts,
    progress,
    semi_constructor,
    stop_hook,
    val_loss,
    vgg,
)

__all__ = [
    'checkpoint_hook',
    'ema_teacher',
    'hooks',
    'inflate',
    'nonfinite',
    'optim_wrapper',
    'parts',
    'progress',
    'semi_constructor',
    'flat_cosine_lr',
    'stop_hook',
    'val_loss',
    'vgg',
]
