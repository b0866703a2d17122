"""Threshold curves of two classes: precision and recall, ROC, their areas, and a threshold.

Source: the usual definitions. AUC is the share of pairs of a positive and a negative pixel that the
scores order rightly, ties counting a half. Average precision is the sum over thresholds of
precision times the gain in recall, without interpolation, pixels of one score at once.
Differs from them: scores are sorted into bins of equal width of the log-odds, so that memory does
not depend on the number of pixels; scores of one bin count as equal.
Shape letters: M bin, T threshold, H row, W column.
"""

from typing import Any, NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor

BINS = 8192  # even: one half is the lower end of a bin
_REACH = 16.0  # log-odds of the ends; a float32 probability comes no nearer to 1


class Curve(NamedTuple):
    """Counts at each threshold, the highest first; a pixel is positive from its threshold on.

    Args:
        thresholds: Probabilities, ``(T,)``.
        hits: Positive pixels found, ``(T,)``.
        alarms: Negative pixels taken for positive, ``(T,)``.
    """

    thresholds: np.ndarray
    hits: np.ndarray
    alarms: np.ndarray


def score_histogram(prob_HW: Tensor, positive_HW: Tensor, valid_HW: Tensor) -> np.ndarray:
    """Sort the pixels of an image into bins by the log-odds of being positive.

    Args:
        prob_HW: Probability of the positive class.
        positive_HW: True where the pixel is positive.
        valid_HW: False where the pixel does not count.

    Returns:
        int64 ``(2, M)``, additive over images: negative and positive pixels of each bin.
    """
    odds = torch.logit(prob_HW.double(), eps=1e-7)
    place = ((odds + _REACH) / (2 * _REACH) * BINS).floor().long().clamp(0, BINS - 1)
    parts = [place[valid_HW & (positive_HW == kind)] for kind in (False, True)]
    return torch.stack([torch.bincount(part, minlength=BINS) for part in parts]).cpu().numpy()


def curve_of(histogram: np.ndarray) -> Curve:
    """Return the counts at every bin's lower end, from the highest on."""
    alarms, hits = histogram[:, ::-1].cumsum(1)
    return Curve(_threshold(np.arange(BINS)[::-1]), hits, alarms)


def _threshold(place: np.ndarray) -> np.ndarray:
    odds = place / BINS * 2 * _REACH - _REACH
    return np.where(place > 0, 1 / (1 + np.exp(-odds)), 0.0)  # the first bin holds all the rest


def area_under_roc(histogram: np.ndarray) -> Optional[float]:
    """Return the AUC; ``None`` without positive or without negative pixels."""
    negatives, positives = histogram.astype(np.float64)
    pairs = negatives.sum() * positives.sum()
    if not pairs:
        return None
    below = negatives.cumsum() - negatives
    return float((positives * (below + negatives / 2)).sum() / pairs)


def average_precision(histogram: np.ndarray) -> Optional[float]:
    """Return the average precision; ``None`` without positive pixels."""
    curve, positives = curve_of(histogram), int(histogram[1].sum())
    if not positives:
        return None
    found = np.diff(curve.hits, prepend=0)
    precision = curve.hits / np.maximum(curve.hits + curve.alarms, 1)
    return float((found * precision).sum() / positives)


def best_threshold(histogram: np.ndarray) -> Optional[float]:
    """Return the threshold of the highest Dice, of several the one nearest to one half.

    Args:
        histogram: Of the validation images: a threshold that is chosen on the images that it is
            tested on flatters the model.

    Returns:
        A probability; ``None`` without positive pixels.
    """
    if not histogram[1].any():
        return None
    curve = curve_of(histogram)
    dice = 2 * curve.hits / (histogram[1].sum() + curve.hits + curve.alarms)
    best = np.flatnonzero(dice >= dice.max() * (1 - 1e-12))
    return float(curve.thresholds[best[np.abs(curve.thresholds[best] - 0.5).argmin()]])


def scores_at(histogram: np.ndarray, threshold: float) -> dict[str, Optional[float]]:
    """Return Dice, IoU, precision and recall of the positive class at a threshold."""
    curve, positives = curve_of(histogram), int(histogram[1].sum())
    place = int(np.abs(curve.thresholds - threshold).argmin())
    hits, alarms = int(curve.hits[place]), int(curve.alarms[place])
    ratios = dict(
        Dice=(2 * hits, positives + hits + alarms),
        IoU=(hits, positives + alarms),
        precision=(hits, hits + alarms),
        recall=(hits, positives),
    )
    return {name: above / below if below else None for name, (above, below) in ratios.items()}


def curve_points(histogram: np.ndarray, steps: int = 100) -> list[dict[str, float]]:
    """Return some points of the curves, at even steps of recall and of the false-alarm rate.

    Returns:
        ``threshold``, ``recall``, ``precision`` and ``false_alarms`` (share of the negative pixels
        above the threshold) of each; empty without positive or without negative pixels.
    """
    negatives, positives = (int(part.sum()) for part in histogram)
    if not negatives or not positives:
        return []
    curve = curve_of(histogram)
    shares = np.linspace(0, 1, steps + 1)
    places = [np.searchsorted(part / part[-1], shares) for part in (curve.hits, curve.alarms)]
    chosen = np.unique(np.concatenate(places).clip(0, BINS - 1)).tolist()
    taken = curve.hits + curve.alarms  # without a pixel above it, a threshold has no precision
    return [_point(curve, place, positives, negatives) for place in chosen if taken[place]]


def _point(curve: Curve, place: int, positives: int, negatives: int) -> dict[str, float]:
    hits, alarms = int(curve.hits[place]), int(curve.alarms[place])
    return dict(
        threshold=float(curve.thresholds[place]),
        recall=hits / positives,
        precision=hits / (hits + alarms),
        false_alarms=alarms / negatives,
    )


def summary_of(histogram: np.ndarray, chosen: Optional[float] = None) -> dict[str, Any]:
    """Describe a histogram as JSON data.

    Args:
        histogram: Of the test images.
        chosen: Threshold that was chosen on the validation images, if there is one.
    """
    found: dict[str, Any] = dict(
        AUC=area_under_roc(histogram),
        AP=average_precision(histogram),
        pixels=dict(zip(('negative', 'positive'), histogram.sum(1).tolist())),
        at_half=scores_at(histogram, 0.5),
        points=curve_points(histogram),
    )
    if chosen is not None:
        found.update(threshold=chosen, at_threshold=scores_at(histogram, chosen))
    return found
