"""Soft Dice loss over the pixels of a batch.

Source: the Dice term of FMSI-DeepLab's reference repositories (bubbliiiing/deeplabv3-plus-pytorch,
90dee27): softmax, sums over batch and pixels for each class, plain mean over all classes.
Differs from it: ignored pixels do not count. There, predictions on ignored pixels are false
positives; ``count_ignored=True`` does the same.
Differs from mmseg's ``DiceLoss``: that one drops the *channel* ``ignore_index`` instead of the
pixels.
Shape letters: N image, K class, H row, W column.
"""

from typing import Optional

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

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
    valid_N1HW = valid_NHW.unsqueeze(1)
    known_NHW = label_NHW.where(valid_NHW, label_NHW.new_zeros(()))
    truth_NKHW = F.one_hot(known_NHW, logits_NKHW.shape[1]).permute(0, 3, 1, 2) * valid_N1HW
    prob_NKHW = logits_NKHW.float().softmax(1)
    if not count_ignored:
        # Not a product with the mask, as a non-finite logit of an ignored pixel must not spread.
        prob_NKHW = prob_NKHW.masked_fill(~valid_N1HW, 0.0)
    weight = 1.0 if weight_NHW is None else weight_NHW.float().unsqueeze(1)
    tp = (truth_NKHW * prob_NKHW * weight).sum((0, 2, 3))
    size_NKHW = prob_NKHW.square() if squared else prob_NKHW
    both = ((truth_NKHW + size_NKHW) * weight).sum((0, 2, 3))
    return 1 - ((2 * tp + smooth) / (both + smooth)).mean()


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
