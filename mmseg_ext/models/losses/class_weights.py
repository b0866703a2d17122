"""Class weights that balance classes, computed from pixel counts.

Sources: median frequency: Eigen and Fergus, ICCV 2015, https://arxiv.org/abs/1411.4734, section
6.3.2; effective number: Cui et al., "Class-Balanced Loss", CVPR 2019,
https://arxiv.org/abs/1901.05555, equation 2; complement: the beta of Xie and Tu,
"Holistically-Nested Edge Detection", ICCV 2015, https://arxiv.org/abs/1504.06375, section 2.2, for
each class. Differs from them: a class without a pixel gets the weight 0, where they divide by zero.
Shape letters: N image, K class, H row, W column.
"""

from typing import Optional

import torch
from torch import Tensor

from ...core.choices import CLASS_WEIGHTS as METHODS
from ...core.labels import IGNORE
from ...core.words import check_choice


def count_pixels(label_NHW: Tensor, num_classes: int, *, ignore_index: int = IGNORE) -> Tensor:
    """Count the pixels of each class, and the pixels of all images that contain it.

    Args:
        label_NHW: Class ids.
        num_classes: K.
        ignore_index: Label of pixels that belong to no class.

    Returns:
        int64 ``(2, K)``: first the pixels of each class; then all pixels, also ignored ones, of the
        images that contain it. The sum over batches gives the counts of a data set.
    """
    images = label_NHW.flatten(1).long()
    shift = torch.arange(len(images), device=images.device)[:, None] * num_classes
    places = (images + shift)[images != ignore_index]
    counts_NK = torch.bincount(places, minlength=len(images) * num_classes).view(-1, num_classes)
    seen_NK = (counts_NK > 0) * images.shape[1]
    return torch.stack([counts_NK.sum(0), seen_NK.sum(0)])


def class_weights(
    counts_K: Tensor,
    *,
    method: str = 'median',
    image_pixels_K: Optional[Tensor] = None,
    effective_beta: float = 1 - 1e-6,
) -> Tensor:
    """Compute class weights from pixel counts.

    Args:
        counts_K: n, the number of pixels of each class.
        method: ``'median'``: median(f) / f, where f is the class's share of pixels in the images
            that contain it. ``'effective'``: (1 - b) / (1 - b^n). ``'complement'``: 1 - n / sum(n).
        image_pixels_K: For ``'median'``, number of pixels in the images that contain each class.
        effective_beta: b. Above 1 / (1 - b) pixels, further pixels hardly change the weight. The
            default corresponds to a million pixels and keeps ratios moderate for some hundred
            images.

    Returns:
        float64 ``(K,)``, not normalised, 0 for a class without a pixel.

    Raises:
        ValueError: If the method is unknown, b is not in [0, 1), or ``'median'`` lacks its counts.
    """
    check_choice('method', method, METHODS)
    n = counts_K.double()
    if method == 'median':
        if image_pixels_K is None:
            raise ValueError("'median' needs image_pixels, the pixels of the images of each class")
        share = n / image_pixels_K.double().clamp(min=1)
        weight = _median(share[n > 0]) / share
    elif method == 'effective':
        if not 0 <= effective_beta < 1:
            raise ValueError(f'effective_beta must be in [0, 1), got {effective_beta}')
        base = torch.tensor(effective_beta, dtype=torch.float64, device=n.device)
        weight = (1 - base) / -torch.expm1(n * base.log())
    else:
        weight = 1 - n / n.sum().clamp(min=1)
    return weight.masked_fill(n == 0, 0.0)


def _median(values: Tensor) -> Tensor:
    """Return the median; for an even count the mean of the middle two (torch takes the lower)."""
    if not len(values):
        return values.new_ones(())
    ordered = values.sort().values
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2


def normalize_weights(weight_K: Tensor, counts_K: Tensor) -> Tensor:
    """Scale weights to a mean of 1 over pixels, which keeps the magnitude of the loss."""
    n = counts_K.to(weight_K)
    mean = (weight_K * n).sum() / n.sum().clamp(min=1)
    return weight_K / mean if mean > 0 else torch.ones_like(weight_K)
