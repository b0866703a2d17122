"""Probabilities and logits, from what segmentors hand out under the one name ``seg_logits``.

mmseg's heads of one channel hand out the sigmoid, and so do segmentors that resize or refine
probabilities with theirs; all others hand out logits.
Shape letters: K class, H row, W column.
"""

import torch
from torch import Tensor


def as_probabilities(scores_KHW: Tensor) -> Tensor:
    """Probabilities of an image in float32, ``(K, H, W)``, of two classes at least."""
    scores_KHW = scores_KHW.float()
    if len(scores_KHW) == 1:
        return torch.cat((1 - scores_KHW, scores_KHW))
    return scores_KHW if _add_up_to_one(scores_KHW) else scores_KHW.softmax(0)


def as_logits(scores_KHW: Tensor) -> Tensor:
    """Logits of an image in float32, of the same shape.

    log p is as good as the logits were, because the softmax of log p is p.
    """
    scores_KHW = scores_KHW.float()
    if len(scores_KHW) == 1:
        return scores_KHW.logit(eps=1e-7)
    return scores_KHW.clamp(min=1e-12).log() if _add_up_to_one(scores_KHW) else scores_KHW


def _add_up_to_one(scores_KHW: Tensor) -> bool:
    total_HW = scores_KHW.sum(0)
    one = torch.ones_like(total_HW)
    return bool(scores_KHW.min() >= 0) and torch.allclose(total_HW, one, atol=1e-3)
