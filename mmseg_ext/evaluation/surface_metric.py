"""HD95 and surface Dice: distances between the outlines of prediction and ground truth.

Source: MONAI, https://github.com/Project-MONAI/MONAI, ``compute_hausdorff_distance`` (95th
percentile of the distances from each outline to the other, the larger of the two directions) and
``compute_surface_dice`` (share of the pixels of both outlines that lie within a tolerance of the
other; Nikolov et al., https://arxiv.org/abs/1809.04430). The outline of a mask consists of its
pixels with a neighbour above, below, left or right that is not in the mask; pixels outside of the
image are not in it.
Differs from it: :func:`surface_scores` defines the scores of empty masks, and unlabelled pixels are
first removed from both masks.
Shape letters: N image, C scored class, H row, W column.
"""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from mmseg.registry import METRICS

from ..core.files import replacing
from ..core.labels import background_of
from ..core.progress import tell_result
from .confusion import nanmean
from .label_map_metric import LabelMapMetric

MISSING = 'HD95 and surface Dice need MONAI: pip install "mmsegmentation-ext[medical]"'


def _distances() -> tuple[Any, Any]:
    try:
        from monai.metrics import compute_hausdorff_distance, compute_surface_dice
    except ImportError as error:
        raise ImportError(f'{MISSING} ({error})') from error
    return compute_hausdorff_distance, compute_surface_dice


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
        ImportError: If MONAI is not installed.
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
    hausdorff, surface_dice = _distances()
    masks = [torch.from_numpy(mask.copy())[None, None] for mask in (pred_HW, truth_HW)]
    shared: dict = dict(include_background=True, spacing=list(map(float, spacing)))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)  # MONAI warns about its own calls
        distance = hausdorff(*masks, percentile=95, **shared)
        share = surface_dice(*masks, class_thresholds=[float(tolerance)], **shared)
    return float(distance), float(share)


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
        ImportError: If MONAI is not installed.
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
        _distances()  # report missing packages at the start, not after the test
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
