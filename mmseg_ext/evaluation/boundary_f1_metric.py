"""Boundary F1 (BF): the share of outline pixels that match within a tolerance.

Source: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013, as
"SegNet", PAMI 2017, https://arxiv.org/abs/1511.00561, section 4.1, uses it. For each image and each
class in ground truth or prediction, it is the F1 of precision (share of predicted outline pixels
near a true one) and recall (the reverse). The tolerance is 0.75 % of the image diagonal. Scores are
averaged over classes, then over images.
Differs from it: distances come from a distance transform, so several pixels may match the same one.
The authors match outline pixels one to one (BSDS); the score here is never below theirs. The
outline of a class consists of its pixels with a neighbour above, below, left or right of another
class. The image border and unlabelled pixels make no outline. This is not mmseg's ``mFscore``,
which counts pixels of regions.
Shape letters: H row, W column, K class.
"""

import math
from typing import Optional

import cv2
import numpy as np
from mmseg.registry import METRICS

from ..core.labels import IGNORE
from .confusion import nanmean
from .label_map_metric import LabelMapMetric


def outline(mask_HW: np.ndarray, valid_HW: np.ndarray) -> np.ndarray:
    """Mark the mask pixels that touch a valid pixel outside of the mask; bool (H, W)."""
    inside, outside = mask_HW & valid_HW, ~mask_HW & valid_HW
    beside = np.zeros_like(outside)
    beside[1:] |= outside[:-1]
    beside[:-1] |= outside[1:]
    beside[:, 1:] |= outside[:, :-1]
    beside[:, :-1] |= outside[:, 1:]
    return inside & beside


def boundary_f1(
    pred_HW: np.ndarray,
    label_HW: np.ndarray,
    num_classes: int,
    *,
    tolerance: float = 0.0075,
    ignore_index: int = IGNORE,
) -> np.ndarray:
    """Score the outlines of one image.

    ============================================= ===== outlines of a class score
    ============================================= ===== in truth and prediction F1 in one of them
    only 0 in neither (class absent, or the whole image) NaN
    ============================================= =====

    Args:
        pred_HW: Predicted class ids.
        label_HW: True class ids.
        num_classes: K.
        tolerance: Largest distance of a match, as a share of the image diagonal.
        ignore_index: Label of ignored pixels, which belong to no mask and make no outline.

    Returns:
        float64 ``(K,)`` in [0, 1].

    Raises:
        ValueError: If the sizes differ.
    """
    if pred_HW.shape != label_HW.shape or pred_HW.ndim != 2:
        raise ValueError(f'prediction {pred_HW.shape}, label map {label_HW.shape}: sizes differ')
    valid, reach = label_HW != ignore_index, tolerance * math.hypot(*label_HW.shape)
    scores = np.full(num_classes, np.nan)
    for k in range(num_classes):
        guess, truth = (outline(m == k, valid) for m in (pred_HW, label_HW))
        if guess.any() and truth.any():
            precision, recall = _near(guess, truth, reach), _near(truth, guess, reach)
            total = precision + recall
            scores[k] = 2 * precision * recall / total if total else 0.0
        elif guess.any() or truth.any():
            scores[k] = 0.0
    return scores


def _near(points_HW: np.ndarray, others_HW: np.ndarray, reach: float) -> float:
    """Return the share of points that have one of ``others_HW`` within ``reach`` pixels."""
    away = cv2.distanceTransform((~others_HW).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # tolerance for float32 rounding: sqrt(20) must be within a reach of sqrt(20)
    return float((away[points_HW] <= reach * (1 + 1e-6)).mean())


@METRICS.register_module()
class BoundaryF1Metric(LabelMapMetric):
    """Report BF beside :class:`SegMetric`.

    ``evaluate`` sets :attr:`intervals` and returns per cent: ``BF``, the mean over the classes of
    an image, then over images; and ``BF.<class>``, the mean over the images in which the class has
    an outline. NaN is left out.

    Args:
        tolerance: See :func:`boundary_f1`; 0.0075 is 4.5 pixels at 480x360.
        ignore_index: Label of ignored pixels; None takes ``ignore_index`` of the data set's meta
            information, or 255 if it has none.
        collect_device: As in mmengine's metrics.
        prefix: Prefix of the score names.

    Raises:
        ValueError: If the tolerance is negative.
    """

    def __init__(
        self,
        *,
        tolerance: float = 0.0075,
        ignore_index: Optional[int] = None,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__(ignore_index=ignore_index, collect_device=collect_device, prefix=prefix)
        if not tolerance >= 0:
            raise ValueError(
                f'tolerance, a share of the diagonal, must not be below 0: {tolerance}'
            )
        self.tolerance = tolerance

    def score(self, pred_HW: np.ndarray, label_HW: np.ndarray) -> np.ndarray:
        """Return the :func:`boundary_f1` of one image, ``(K,)``."""
        return boundary_f1(
            pred_HW,
            label_HW,
            len(self.class_names),
            tolerance=self.tolerance,
            ignore_index=self.ignored,
        )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average the scores over images, on the main process.

        Args:
            results: Name, group and scores ``(K,)`` of each image.

        Returns:
            The scores in per cent.
        """
        if not results:
            raise ValueError('BoundaryF1Metric got no image to evaluate: is the split empty?')
        by_class = np.stack([scores for *_, scores in results])
        values = {'BF': nanmean(by_class)}
        values.update({f'BF.{name}': v for name, v in zip(self.class_names, by_class.T)})
        return self.report_means(results, values)
