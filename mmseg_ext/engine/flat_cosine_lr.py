"""Learning rate of the reference repository as a function of the absolute epoch.

Source: ``get_lr_scheduler`` ("cos") of bubbliiiing/deeplabv3-plus-pytorch (90dee27): three epochs
of quadratic warm-up from a tenth of the rate, then cosine, then constant. The rate is set once per
epoch.
Differs from it: nothing. The schedulers of ``configs/fmsi/_base_voc12aug.py`` give the same curve
for a run that starts at epoch 0; this hook also works for a run that starts at a later epoch.
"""

import math
from typing import Any

from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from .step_hook import wrappers_of


def flat_cosine_lr(
    epoch: int, lr_max: float, lr_min: float, *, epochs: int = 100, flat: int = 15, warmup: int = 3
) -> float:
    """Return the learning rate of an epoch.

    Args:
        epoch: Absolute epoch, from 0.
        lr_max: Largest learning rate, already scaled for the batch size.
        lr_min: Smallest rate.
        epochs: Length of the whole training.
        flat: Epochs at ``lr_min`` at its end.
        warmup: Epochs of warm-up.
    """
    if epoch <= warmup:
        return 0.1 * lr_max + 0.9 * lr_max * (epoch / warmup) ** 2
    if epoch >= epochs - flat:
        return lr_min
    phase = math.pi * (epoch - warmup) / (epochs - warmup - flat)
    return lr_min + 0.5 * (lr_max - lr_min) * (1 + math.cos(phase))


@HOOKS.register_module()
class FlatCosineLrHook(Hook):
    """Set the learning rate of all parameter groups by :func:`flat_cosine_lr` before each epoch.

    Where a run has several optimisers, those of the first one: the others' rates have another size.

    Args:
        lr_max: Largest learning rate, already scaled for the batch size. Multipliers are ignored.
        lr_min: Smallest rate.
        first_epoch: Absolute epoch at which this run starts.
        epochs: Length of the whole training in epochs, over all its runs.
        flat: Epochs at ``lr_min`` at its end.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        *,
        lr_max: float,
        lr_min: float,
        first_epoch: int = 0,
        epochs: int = 100,
        flat: int = 15,
    ) -> None:
        self.lr_max, self.lr_min = lr_max, lr_min
        self.first_epoch, self.epochs, self.flat = first_epoch, epochs, flat

    def before_train_epoch(self, runner: Any) -> None:
        """Set the learning rate of the next epoch."""
        epoch = self.first_epoch + runner.epoch
        rate = flat_cosine_lr(epoch, self.lr_max, self.lr_min, epochs=self.epochs, flat=self.flat)
        first = next(iter(wrappers_of(runner.optim_wrapper)))
        for group in first.param_groups:
            group['lr'] = rate
