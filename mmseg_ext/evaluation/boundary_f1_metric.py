"""Boundary F1 (BF): how many pixels of the classes' outlines meet within a tolerance.

Source: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013, as
"SegNet", PAMI 2017, https://arxiv.org/abs/1511.00561, section 4.1, uses it: per image and class
present in truth or prediction; F1 of precision (outline pixels of the prediction near one of the
truth) and recall (the reverse); tolerance 0.75 % of the diagonal; mean over classes, then over
images.
Differs from it: distances come from a distance transform, where the authors match outline pixels
one to one (BSDS), so that several may meet the same one: the score is never below theirs. An
outline is the pixels of a class with a neighbour above, below, left or right that belongs to
another class; the border of the image and pixels without a label are no outline. Not mmseg's
``mFscore``, which counts pixels of regions.
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
    """Mark the pixels of a mask beside a pixel that is valid and not in the mask; bool (H, W)."""
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

    =============================================  =====
    a class's outlines                             score
    =============================================  =====
    in truth and prediction                        F1
    in one of them only                            0
    in neither (class absent, or the whole image)  NaN
    =============================================  =====

    Args:
        pred_HW: Predicted class ids.
        label_HW: True class ids.
        num_classes: K.
        tolerance: Distance that still meets, as a share of the image's diagonal.
        ignore_index: Label of pixels that are in no mask and make no outline.

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
    """Share of the points that have another one within reach."""
    away = cv2.distanceTransform((~others_HW).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # float32 distances of whole pixels: sqrt(20) must reach sqrt(20)
    return float((away[points_HW] <= reach * (1 + 1e-6)).mean())


@METRICS.register_module()
class BoundaryF1Metric(LabelMapMetric):
    """Report BF beside :class:`SegMetric`.

    ``evaluate`` leaves :attr:`intervals` and returns per cent: ``BF``, mean over the classes of an
    image, then over images, and ``BF.<class>``, mean over the images in which the class has an
    outline; NaN counts nowhere.

    Args:
        tolerance: See :func:`boundary_f1`; 0.0075 is 4.5 pixels at 480x360.
        ignore_index: Label of pixels that do not count; None takes ``ignore_index`` of the data
            set's meta information, and 255 if it has none.
        collect_device: As for mmengine's metrics.
        prefix: Put before the names of the scores.

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
        """Return :func:`boundary_f1` of one image, ``(K,)``."""
        return boundary_f1(
            pred_HW,
            label_HW,
            len(self.class_names),
            tolerance=self.tolerance,
            ignore_index=self.ignored,
        )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average over images on the main process.

        Args:
            results: Name, group and scores ``(K,)`` of each image.

        Returns:
            Per cent.
        """
        if not results:
            raise ValueError('BoundaryF1Metric got no image to evaluate: is the split empty?')
        by_class = np.stack([scores for *_, scores in results])
        values = {'BF': nanmean(by_class)}
        values.update({f'BF.{name}': v for name, v in zip(self.class_names, by_class.T)})
        return self.report_means(results, values)
