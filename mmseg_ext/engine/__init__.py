"""Optimiser wrappers and hooks; importing registers them."""

from . import hooks, optim_wrapper, progress

__all__ = ['hooks', 'optim_wrapper', 'progress']
