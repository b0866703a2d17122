"""Common parts of the losses: the name in mmseg's log and the reduction over pixels."""

from collections.abc import Callable
from typing import Optional

from torch import Tensor, nn

TINY = 1e-8  # lower limit of a given divisor


class NamedLoss(nn.Module):
    """Base class of loss terms as mmseg's heads call them.

    Args:
        loss_weight: Factor of the whole term.
        loss_name: Key in the log; terms that train must start with ``loss_``.
    """

    def __init__(self, loss_weight: float, loss_name: str) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Key of this term in the log."""
        return self._loss_name


def reduce_pixels(
    loss_NHW: Tensor,
    reduction: str,
    avg_factor: Optional[float],
    divisor: Callable[[], Tensor],
) -> Tensor:
    """Reduce pixel losses to a scalar, or return them.

    Args:
        loss_NHW: Loss of each pixel.
        reduction: ``'none'``, ``'sum'`` or ``'mean'``.
        avg_factor: Divisor of the mean; ``None`` takes that of ``divisor``.
        divisor: Function that computes the divisor of the mean, above 0.
    """
    if reduction == 'none':
        return loss_NHW
    if reduction == 'sum':
        return loss_NHW.sum()
    if avg_factor is not None:
        return loss_NHW.sum() / max(float(avg_factor), TINY)
    return loss_NHW.sum() / divisor()
