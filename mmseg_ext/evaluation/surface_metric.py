"""HD95 and surface Dice: distances between the outlines of prediction and ground truth.

Source: MONAI, https://github.com/Project-MONAI/MONAI, ``compute_hausdorff_distance`` (95th
percentile of the distances from each outline to the other, the larger of the two directions) and
``compute_surface_dice`` (share of the pixels of both outlines that lie within a tolerance of the
other; Nikolov et al., https://arxiv.org/abs/1809.04430). The outline of a mask consists of its
pixels with a neighbour above, below, left or right that is not in the mask; pixels outside of the
image are not in it.
Differs from it: distances are float64; :func:`surface_scores` defines the scores of empty masks,
and unlabelled pixels are first removed from both masks.
Shape letters: N image, C scored class, H row, W column.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np
from mmseg.registry import METRICS

from ..core.files import replacing
from ..core.labels import background_of
from ..core.progress import tell_result
from .confusion import nanmean
from .label_map_metric import LabelMapMetric

_PER_SEARCH = 8  # pixels of a distance transform that cost as much as a search


def surface_scores(
    pred_HW: np.ndarray,
    truth_HW: np.ndarray,
    *,
    spacing: Sequence[float] = (1.0, 1.0),
    tolerance: float = 1.0,
) -> tuple[float, float]:
    """Score the outline of one mask.

    ======================  ==================================  ============
    masks                   HD95                                surface Dice
    ======================  ==================================  ============
    neither is empty        as defined                          as defined
    both are empty          NaN: there is nothing to measure    NaN
    one of them is empty    the image's diagonal, the worst     0
                            that two masks in it could get
    ======================  ==================================  ============

    Leaving the last case out of the mean would reward a model that finds nothing.

    Args:
        pred_HW: Predicted mask, bool.
        truth_HW: True mask, bool, of the same size.
        spacing: Height and width of a pixel, in any unit of length.
        tolerance: Largest distance that counts as a match, in the unit of ``spacing``.

    Returns:
        HD95 in the unit of ``spacing``, and the surface Dice in [0, 1].

    Raises:
        ValueError: If the sizes differ.
    """
    if pred_HW.shape != truth_HW.shape or pred_HW.ndim != 2:
        raise ValueError(
            f'prediction {pred_HW.shape} and truth {truth_HW.shape} must be masks of one size'
        )
    if not pred_HW.any() and not truth_HW.any():
        return math.nan, math.nan
    if not pred_HW.any() or not truth_HW.any():
        sides = [(size - 1) * length for size, length in zip(pred_HW.shape, spacing)]
        return math.hypot(*sides), 0.0
    there, back = _distances(_outline(pred_HW), _outline(truth_HW), spacing)
    # in float32, as MONAI compares: three pixels of 0.1 are within 0.3
    near = np.concatenate([there, back]).astype(np.float32) <= np.float32(tolerance)
    return float(max(np.percentile(away, 95) for away in (there, back))), float(near.mean())


def _outline(mask_HW: np.ndarray) -> np.ndarray:
    """Mark the pixels with a neighbour that is not in the mask; bool (H, W)."""
    inside = mask_HW[:-2, 1:-1] & mask_HW[2:, 1:-1]
    inside &= mask_HW[1:-1, :-2]
    inside &= mask_HW[1:-1, 2:]
    outline = mask_HW.copy()
    outline[1:-1, 1:-1] &= ~inside
    return outline


def _distances(
    first_HW: np.ndarray, second_HW: np.ndarray, spacing: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Measure from each pixel of an outline to the nearest of the other, both ways.

    Most pixels of a good prediction lie on the true outline and need no search.
    """
    none = np.zeros(np.count_nonzero(first_HW & second_HW))
    there, back = (
        np.concatenate([none, _nearest(line & ~other, other, spacing)])
        for line, other in ((first_HW, second_HW), (second_HW, first_HW))
    )
    return there, back


def _nearest(
    searched_HW: np.ndarray, others_HW: np.ndarray, spacing: Sequence[float]
) -> np.ndarray:
    """Measure from each searched pixel to the nearest of the others.

    A tree of points takes a tenth of the time of the distances of all pixels, unless most pixels
    are searched, as in noise.
    """
    from scipy import ndimage, spatial  # here, as it takes a while

    if np.count_nonzero(searched_HW) * _PER_SEARCH > searched_HW.size:
        return ndimage.distance_transform_edt(~others_HW, sampling=spacing)[searched_HW]
    tree = spatial.KDTree(_points(others_HW, spacing))
    return tree.query(_points(searched_HW, spacing))[0]  # type: ignore[no-any-return]


def _points(mask_HW: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """List the marked pixels as ``(P, 2)``, faster than ``np.argwhere``."""
    rows, columns = np.divmod(np.flatnonzero(mask_HW), mask_HW.shape[1])
    return np.stack([rows * spacing[0], columns * spacing[1]], 1)


@METRICS.register_module()
class SurfaceMetric(LabelMapMetric):
    """Report HD95 and surface Dice beside :class:`SegMetric`.

    Distances are measured within each image, in 2D. The score of an image is the mean over its
    foreground classes, the metric the mean over images, both without NaN. ``evaluate`` sets
    :attr:`intervals` and returns ``HD95`` in the unit of ``spacing`` and ``surface_Dice`` in per
    cent; if there are several foreground classes, also the scores of each.

    Args:
        spacing: Height and width of a pixel of the label maps; the default 1 gives distances in
            pixels.
        tolerance: Largest distance that counts as a match, in the unit of ``spacing``.
        ignore_index: Label of ignored pixels; None takes ``ignore_index`` of the data set's meta
            information, or 255 if it has none.
        per_image_file: File (``.npz``) for the scores of each image: ``hd95`` and ``surface_dice``,
            ``(N, C)``, ``names``, ``classes``, ``spacing``, ``tolerance``.
        collect_device: As for mmengine's metrics.
        prefix: Prefix of the score names.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        *,
        spacing: Sequence[float] = (1.0, 1.0),
        tolerance: float = 1.0,
        ignore_index: Optional[int] = None,
        per_image_file: Optional[str] = None,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__(ignore_index=ignore_index, collect_device=collect_device, prefix=prefix)
        check_spacing(spacing, tolerance)
        self.spacing = [float(length) for length in spacing]
        self.tolerance = float(tolerance)
        self.per_image_file = per_image_file

    def _foreground(self) -> list[int]:
        classes = self.class_names
        return [index for index in range(len(classes)) if index != background_of(classes)]

    def score(self, pred_HW: np.ndarray, label_HW: np.ndarray) -> list:
        """Return :func:`surface_scores` of each foreground class."""
        if pred_HW.shape != label_HW.shape:
            raise ValueError(
                f'prediction {pred_HW.shape} and label map {label_HW.shape} differ in size'
            )
        valid = label_HW != self.ignored
        return [
            surface_scores(
                (pred_HW == index) & valid,
                (label_HW == index) & valid,
                spacing=self.spacing,
                tolerance=self.tolerance,
            )
            for index in self._foreground()
        ]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average the scores over images, on the main process.

        Args:
            results: Name, group and scores of each image.

        Returns:
            ``HD95`` in the unit of ``spacing`` and ``surface_Dice`` in per cent.
        """
        if not results:
            raise ValueError('SurfaceMetric got no image to evaluate: is the split empty?')
        scores = np.array([values for *_, values in results], np.float64)  # (N, C, 2)
        names = [str(self.dataset_meta['classes'][index]) for index in self._foreground()]
        if self.per_image_file is not None:
            self._save(Path(self.per_image_file), [name for name, *_ in results], names, scores)
        values = {}
        for place, score in enumerate(('HD95', 'surface_Dice')):
            by_class = scores[..., place]
            values[score] = nanmean(by_class)
            if len(names) > 1:
                values.update({f'{score}.{n}': v for n, v in zip(names, by_class.T)})
        report = self.report_means(results, values, lengths=('HD95',))
        empty = int(np.isnan(scores[..., 0]).all(axis=1).sum())
        tell_result(
            f'surfaces: {len(results)} images, {empty} of them without foreground in prediction '
            f'and truth, not counted; pixels of {self.spacing[0]:g} x {self.spacing[1]:g}, '
            f'tolerance {self.tolerance:g}',
        )
        return report

    def _save(self, path: Path, images: list, classes: list, scores: np.ndarray) -> None:
        with replacing(path) as unfinished, unfinished.open('wb') as stream:
            np.savez_compressed(
                stream,
                hd95=scores[..., 0],
                surface_dice=scores[..., 1],
                names=np.array(images),
                classes=np.array(classes),
                spacing=np.array(self.spacing),
                tolerance=np.array(self.tolerance),
            )


def check_spacing(spacing: Sequence[float], tolerance: Union[int, float]) -> None:
    """Check pixel spacing and tolerance.

    Raises:
        ValueError: If a value is out of range.
    """
    if len(spacing) != 2 or not all(length > 0 for length in spacing):
        raise ValueError(
            f'spacing is the height and width of a pixel, two positive numbers, got {spacing}'
        )
    if not tolerance >= 0:
        raise ValueError(f'tolerance must be 0 or more, got {tolerance}')
