"""Calibration: are pixels predicted with probability 0.9 right in 90 % of cases?

Source: the expected calibration error of Guo et al., "On Calibration of Modern Neural Networks",
https://arxiv.org/abs/1706.04599, equation 3: pixels are sorted into M bins of equal width by the
probability of the most probable class. ECE is the mean over pixels of the absolute difference
between accuracy and mean probability of their bin.
Differs from it: it is computed over all labelled pixels of the data set at once. Large classes
dominate it, as they dominate the pixel accuracy.
Shape letters: N image, M bin, K class, H row, W column.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from mmseg.registry import METRICS
from torch import Tensor

from ..core.files import replacing
from ..core.labels import IGNORE
from ..core.probabilities import as_probabilities
from ..core.progress import tell_result
from .intervals import (
    LEVEL,
    MIN_UNITS,
    NONE,
    Groups,
    Interval,
    brackets,
    ratio_interval,
    sum_by_group,
)
from .label_map_metric import LabelMapMetric, most_probable
from .units import units_note

PARTS = ('count', 'right', 'confidence')


def confidence_histogram(
    prob_KHW: Tensor, label_HW: Tensor, *, num_bins: int = 15, ignore_index: int = IGNORE
) -> np.ndarray:
    """Sort the labelled pixels of an image into bins by the probability of their predicted class.

    Args:
        prob_KHW: Probability of each class.
        label_HW: True class ids.
        num_bins: M; bin m holds the probabilities in (m / M, (m + 1) / M].
        ignore_index: Label of ignored pixels.

    Returns:
        float64 ``(3, M)``, additive over images: number of pixels, number of correctly predicted
        pixels, and sum of the probabilities.

    Raises:
        ValueError: If the sizes differ.
    """
    confidence, guess, valid = most_probable(prob_KHW, label_HW, ignore_index)
    sure = confidence[valid].double()
    right = (guess == label_HW)[valid].double()
    whole = sure.nan_to_num(0.0)  # a NaN must show in the sum, not break the bin index
    place = ((whole * num_bins).ceil().long() - 1).clamp(0, num_bins - 1)
    parts = [torch.bincount(place, weights, num_bins) for weights in (None, right, sure)]
    return torch.stack([part.double() for part in parts]).cpu().numpy()


def calibration_error(histogram: np.ndarray) -> np.ndarray:
    """Compute the expected calibration error.

    Args:
        histogram: Pixels, correct pixels and summed probabilities, ``(..., 3, M)``.

    Returns:
        Fractions of shape ``(...)``; NaN if there is no pixel.
    """
    count, right, confidence = np.moveaxis(histogram, -2, 0)
    total = count.sum(-1)
    # The error of a bin times its share of the pixels; the count of the bin cancels.
    gap = np.abs(right - confidence).sum(-1)
    return np.divide(gap, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def calibration_interval(histograms: np.ndarray, groups: Optional[Groups] = None) -> Interval:
    """Return a 95 % interval of the calibration error.

    The error is a mean if the sign of each bin's difference is certain. A bin of uncertain sign
    adds to the error of any finite data set, even for a perfectly calibrated model; for the lower
    end of the interval it counts as 0.

    Args:
        histograms: Histogram of each image, ``(N, 3, M)``. Histograms of several runs on the same
            images, concatenated along M, give the interval of the mean error.
        groups: Group name of each image; then groups are the units.
    """
    if groups is not None:
        histograms = sum_by_group(histograms, groups)
    count, right, confidence = np.moveaxis(histograms[histograms[:, 0].any(1)], 1, 0)
    n, gap = len(count), right - confidence
    if n < MIN_UNITS:
        return NONE
    from scipy.special import stdtrit  # a slow import, needed in tests only

    total = gap.sum(0)
    error = np.sqrt(n / (n - 1) * ((gap - total / n) ** 2).sum(0))
    filled = max(1, int(count.any(0).sum()))  # Bonferroni: no bin is significant by chance
    sure = np.abs(total) > stdtrit(n - 1, 1 - (1 - LEVEL) / 2 / filled) * error
    low, high = _error_interval(gap, count, np.sign(total))
    if not sure.any():
        return (None if high is None else 0.0), high
    lowest, _ = _error_interval(gap, count, np.sign(total) * sure)
    return (low if low is None or lowest is None else min(low, lowest)), high


def _error_interval(gap: np.ndarray, count: np.ndarray, signs: np.ndarray) -> Interval:
    return ratio_interval((gap * signs).sum(1), count.sum(1))


@METRICS.register_module()
class CalibrationMetric(LabelMapMetric):
    """Report ECE and mean confidence, in per cent, beside :class:`SegMetric`.

    Samples need ``seg_logits``, which mmseg's test-time augmentation does not give. The tools write
    :attr:`calibration` to ``results.json`` as ``calibration``.

    Args:
        num_bins: Number of bins of confidence, M.
        ignore_index: Label of ignored pixels; None takes ``ignore_index`` of the data set's meta
            information, or 255 if it has none.
        per_image_file: File (``.npz``) for the histogram of each image: ``count``, ``right`` and
            ``confidence``, ``(N, M)``, and ``names``. None writes nothing.
        collect_device: As for mmengine's metrics.
        prefix: Prefix of the score names.

    Attributes:
        calibration: Set by ``evaluate`` on the main process: ``num_bins``; as fractions ``ECE``,
            ``ECE_interval``, ``accuracy`` and mean ``confidence``; and ``bins``, the three rows of
            the summed histogram.

    Raises:
        ValueError: If ``num_bins`` is below 1.
    """

    def __init__(
        self,
        *,
        num_bins: int = 15,
        ignore_index: Optional[int] = None,
        per_image_file: Optional[str] = None,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__(ignore_index=ignore_index, collect_device=collect_device, prefix=prefix)
        if num_bins < 1:
            raise ValueError(f'num_bins must be at least 1, got {num_bins}')
        self.num_bins = num_bins
        self.per_image_file = per_image_file
        self.calibration: Optional[dict] = None

    @property
    def needs_logits(self) -> bool:
        """Whether ``seg_logits`` are read: always."""
        return True

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count one batch.

        Args:
            data_batch: Unused.
            data_samples: For each image a mapping with ``seg_logits.data`` ``(K, H, W)`` and
                ``gt_sem_seg.data`` ``(1, H, W)``.

        Raises:
            ValueError: If a sample has no logits, or its sizes differ; the message names the image.
        """
        for sample in data_samples:
            path = str(sample.get('img_path') or f'image {len(self.results)}')
            if 'seg_logits' not in sample:
                raise ValueError(
                    f'{path}: CalibrationMetric needs seg_logits, and the model gave none; '
                    'test without --tta'
                )
            logits = sample['seg_logits']['data']
            label = sample['gt_sem_seg']['data'].squeeze(0).to(logits.device)
            try:
                histogram = confidence_histogram(
                    as_probabilities(logits),
                    label,
                    num_bins=self.num_bins,
                    ignore_index=self.ignored,
                )
            except ValueError as error:
                raise ValueError(f'{path}: {error}') from None
            self.results.append((self.image_name(path), sample.get('group'), histogram))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Add up the images on the main process.

        Args:
            results: Name, group and histogram of each image.

        Returns:
            ``ECE`` and ``confidence`` in per cent.

        Raises:
            ValueError: If there is no image.
        """
        if not results:
            raise ValueError('CalibrationMetric got no image to evaluate: is the split empty?')
        histograms = np.stack([histogram for *_, histogram in results])
        names = [name for name, *_ in results]
        if self.per_image_file is not None:
            _save(Path(self.per_image_file), names, histograms)
        units = self.units_of(names, [group for _, group, _ in results])
        ends = self.intervals['ECE'] = calibration_interval(histograms, units.groups)
        self.calibration = dict(calibration_summary(histograms.sum(0)), ECE_interval=list(ends))
        shown = {key: _percent(self.calibration[key]) for key in ('ECE', 'confidence', 'accuracy')}
        tell_result(
            f'calibration: ECE {shown["ECE"]:.2f}{brackets(ends)} % ({self.num_bins} bins), mean '
            f'confidence {shown["confidence"]:.2f} %, pixels right {shown["accuracy"]:.2f} %. '
            f'{units_note(units.facts)}',
        )
        return {key: shown[key] for key in ('ECE', 'confidence')}


def calibration_summary(histogram: np.ndarray) -> dict[str, Any]:
    """Describe a histogram ``(3, M)`` as JSON data, with ``None`` for what has no pixels.

    Pixel counts become integers again, which is exact below 2**53.
    """
    count, right, confidence = histogram
    total = count.sum()
    values = dict(
        ECE=calibration_error(histogram) if total else None,
        accuracy=right.sum() / total if total else None,
        confidence=confidence.sum() / total if total else None,
    )
    return dict(
        num_bins=len(count),
        **{key: None if value is None else float(value) for key, value in values.items()},
        bins=dict(
            count=count.astype(np.int64).tolist(),
            right=right.astype(np.int64).tolist(),
            confidence=confidence.tolist(),
        ),
    )


def _percent(value: Optional[float]) -> float:
    return float('nan') if value is None else 100 * value


def _save(path: Path, names: list, histograms: np.ndarray) -> None:
    count, right, confidence = histograms.transpose(1, 0, 2)
    with replacing(path) as unfinished, unfinished.open('wb') as stream:
        np.savez_compressed(
            stream,
            count=count.astype(np.int64),
            right=right.astype(np.int64),
            confidence=confidence,
            names=np.array(names),
        )
