"""Optimiser wrappers, hooks and loops; importing registers them."""

from . import (
    checkpoint_hook,
    ema_teacher,
    flat_cosine_lr,
    hooks,
    inflate,
    nonfinite,
    optim_wrapper,
    progress,
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
    'progress',
    'flat_cosine_lr',
    'stop_hook',
    'val_loss',
    'vgg',
]
