"""Optimiser wrappers, hooks and loops; importing registers them."""

from . import (
    checkpoint_hook,
    hooks,
    inflate,
    nonfinite,
    optim_wrapper,
    progress,
    repo_lr,
    stop_hook,
    val_loss,
    vgg,
)

__all__ = [
    'checkpoint_hook',
    'hooks',
    'inflate',
    'nonfinite',
    'optim_wrapper',
    'progress',
    'repo_lr',
    'stop_hook',
    'val_loss',
    'vgg',
]
