"""A training in which the learning rate rises from step to step, to see where the loss falls.

Source: the range test of Smith, "Cyclical Learning Rates for Training Neural Networks",
arXiv:1506.01186, section 3.3, with exponential steps and a smoothed loss, as is usual since.
"""

import math
from typing import Any, NamedTuple, Optional

import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

_SMOOTH = 0.9  # weight of the steps before
_DIVERGED = 4.0  # times the smallest loss


class RatePoint(NamedTuple):
    """A step: its rate, its loss, and the mean of losses that weighs late ones most."""

    rate: float
    loss: float
    smoothed: float


@HOOKS.register_module()
class RateRangeHook(Hook):
    """Set the rate of each step, note its loss, and stop when the loss has left the range.

    The rates of parts keep their ratio to the optimiser's own. The run stops at a loss that is not
    finite or whose mean is four times the smallest one.

    Args:
        low: Rate of the first step.
        high: Rate of the last one.
        steps: Number of steps, at least 2.
    """

    priority = 'VERY_HIGH'  # before the hook that stops at a loss that is not finite

    def __init__(self, low: float, high: float, steps: int) -> None:
        self.low, self.high, self.steps = low, high, steps
        self.points: list[RatePoint] = []
        self._ratios: list[float] = []
        self._mean = 0.0

    def rate(self, step: int) -> float:
        """The rate of a step, from 0."""
        return self.low * (self.high / self.low) ** (step / (self.steps - 1))

    def before_train(self, runner: Any) -> None:
        """Note how the rates of the optimiser's groups compare."""
        optimizer = runner.optim_wrapper.optimizer
        self._ratios = [group['lr'] / optimizer.defaults['lr'] for group in optimizer.param_groups]

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Optional[Any] = None
    ) -> None:
        """Set the rate of this step."""
        for group, ratio in zip(runner.optim_wrapper.optimizer.param_groups, self._ratios):
            group['lr'] = ratio * self.rate(runner.iter)

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Optional[Any] = None,
        outputs: Optional[dict[str, Any]] = None,
    ) -> None:
        """Note the loss, which this step's rate has not changed yet."""
        loss = float(torch.as_tensor((outputs or {})['loss']).detach())
        self._mean = _SMOOTH * self._mean + (1 - _SMOOTH) * loss
        smoothed = self._mean / (1 - _SMOOTH ** (len(self.points) + 1))
        if math.isfinite(loss):
            self.points.append(RatePoint(self.rate(runner.iter), loss, smoothed))
            best = min(point.smoothed for point in self.points)
            if smoothed <= _DIVERGED * best:
                return
        runner.train_loop.stop_training = True
