"""Optimiser wrappers, hooks and loops; importing registers them."""

from . import (
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
