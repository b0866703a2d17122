"""Class weights for the three readings of B-CE with more than two classes.

Source: see :mod:`.balanced_ce`. beta is in [0, 1], or ``'auto'`` for the share of negative pixels
in a batch. ``rescale`` multiplies the loss by 2, so that beta = 0.5 gives the plain cross entropy.
Shape letters: N image, K class, G group of classes, H row, W column.
"""

from collections.abc import Callable, Sequence
from typing import Optional, Union

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor

from ...core.labels import IGNORE
from .class_weights import class_weights, count_pixels, normalize_weights

_BOUNDS = (0.05, 0.95)  # limits of an automatic beta, for batches without some class


def weighted_cross_entropy(
    logits_NKHW: Tensor, label_NHW: Tensor, weight_K: Tensor, *, ignore_index: int = IGNORE
) -> Tensor:
    """Multiply the softmax cross entropy of each pixel by the weight of its class, in float32.

    Returns:
        ``(N, H, W)``, 0 for ignored pixels.
    """
    loss = F.cross_entropy(
        logits_NKHW.float(), label_NHW, reduction='none', ignore_index=ignore_index
    )
    return loss * weight_K.float()[label_NHW.clamp(0, len(weight_K) - 1)]


def one_vs_rest_cross_entropy(
    logits_NKHW: Tensor, label_NHW: Tensor, beta_K: Tensor, *, ignore_index: int = IGNORE
) -> Tensor:
    """Balance each class against all others: -b y log s(x) - (1 - b) (1 - y) log(1 - s(x)).

    Args:
        logits_NKHW: x, the logits before the sigmoid s. With K = 1, x is the logit of label 1.
        label_NHW: Class ids.
        beta_K: b for each class.
        ignore_index: Label of ignored pixels, which get the loss 0 and no gradient.

    Returns:
        ``(N, H, W)``, mean over classes, in float32.
    """
    x = logits_NKHW.float()
    classes = torch.arange(x.shape[1], device=x.device) + (x.shape[1] == 1)
    truth = label_NHW.unsqueeze(1) == classes.view(1, -1, 1, 1)
    b = beta_K.to(x).view(1, -1, 1, 1)
    loss = torch.where(truth, b * F.softplus(-x), (1 - b) * F.softplus(x)).mean(1)
    return loss.masked_fill(label_NHW == ignore_index, 0.0)


class Balance:
    """Base class of the three readings: a weight for each class, and the weighted pixel loss."""

    pixel: Callable[..., Tensor] = staticmethod(weighted_cross_entropy)

    def __init__(self, scale: float = 1) -> None:
        self.scale = scale

    def of(self, label_NHW: Tensor, num_classes: int, ignore_index: int) -> Tensor:
        """Return the weight of each class, ``(K,)``, for the labels of a batch."""
        raise NotImplementedError

    def loss(self, logits_NKHW: Tensor, label_NHW: Tensor, ignore_index: int) -> Tensor:
        """Return the loss of each pixel, ``(N, H, W)``, 0 where ignored."""
        weight_K = self.of(label_NHW, logits_NKHW.shape[1], ignore_index).to(logits_NKHW.device)
        return self.scale * self.pixel(logits_NKHW, label_NHW, weight_K, ignore_index=ignore_index)


class PositiveAgainstRest(Balance):
    """Weight beta for the positive classes and 1 - beta for all others.

    Args:
        beta: Weight of the positive classes, or ``'auto'``.
        positive: Class ids of the positive classes; ``None`` takes all except class 0.
        rescale: Multiply the loss by 2.
    """

    def __init__(
        self, beta: Union[float, str], positive: Optional[Sequence[int]], *, rescale: bool
    ) -> None:
        if positive is not None and (not positive or min(positive) < 0):
            raise ValueError(f"positive needs mode='softmax' and class ids, got {positive}")
        super().__init__(2 if rescale else 1)
        self.beta = beta
        self.positive = None if positive is None else tuple(positive)

    def of(self, label_NHW: Tensor, num_classes: int, ignore_index: int) -> Tensor:
        """Weight of each class, ``(K,)``."""
        positive_K = self._positive(num_classes)
        beta = _beta(self.beta, label_NHW, num_classes, ignore_index, positive_K[None])
        return torch.where(positive_K.to(beta.device) > 0, beta, 1 - beta)

    def _positive(self, num_classes: int) -> Tensor:
        ids = range(1, num_classes) if self.positive is None else self.positive
        if num_classes < 2 or max(ids) >= num_classes:
            raise ValueError(
                f"mode='softmax' with positive={self.positive} does not fit {num_classes} output "
                "channels: name ids below their number; a single channel needs mode='ovr'"
            )
        return torch.zeros(num_classes).index_fill(0, torch.tensor(list(ids)), 1.0)


class EachAgainstRest(Balance):
    """Weight beta for each class against all others."""

    pixel = staticmethod(one_vs_rest_cross_entropy)

    def __init__(self, beta: Union[float, str], *, rescale: bool) -> None:
        super().__init__(2 if rescale else 1)
        self.beta = beta

    def of(self, label_NHW: Tensor, num_classes: int, ignore_index: int) -> Tensor:
        """Return beta of each class, ``(K,)``."""
        return _beta(self.beta, label_NHW, num_classes, ignore_index, torch.eye(num_classes))


class PerClass(Balance):
    """One weight per class, computed from its share of the pixels or given.

    Args:
        weighting: See ``method`` of :func:`class_weights`; weights are scaled to a mean of 1 over
            pixels.
        counts: Number of pixels of each class; ``None`` counts each batch.
        image_pixels: Number of pixels in the images that contain each class.
        effective_beta: See :func:`class_weights`.
        class_weight: Given weights, used without scaling instead of ``weighting``.
    """

    def __init__(
        self,
        weighting: str,
        counts: Optional[Sequence[float]],
        image_pixels: Optional[Sequence[float]],
        effective_beta: float,
        class_weight: Optional[Sequence[float]],
    ) -> None:
        super().__init__()
        if counts is not None and class_weight is not None:
            raise ValueError('counts and class_weight both set the weights: give one of them')
        self.weighting, self.effective_beta = weighting, effective_beta
        self.given = _given_counts(counts, image_pixels, weighting)
        self.class_weight = None if class_weight is None else tuple(class_weight)

    def of(self, label_NHW: Tensor, num_classes: int, ignore_index: int) -> Tensor:
        """Weight of each class, ``(K,)``."""
        if self.class_weight is not None:
            if len(self.class_weight) != num_classes:
                given = len(self.class_weight)
                raise ValueError(f'class_weight has {given} classes, the head {num_classes}')
            return torch.tensor(self.class_weight)
        counts = self.given
        if counts is None:
            counts = _shared(count_pixels(label_NHW, num_classes, ignore_index=ignore_index))
        elif counts.shape[1] != num_classes:
            raise ValueError(f'counts has {counts.shape[1]} classes, the head {num_classes}')
        weight_K = class_weights(
            counts[0],
            method=self.weighting,
            image_pixels_K=counts[1],
            effective_beta=self.effective_beta,
        )
        return normalize_weights(weight_K, counts[0])


def _beta(
    beta: Union[float, str], label_NHW: Tensor, num_classes: int, ignored: int, groups_GK: Tensor
) -> Tensor:
    """Return beta of each group of positive classes, ``(G,)``."""
    if beta != 'auto':
        return torch.full((len(groups_GK),), float(beta))
    if num_classes == 1:  # one logit for two labels, of which the second is positive
        num_classes, groups_GK = 2, torch.tensor([[0.0, 1.0]])
    counts = _shared(count_pixels(label_NHW, num_classes, ignore_index=ignored))[0].double().cpu()
    if not counts.sum():
        return torch.full((len(groups_GK),), 0.5)
    share_G = (groups_GK.double() @ counts) / counts.sum()
    return (1 - share_G).clamp(*_BOUNDS)


def _shared(counts: Tensor) -> Tensor:
    """Sum counts over processes in training; in validation they may differ in number of batches."""
    if torch.is_grad_enabled():
        all_reduce(counts)
    return counts


def _given_counts(
    counts: Optional[Sequence[float]], image_pixels: Optional[Sequence[float]], weighting: str
) -> Optional[Tensor]:
    if counts is None:
        return None
    if weighting == 'median' and image_pixels is None:
        raise ValueError("counts with weighting='median' needs image_pixels, too")
    both = (counts, counts if image_pixels is None else image_pixels)
    if len(both[0]) != len(both[1]):
        raise ValueError(f'counts has {len(both[0])} classes, image_pixels {len(both[1])}')
    return torch.tensor([list(part) for part in both], dtype=torch.float64)
