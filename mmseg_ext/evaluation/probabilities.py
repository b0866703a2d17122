"""Probabilities from what segmentors hand out as logits.

Shape letters: H row, W column, K class.
"""

import torch
from torch import Tensor


def to_prob(logits: Tensor) -> Tensor:
    """Turn what mmseg calls logits into probabilities, ``(K, H, W)``.

    For a single class it has applied the sigmoid already; a segmentor that resizes or refines
    probabilities hands those out under the same name.
    """
    if len(logits) == 1:
        return torch.cat([1 - logits, logits]).float()
    total = logits.sum(dim=0)
    if logits.min() >= 0 and torch.allclose(total, torch.ones_like(total), atol=1e-3):
        return logits.float()
    return logits.float().softmax(dim=0)
