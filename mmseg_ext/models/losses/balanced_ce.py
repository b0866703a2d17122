"""Balanced cross entropy (B-CE): a factor beta between positive and negative pixels.

Source: Gao et al., "An Enhanced Encoder-Decoder Network Architecture for Reducing Information Loss
in Image Semantic Segmentation", section II.D: -beta log(p) where y = 1, and the factor 1 - beta
otherwise. The paper does not state beta. ``'auto'`` follows "Holistically-Nested Edge Detection",
ICCV 2015, https://arxiv.org/abs/1504.06375, section 2.2.
Differs from it: the paper has two classes; the three modes are three readings of it for more
classes.
Shape letters: N image, K class, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional, Union

import torch
from mmseg.registry import MODELS
from torch import Tensor

from ...core.choices import CLASS_WEIGHTS
from ...core.labels import IGNORE
from ...core.words import check_choice
from .balance import Balance, EachAgainstRest, PerClass, PositiveAgainstRest
from .pixel_loss import NamedLoss, reduce_pixels

_MODES = ('softmax', 'ovr', 'per_class')


@MODELS.register_module()
class BalancedCrossEntropyLoss(NamedLoss):
    """Weight the cross entropy of positive pixels by beta and that of all others by 1 - beta.

    Args:
        beta: In [0, 1], or ``'auto'``: the share of negative pixels in the batch, limited to [0.05,
            0.95]. In training all processes add up their counts, so they use the same beta.
        mode: ``'softmax'``: one softmax, with the ``positive`` classes against all others.
            ``'ovr'``: a sigmoid for each class against the rest, mean over classes; with one or two
            classes this is the paper's formula. ``'per_class'``: one softmax with a weight per
            class from ``weighting``; ``beta`` has no effect.
        positive: Class ids of the positive classes, for ``'softmax'``. ``None`` takes all except
            class 0, the background in VOC.
        rescale: Multiply by 2, so that beta = 0.5 gives the plain cross entropy. The paper's
            formula does not do this.
        weighting: For ``'per_class'``, see ``method`` of :func:`class_weights`. Weights are scaled
            to a mean of 1 over pixels.
        counts: For ``'per_class'``, number of pixels of each class in the data set, as printed by
            ``tools/class_weights.py``; ``None`` counts each batch.
        image_pixels: For ``counts`` and ``weighting='median'``, number of pixels in the images that
            contain each class.
        effective_beta: See :func:`class_weights`.
        class_weight: For ``'per_class'``, given weights, used without scaling instead of
            ``weighting``. (mmseg's ``CrossEntropyLoss`` fails if class weights meet ignored
            labels.)
        avg_non_ignore: Divide by the number of pixels that are not ignored; ``False`` divides by
            all.
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
        check_choice('weighting', weighting, CLASS_WEIGHTS)
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
            weight: Factor for each pixel, for example from a pixel sampler, shape ``(N, H, W)``.
            avg_factor: Divisor of the mean instead of the number of pixels.
            reduction_override: Reduction for this call only.
            ignore_index: Label of ignored pixels.

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
