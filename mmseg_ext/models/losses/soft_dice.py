"""Soft Dice loss over the pixels of a batch.

Source: the Dice term of FMSI-DeepLab's reference repositories (bubbliiiing/deeplabv3-plus-pytorch,
90dee27): softmax, sums over batch and pixels for each class, plain mean over all classes.
Differs from it: ignored pixels do not count. There, predictions on ignored pixels are false
positives; ``count_ignored=True`` does the same.
Differs from mmseg's ``DiceLoss``: that one drops the *channel* ``ignore_index`` instead of the
pixels.
Shape letters: N image, K class, H row, W column.
"""

from typing import Any, Optional

import torch
from mmseg.registry import MODELS
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...core.labels import IGNORE
from .pixel_loss import NamedLoss


def soft_dice_loss(
    logits_NKHW: Tensor,
    label_NHW: Tensor,
    *,
    smooth: float = 1e-5,
    ignore_index: int = IGNORE,
    weight_NHW: Optional[Tensor] = None,
    count_ignored: bool = False,
    squared: bool = False,
) -> Tensor:
    """Compute 1 - mean over classes of (2 tp + s) / (2 tp + fp + fn + s), in float32.

    Args:
        logits_NKHW: Logits before the softmax, shape ``(N, K, H, W)``.
        label_NHW: Class ids, shape ``(N, H, W)``.
        smooth: s. It gives a class without any pixel or probability the score 1.
        ignore_index: Label of ignored pixels.
        weight_NHW: Factor for each pixel.
        count_ignored: Count predictions on ignored pixels as false positives.
        squared: Square the probabilities in the denominator, as V-Net, TransUNet and Swin-UNet do.

    Returns:
        A scalar in [0, 1).
    """
    valid_NHW = label_NHW != ignore_index
    known_NHW = label_NHW.where(valid_NHW, label_NHW.new_zeros(()))
    weight_NHW = None if weight_NHW is None else weight_NHW.float()
    hit_NHW = valid_NHW.float() if weight_NHW is None else valid_NHW * weight_NHW
    tp_K, size_K = _ClassSums.apply(
        logits_NKHW, known_NHW, hit_NHW, weight_NHW, None if count_ignored else ~valid_NHW, squared
    )
    both_K = size_K + _sum_by_class(hit_NHW, known_NHW, logits_NKHW.shape[1])
    return 1 - ((2 * tp_K + smooth) / (both_K + smooth)).mean()


def _sum_by_class(value_NHW: Tensor, label_NHW: Tensor, num_classes: int) -> Tensor:
    """Sum the pixels of each label in float64, where the order does not matter; return float32."""
    sums_K = torch.zeros(num_classes, dtype=torch.float64, device=value_NHW.device)
    return sums_K.index_add_(0, label_NHW.flatten(), value_NHW.flatten().double()).float()


class _ClassSums(torch.autograd.Function):
    """Sum the probability of the true class over its pixels, and that of each class over all.

    The same in torch's operators needs maps of labels as large as the logits, and as many passes.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        logits_NKHW: Tensor,
        label_NHW: Tensor,
        hit_NHW: Tensor,
        weight_NHW: Optional[Tensor],
        hidden_NHW: Optional[Tensor],
        squared: bool,
    ) -> tuple[Tensor, Tensor]:
        prob_NKHW = logits_NKHW.softmax(1, dtype=torch.float32)
        if hidden_NHW is not None:
            # Not a product, as a non-finite logit of an ignored pixel must not spread.
            prob_NKHW.masked_fill_(hidden_NHW.unsqueeze(1), 0.0)
        hit_prob_NHW = hit_NHW * prob_NKHW.gather(1, label_NHW.unsqueeze(1)).squeeze(1)
        tp_K = _sum_by_class(hit_prob_NHW, label_NHW, prob_NKHW.shape[1])
        size_NKHW = prob_NKHW.square() if squared else prob_NKHW
        if weight_NHW is not None:
            size_NKHW = size_NKHW * weight_NHW.unsqueeze(1)
        ctx.save_for_backward(prob_NKHW, label_NHW, hit_NHW, weight_NHW)
        ctx.squared, ctx.dtype = squared, logits_NKHW.dtype
        return tp_K, size_NKHW.sum((0, 2, 3))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tp_grad_K: Tensor, size_grad_K: Tensor) -> tuple:  # type: ignore[override]
        prob_NKHW, label_NHW, hit_NHW, weight_NHW = ctx.saved_tensors
        size_grad_K111 = size_grad_K.view(-1, 1, 1)
        if ctx.squared:
            grad_NKHW = prob_NKHW * (2 * size_grad_K111)
        else:
            grad_NKHW = size_grad_K111.expand_as(prob_NKHW).contiguous()
        if weight_NHW is not None:
            grad_NKHW *= weight_NHW.unsqueeze(1)
        true_N1HW = label_NHW.unsqueeze(1)
        at_truth_N1HW = grad_NKHW.gather(1, true_N1HW)
        at_truth_N1HW += (tp_grad_K[label_NHW] * hit_NHW).unsqueeze(1)
        grad_NKHW.scatter_(1, true_N1HW, at_truth_N1HW)
        grad_NKHW = torch.ops.aten._softmax_backward_data(grad_NKHW, prob_NKHW, 1, torch.float32)
        return grad_NKHW.to(ctx.dtype), None, None, None, None, None


@MODELS.register_module()
class SoftDiceLoss(NamedLoss):
    """Loss of 1 minus the overlap of probabilities and labels, with equal weight for each class.

    Args:
        smooth: Added to numerator and denominator of each class.
        count_ignored: Count predictions on ignored pixels as false positives, as in the reference
            repositories.
        squared: Square the probabilities in the denominator, see :func:`soft_dice_loss`.
        loss_weight: Factor of the whole term.
        loss_name: Key in the log; terms that train must start with ``loss_``.
    """

    def __init__(
        self,
        smooth: float = 1e-5,
        *,
        count_ignored: bool = False,
        squared: bool = False,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_dice',
    ) -> None:
        super().__init__(loss_weight, loss_name)
        self.smooth = smooth
        self.count_ignored = count_ignored
        self.squared = squared

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Optional[Tensor] = None,
        ignore_index: int = IGNORE,
    ) -> Tensor:
        """Compute the loss as mmseg's heads call it; see :func:`soft_dice_loss` for the shapes."""
        return self.loss_weight * soft_dice_loss(
            cls_score,
            label,
            smooth=self.smooth,
            ignore_index=ignore_index,
            weight_NHW=weight,
            count_ignored=self.count_ignored,
            squared=self.squared,
        )
