"""How unsure a model is of a pixel, an image or a region: the scores of active learning.

Source: B. Settles, "Active Learning Literature Survey", 2009, section 3.1 (least confidence,
margin, entropy); N. Houlsby et al., "Bayesian Active Learning for Classification and Preference
Learning", 2011 (BALD); A. Kendall et al., "Bayesian SegNet", 2015 (variance over dropout passes).
Differs from them: the margin is subtracted from 1, so that a larger score is a less certain pixel
throughout. Flip disagreement is BALD over two passes, of the image and of its mirror image.
Shape letters: K class, H row, W column, T pass, R region.
"""

from collections.abc import Callable
from typing import Optional

import torch
from torch import Tensor


def least_confidence(prob_KHW: Tensor) -> Tensor:
    """One minus the largest probability, ``(H, W)``, from 0 to 1 - 1 / K."""
    return 1 - prob_KHW.amax(0)


def margin(prob_KHW: Tensor) -> Tensor:
    """One minus how far the best class lies above the second, ``(H, W)``, from 0 to 1."""
    best, second = prob_KHW.topk(2, dim=0).values
    return 1 - (best - second)


def entropy(prob_KHW: Tensor) -> Tensor:
    """Entropy in nats, ``(H, W)``, from 0 to log K; a probability of 0 adds nothing."""
    return -torch.special.xlogy(prob_KHW, prob_KHW).sum(0)


def bald(prob_TKHW: Tensor) -> Tensor:
    """Entropy of the mean pass minus the mean entropy of the passes, ``(H, W)``, in nats.

    It is 0 where the passes agree, however unsure each is.
    """
    own_HW = torch.stack([entropy(prob_KHW) for prob_KHW in prob_TKHW]).mean(0)
    return bald_of_means(prob_TKHW.mean(0), own_HW)


def bald_of_means(mean_KHW: Tensor, own_HW: Tensor) -> Tensor:
    """As :func:`bald`, of the mean pass and of the mean entropy of the passes."""
    return (entropy(mean_KHW) - own_HW).clamp(min=0)


def variance(prob_TKHW: Tensor) -> Tensor:
    """Variance of each class over the passes (divided by T), averaged over classes, ``(H, W)``."""
    return prob_TKHW.var(0, correction=0).mean(0)


def flip_disagreement(prob_KHW: Tensor, mirrored_KHW: Tensor) -> Tensor:
    """How far the model disagrees with itself on the mirror image, ``(H, W)``, 0 to log 2.

    Args:
        prob_KHW: Of the image.
        mirrored_KHW: Of the image mirrored left to right, as the model answers it.
    """
    return bald(torch.stack((prob_KHW, mirrored_KHW.flip(-1))))


OF_ONE_PASS: dict[str, Callable[[Tensor], Tensor]] = dict(
    least_confidence=least_confidence, margin=margin, entropy=entropy
)
OF_DROPOUT: dict[str, Callable[[Tensor], Tensor]] = dict(bald=bald, variance=variance)
SCORES = (*OF_ONE_PASS, *OF_DROPOUT, 'flip')


def mean_score(values_XHW: Tensor, valid_HW: Optional[Tensor] = None) -> Tensor:
    """Mean over the pixels that count, ``(..., H, W)`` to ``(...)``.

    Args:
        values_XHW: Scores of pixels.
        valid_HW: Pixels that count; all without it. Padding and ignored pixels do not.

    Raises:
        ValueError: If no pixel counts.
    """
    if valid_HW is None:
        return values_XHW.double().mean((-2, -1))
    if not valid_HW.any():
        raise ValueError('no pixel of the image counts: all are ignored or padding')
    return values_XHW[..., valid_HW].double().mean(-1)


def region_means(
    values_XHW: Tensor, regions_HW: Tensor, valid_HW: Optional[Tensor] = None
) -> Tensor:
    """Mean of each region over its pixels that count, ``(..., H, W)`` to ``(..., R)``.

    Args:
        values_XHW: Scores of pixels.
        regions_HW: Number of each pixel's region, int64, from 0.
        valid_HW: Pixels that count; all without it.

    Returns:
        NaN for a region without such a pixel: there is nothing to label in it.
    """
    num = int(regions_HW.max()) + 1
    kept = torch.ones_like(regions_HW, dtype=torch.bool) if valid_HW is None else valid_HW.bool()
    regions_P, values_XP = regions_HW[kept], values_XHW[..., kept].double()
    sums = torch.zeros(*values_XP.shape[:-1], num, dtype=torch.float64, device=values_XP.device)
    sums.index_add_(-1, regions_P, values_XP)
    return sums / torch.bincount(regions_P, minlength=num)
