"""Softmax focal loss.

Source: Lin et al., "Focal Loss for Dense Object Detection", https://arxiv.org/abs/1708.02002,
equation 5, with a softmax over classes instead of the binary sigmoid: alpha (1 - p)^gamma CE, where
p is the probability of the true class.
Differs from mmseg's ``FocalLoss``: it needs no compiled operator and runs on a CPU; ignored pixels
count neither in the loss nor in its divisor. The reference repositories of FMSI-DeepLab use alpha
0.5 and divide by *all* pixels: ``SoftmaxFocalLoss(alpha=0.5, average='all')``; with class weights
they also multiply p by the weight, which is not done here.
Shape letters: N image, K class, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional, Union

import torch
import torch.nn.functional as F
from mmseg.models.losses.utils import get_class_weight
from mmseg.registry import MODELS
from torch import Tensor

from ...core.labels import IGNORE
from ...core.words import check_choice
from .pixel_loss import NamedLoss, reduce_pixels

_TINY = 1e-8  # keeps the gradient of (1 - p)^gamma finite at p = 1 if gamma < 1


def softmax_focal_loss(
    logits_NKHW: Tensor,
    label_NHW: Tensor,
    *,
    gamma: float = 2.0,
    class_weight: Optional[Tensor] = None,
    ignore_index: int = IGNORE,
) -> Tensor:
    """Compute the loss of each pixel, in float32.

    Args:
        logits_NKHW: Logits before the softmax, shape ``(N, K, ...)``.
        label_NHW: int64 class ids, shape ``(N, ...)``.
        gamma: Focusing exponent; 0 gives the cross entropy.
        class_weight: Factor for the pixels of each true class, shape ``(K,)``.
        ignore_index: Label of ignored pixels, which get the loss 0 and no gradient.

    Returns:
        The loss of each pixel, shape ``(N, ...)``.

    Raises:
        ValueError: If there is not one weight for each class.
    """
    if class_weight is not None and len(class_weight) != logits_NKHW.shape[1]:
        given = f'{len(class_weight)} weights for {logits_NKHW.shape[1]} classes'
        raise ValueError(f'class_weight has {given}: give one for each class')
    ce = F.cross_entropy(
        logits_NKHW.float(), label_NHW, reduction='none', ignore_index=ignore_index
    )
    loss = ce * (-torch.expm1(-ce)).clamp(min=_TINY) ** gamma
    return loss if class_weight is None else loss * _pixel_weight(label_NHW, class_weight)


def _pixel_weight(label: Tensor, class_weight: Tensor) -> Tensor:
    """Look up the weight of each pixel's class; for ignored pixels any weight will do."""
    return class_weight[label.clamp(0, len(class_weight) - 1)]


@MODELS.register_module()
class SoftmaxFocalLoss(NamedLoss):
    """Cross entropy that is reduced for pixels already predicted well.

    Args:
        gamma: Focusing exponent of at least 0; 0 gives the cross entropy.
        alpha: Constant factor.
        class_weight: Weight of each class, as a list or a file that mmseg can read. The mean then
            divides by the sum of weights, as in torch's cross entropy.
        average: Divisor of the mean: ``'valid'`` counts the pixels that are not ignored, ``'all'``
            counts every pixel.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        loss_weight: Factor of the whole term.
        loss_name: Key in the log; terms that train must start with ``loss_``.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        alpha: float = 1.0,
        class_weight: Optional[Union[Sequence[float], str]] = None,
        average: str = 'valid',
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_focal',
    ) -> None:
        super().__init__(loss_weight, loss_name)
        if gamma < 0:
            raise ValueError(f'gamma must be 0 or more, got {gamma}')
        check_choice('average', average, ('valid', 'all'))
        check_choice('reduction', reduction, ('mean', 'sum', 'none'))
        self.gamma = gamma
        self.alpha = alpha
        self.class_weight = get_class_weight(class_weight)
        self.average = average
        self.reduction = reduction

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Optional[Tensor] = None,
        avg_factor: Optional[float] = None,
        reduction_override: Optional[str] = None,
        ignore_index: int = IGNORE,
    ) -> Tensor:
        """Compute the loss as mmseg's heads call it.

        Args:
            cls_score: Logits, shape ``(N, K, H, W)``.
            label: Class ids, shape ``(N, H, W)``.
            weight: Factor for each pixel, for example from a pixel sampler, shape ``(N, H, W)``.
            avg_factor: Divisor of the mean instead of ``average``.
            reduction_override: Reduction for this call only.
            ignore_index: Label of ignored pixels.

        Returns:
            A scalar, or ``(N, H, W)`` without reduction; 0 if all pixels are ignored.
        """
        classes = None if self.class_weight is None else cls_score.new_tensor(self.class_weight)
        loss = softmax_focal_loss(
            cls_score,
            label,
            gamma=self.gamma,
            class_weight=None if classes is None else classes.float(),
            ignore_index=ignore_index,
        )
        loss = self.loss_weight * self.alpha * (loss if weight is None else loss * weight.float())
        return reduce_pixels(
            loss,
            reduction_override or self.reduction,
            avg_factor,
            lambda: self._divisor(label, classes, ignore_index),
        )

    def _divisor(self, label: Tensor, classes: Optional[Tensor], ignore_index: int) -> Tensor:
        counted = torch.ones_like(label) if self.average == 'all' else label != ignore_index
        share = counted.float()
        if classes is not None and self.average == 'valid':
            share = share * _pixel_weight(label, classes.float())
        # Without any valid pixel the numerator is 0 too, so any positive floor gives 0.
        return share.sum().clamp(min=_TINY)
