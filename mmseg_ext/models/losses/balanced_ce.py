"""Balanced cross entropy (B-CE): a factor beta between positive and negative pixels.

Source: Gao et al., "An Enhanced Encoder-Decoder Network Architecture for Reducing Information Loss
in Image Semantic Segmentation", section II.D: -beta log(p) where y = 1, with 1 - beta otherwise;
beta's value is not stated. ``'auto'`` is that of "Holistically-Nested Edge Detection", ICCV 2015,
https://arxiv.org/abs/1504.06375, section 2.2.
Differs from it: the paper has two classes; the three modes are three readings for more.
Shape letters: N image, K class, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional, Union

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmseg.registry import MODELS
from torch import Tensor

from ...core.labels import IGNORE
from .class_weights import METHODS, class_weights, count_pixels, normalize_weights
from .pixel_loss import NamedLoss, reduce_pixels

_MODES = ('softmax', 'ovr', 'per_class')
_BOUNDS = (0.05, 0.95)  # of an automatic beta: a class that is absent must not silence the rest


def weighted_cross_entropy(
    logits_NKHW: Tensor, label_NHW: Tensor, weight_K: Tensor, *, ignore_index: int = IGNORE
) -> Tensor:
    """Multiply the softmax cross entropy of each pixel by the weight of its class, in float32.

    Returns:
        ``(N, H, W)``, 0 on ignored pixels.
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
        logits_NKHW: x, scores before the sigmoid s. With K = 1 it is the score of label 1.
        label_NHW: Class ids.
        beta_K: b of each class.
        ignore_index: Label whose pixels get the loss 0 and no gradient.

    Returns:
        ``(N, H, W)``, mean over classes, in float32.
    """
    x = logits_NKHW.float()
    classes = torch.arange(x.shape[1], device=x.device) + (x.shape[1] == 1)
    truth = label_NHW.unsqueeze(1) == classes.view(1, -1, 1, 1)
    b = beta_K.to(x).view(1, -1, 1, 1)
    loss = torch.where(truth, b * F.softplus(-x), (1 - b) * F.softplus(x)).mean(1)
    return loss.masked_fill(label_NHW == ignore_index, 0.0)


@MODELS.register_module()
class BalancedCrossEntropyLoss(NamedLoss):
    """Weigh the cross entropy of positive pixels by beta and of the others by 1 - beta.

    Args:
        beta: In [0, 1], or ``'auto'``: the share of negative pixels in the batch, kept in [0.05,
            0.95]. In training all processes share their counts, so that they agree on it.
        mode: ``'softmax'``: pixels of the ``positive`` classes against all others, in one softmax.
            ``'ovr'``: every class against the rest by a sigmoid of its own, mean over classes; with
            one or two classes it is the paper's formula. ``'per_class'``: a softmax with one weight
            per class, by ``weighting``; ``beta`` has no effect.
        positive: Ids of the positive classes of ``'softmax'``; ``None`` is all but class 0, the
            background of VOC.
        rescale: Multiply by 2, so that beta = 0.5 is the plain cross entropy; the paper's formula
            does not.
        weighting: Of ``'per_class'``, see ``method`` of :func:`class_weights`. The weights are
            scaled so that their mean over pixels is 1.
        counts: Pixels of each class in the data set, of ``'per_class'``; ``None`` counts each
            batch. ``tools/class_weights.py`` prints them.
        image_pixels: With ``counts`` and ``weighting='median'``, pixels of the images in which each
            class occurs.
        effective_beta: See :func:`class_weights`.
        class_weight: Weights of ``'per_class'`` as they are, not scaled, in place of ``weighting``;
            mmseg's ``CrossEntropyLoss`` fails at class weights where labels are ignored.
        avg_non_ignore: Divide by the pixels that are not ignored; ``False`` divides by all.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        loss_weight: Factor of the whole term.
        loss_name: Key in the log; terms that train must start with ``loss_``.

    Raises:
        ValueError: If an argument is out of range, or belongs to another mode.
    """

    def __init__(
        self,
        beta: Union[float, str] = 'auto',
        *,
        mode: str = 'softmax',
        positive: Optional[Sequence[int]] = None,
        rescale: bool = True,
        weighting: str = 'complement',
        counts: Optional[Sequence[float]] = None,
        image_pixels: Optional[Sequence[float]] = None,
        effective_beta: float = 1 - 1e-6,
        class_weight: Optional[Sequence[float]] = None,
        avg_non_ignore: bool = True,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_balanced_ce',
    ) -> None:
        super().__init__(loss_weight, loss_name)
        _check_choice('mode', mode, _MODES)
        _check_choice('weighting', weighting, METHODS)
        _check_choice('reduction', reduction, ('mean', 'sum', 'none'))
        if beta != 'auto' and (isinstance(beta, str) or not 0 <= beta <= 1):
            raise ValueError(f"beta must be in [0, 1] or 'auto', got {beta!r}")
        if positive is not None and (mode != 'softmax' or not positive or min(positive) < 0):
            raise ValueError(f"positive needs mode='softmax' and class ids, got {positive}")
        for name, value in (('counts', counts), ('class_weight', class_weight)):
            if value is not None and mode != 'per_class':
                raise ValueError(f"{name} needs mode='per_class', not {mode!r}")
        if counts is not None and class_weight is not None:
            raise ValueError('counts and class_weight both set the weights: give one of them')
        self.beta, self.mode, self.rescale = beta, mode, rescale
        self.positive = None if positive is None else tuple(positive)
        self.weighting, self.effective_beta = weighting, effective_beta
        self.given = _given_counts(counts, image_pixels, weighting)
        self.class_weight = None if class_weight is None else tuple(class_weight)
        self.avg_non_ignore = avg_non_ignore
        self.reduction = reduction

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Optional[Tensor] = None,
        avg_factor: Optional[float] = None,
        reduction_override: Optional[str] = None,
        ignore_index: int = IGNORE,
    ) -> Tensor:
        """Compute the loss as mmseg's heads call it.

        Args:
            cls_score: Logits, shape ``(N, K, H, W)``.
            label: Class ids, shape ``(N, H, W)``.
            weight: Factor of each pixel, such as a sampler's, shape ``(N, H, W)``.
            avg_factor: Divisor of the mean in place of the number of pixels.
            reduction_override: Reduction of this call.
            ignore_index: Label of pixels that do not count.

        Returns:
            A scalar, or ``(N, H, W)`` without reduction; 0 if all pixels are ignored.

        Raises:
            ValueError: If the number of classes does not fit the settings.
        """
        pixel = one_vs_rest_cross_entropy if self.mode == 'ovr' else weighted_cross_entropy
        balance_K = self.balance(label, cls_score.shape[1], ignore_index).to(cls_score.device)
        loss = pixel(cls_score, label, balance_K, ignore_index=ignore_index) * self.loss_weight
        if self.rescale and self.mode != 'per_class':
            loss = 2 * loss
        loss = loss if weight is None else loss * weight.float()
        counted = label != ignore_index if self.avg_non_ignore else torch.ones_like(label)
        return reduce_pixels(
            loss,
            reduction_override or self.reduction,
            avg_factor,
            lambda: counted.sum().clamp(min=1),
        )

    def balance(self, label: Tensor, num_classes: int, ignore_index: int = IGNORE) -> Tensor:
        """Return beta of each class for ``'ovr'``, else the weight of each class, ``(K,)``."""
        if self.mode == 'per_class':
            return self._weights(label, num_classes, ignore_index)
        if self.mode == 'ovr':
            return self._beta(label, num_classes, ignore_index, torch.eye(num_classes))
        positive = self._positive(num_classes)
        beta = self._beta(label, num_classes, ignore_index, positive[None])
        return torch.where(positive.to(beta.device) > 0, beta, 1 - beta)

    def _beta(self, label: Tensor, num_classes: int, ignored: int, groups_GK: Tensor) -> Tensor:
        """Return beta of each group of positive classes, ``(G,)``."""
        if self.beta != 'auto':
            return torch.full((len(groups_GK),), float(self.beta))
        if num_classes == 1:  # one score for two labels, the second of them positive
            num_classes, groups_GK = 2, torch.tensor([[0.0, 1.0]])
        counts = _shared(count_pixels(label, num_classes, ignore_index=ignored))[0].double().cpu()
        if not counts.sum():
            return torch.full((len(groups_GK),), 0.5)
        share_G = (groups_GK.double() @ counts) / counts.sum()
        return (1 - share_G).clamp(*_BOUNDS)

    def _positive(self, num_classes: int) -> Tensor:
        ids = range(1, num_classes) if self.positive is None else self.positive
        if num_classes < 2 or max(ids) >= num_classes:
            raise ValueError(
                f"mode='softmax' with positive={self.positive} does not fit {num_classes} output "
                "channels: name ids below their number; a single channel needs mode='ovr'"
            )
        return torch.zeros(num_classes).index_fill(0, torch.tensor(list(ids)), 1.0)

    def _weights(self, label: Tensor, num_classes: int, ignored: int) -> Tensor:
        if self.class_weight is not None:
            if len(self.class_weight) != num_classes:
                given = len(self.class_weight)
                raise ValueError(f'class_weight has {given} classes, the head {num_classes}')
            return torch.tensor(self.class_weight)
        counts = self.given
        if counts is None:
            counts = _shared(count_pixels(label, num_classes, ignore_index=ignored))
        elif counts.shape[1] != num_classes:
            raise ValueError(f'counts has {counts.shape[1]} classes, the head {num_classes}')
        weight_K = class_weights(
            counts[0],
            method=self.weighting,
            image_pixels_K=counts[1],
            effective_beta=self.effective_beta,
        )
        return normalize_weights(weight_K, counts[0])


def _shared(counts: Tensor) -> Tensor:
    """Sum counts over processes, in training only: validation batches may differ in number."""
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


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f'{name} must be one of {tuple(choices)}, got {value!r}')
