"""Losses of a network and a discriminator that judges each pixel of its predictions.

Sources: "Semantic Segmentation using Adversarial Networks", https://arxiv.org/abs/1611.08408, and
"Adversarial Learning for Semi-Supervised Semantic Segmentation",
https://arxiv.org/abs/1802.07934, section 3.3.
Differs from them: nothing. All are means over the pixels that count, and 0 where none does.
Shape letters: N image, K class, H row, W column.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def judged_loss(logits: Tensor, valid: Tensor, *, true: bool) -> Tensor:
    """Binary cross entropy of a discriminator's logits with one answer for all pixels.

    Args:
        logits: The discriminator's, of any shape; positive for true.
        valid: Bool, true where a pixel counts.
        true: The answer: are these maps true ones?
    """
    logits = logits.float()
    return _mean(F.softplus(-logits if true else logits), valid)


def judged_right(logits: Tensor, valid: Tensor, *, true: bool) -> Tensor:
    """Share of pixels that a discriminator tells right; arguments of :func:`judged_loss`."""
    return _mean(((logits > 0) == true).float(), valid)


def self_label_loss(logits_NKHW: Tensor, accepted_NHW: Tensor) -> Tensor:
    """Cross entropy with the most probable class itself, where it is accepted.

    Args:
        logits_NKHW: The network's.
        accepted_NHW: Bool, true where a label is taken.
    """
    logits = logits_NKHW.float()
    label = logits.detach().argmax(1)
    return _mean(F.cross_entropy(logits, label, reduction='none'), accepted_NHW)


def one_hot(label_NHW: Tensor, num_classes: int, *, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Label maps as a discriminator sees them, and where they say something.

    Args:
        label_NHW: Class ids; what is no class counts nowhere.
        num_classes: K.
        ignore_index: Label that counts nowhere.

    Returns:
        ``(N, K, H, W)``, 0 for all classes at ignored pixels, and bool ``(N, H, W)``.
    """
    valid = (label_NHW >= 0) & (label_NHW < num_classes) & (label_NHW != ignore_index)
    classes = torch.arange(num_classes, device=label_NHW.device)
    same = label_NHW.unsqueeze(1) == classes[:, None, None]
    return (same & valid.unsqueeze(1)).float(), valid


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    return torch.where(counts, values, 0).sum() / counts.sum().clamp(min=1)
