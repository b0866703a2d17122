"""Turn a segmentor's ``seg_logits`` into probabilities or logits, whichever of them they are.

In mmseg, ``seg_logits`` are already probabilities if the head has one channel (a sigmoid), or if
the segmentor resizes or refines probabilities. Otherwise they are logits.
Shape letters: K class, H row, W column.
"""

import torch
from torch import Tensor


def as_probabilities(scores_KHW: Tensor) -> Tensor:
    """Compute the probabilities of an image, float32, ``(K, H, W)``.

    One channel, the probability of the foreground, becomes two: background and foreground.
    """
    scores_KHW = scores_KHW.float()
    if len(scores_KHW) == 1:
        return torch.cat((1 - scores_KHW, scores_KHW))
    return scores_KHW if _add_up_to_one(scores_KHW) else scores_KHW.softmax(0)


def as_logits(scores_KHW: Tensor) -> Tensor:
    """Compute the logits of an image, float32, of the same shape.

    For probabilities p, log p serves as logits, because the softmax of log p is p.
    """
    scores_KHW = scores_KHW.float()
    if len(scores_KHW) == 1:
        return scores_KHW.logit(eps=1e-7)
    return scores_KHW.clamp(min=1e-12).log() if _add_up_to_one(scores_KHW) else scores_KHW


def _add_up_to_one(scores_KHW: Tensor) -> bool:
    total_HW = scores_KHW.sum(0)
    one = torch.ones_like(total_HW)
    return bool(scores_KHW.min() >= 0) and torch.allclose(total_HW, one, atol=1e-3)
