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
from mmseg.registry import MODELS
from torch import Tensor

from ...core.labels import IGNORE
from ...core.words import check_choice
from .balance import Balance, EachAgainstRest, PerClass, PositiveAgainstRest
from .class_weights import METHODS
from .pixel_loss import NamedLoss, reduce_pixels

_MODES = ('softmax', 'ovr', 'per_class')


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
        check_choice('mode', mode, _MODES)
        check_choice('weighting', weighting, METHODS)
        check_choice('reduction', reduction, ('mean', 'sum', 'none'))
        if beta != 'auto' and (isinstance(beta, str) or not 0 <= beta <= 1):
            raise ValueError(f"beta must be in [0, 1] or 'auto', got {beta!r}")
        if positive is not None and mode != 'softmax':
            raise ValueError(f"positive needs mode='softmax' and class ids, got {positive}")
        for name, value in (('counts', counts), ('class_weight', class_weight)):
            if value is not None and mode != 'per_class':
                raise ValueError(f"{name} needs mode='per_class', not {mode!r}")
        if mode == 'per_class':
            self._balance: Balance = PerClass(
                weighting, counts, image_pixels, effective_beta, class_weight
            )
        elif mode == 'ovr':
            self._balance = EachAgainstRest(beta, rescale=rescale)
        else:
            self._balance = PositiveAgainstRest(beta, positive, rescale=rescale)
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
        loss = self._balance.loss(cls_score, label, ignore_index) * self.loss_weight
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
        return self._balance.of(label, num_classes, ignore_index)
