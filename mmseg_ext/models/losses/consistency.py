"""Losses without labels: a student's logits against what a teacher says of the same pixels.

Sources: FixMatch, https://arxiv.org/abs/2001.07685, per pixel as UniMatch,
https://github.com/LiheYoung/UniMatch (MIT), writes it: the sum over pixels that are sure enough,
divided by the number of **all** pixels that are not ignored, so that an unsure teacher teaches
little. Mean Teacher, https://arxiv.org/abs/1703.01780: the mean squared difference of
probabilities, as https://github.com/charlesCXK/TorchSemiSeg (MIT) applies it to pixels.
Differs from them: ignored pixels do not count in the second either.
Shape letters: N image, K class, H row, W column.
"""

import torch.nn.functional as F
from torch import Tensor


def hard_label_loss(
    logits_NKHW: Tensor, prob_NKHW: Tensor, ignore_NHW: Tensor, *, threshold: float = 0.95
) -> Tensor:
    """Cross entropy with the teacher's most probable class where it is at least that sure.

    Args:
        logits_NKHW: The student's.
        prob_NKHW: The teacher's probabilities, without a gradient.
        ignore_NHW: Bool, true where a pixel does not count.
        threshold: Least probability; 0 takes every pixel.
    """
    confidence, label = prob_NKHW.max(1)
    sure = (confidence >= threshold) & ~ignore_NHW
    loss = F.cross_entropy(logits_NKHW.float(), label, reduction='none')
    return (loss * sure).sum() / (~ignore_NHW).sum().clamp(min=1)


def soft_target_loss(
    logits_NKHW: Tensor, prob_NKHW: Tensor, ignore_NHW: Tensor, *, threshold: float = 0.0
) -> Tensor:
    """Mean squared difference of the probabilities, over classes and pixels that count.

    Args:
        logits_NKHW: The student's.
        prob_NKHW: The teacher's probabilities, without a gradient.
        ignore_NHW: Bool, true where a pixel does not count.
        threshold: As for :func:`hard_label_loss`; Mean Teacher has none.
    """
    counted = ~ignore_NHW
    sure = counted & (prob_NKHW.amax(1) >= threshold) if threshold > 0 else counted
    square = (logits_NKHW.float().softmax(1) - prob_NKHW).square().mean(1)
    return (square * sure).sum() / counted.sum().clamp(min=1)
