"""Intervals of scores over images, patients or videos, which hold for few of them.

Source: the infinitesimal jackknife (``influence.py``) gives the standard error, Student's t with
n - 1 degrees of freedom the width, and the logit keeps a score inside of 0 and 1. Nothing is drawn:
the same counts give the same interval. ``docs/statistics.md`` holds the simulated coverage.
Differs from it: nothing.

There is no interval for fewer than three units, for a score of exactly 0 or 1, and where no unit
differs from the others: nothing says then how far another one would lie off.
Shape letters: N image or unit, K class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np
from scipy.special import expit, logit, stdtrit

from .confusion import PER_CLASS, metrics_from_counts
from .influence import (
    Gradient,
    class_gradients,
    class_spreads,
    join,
    mean_gradients,
    mean_spreads,
)

Interval = tuple[Optional[float], Optional[float]]
Groups = Union[Sequence, np.ndarray]

LEVEL = 0.95
METHOD = "infinitesimal jackknife, Student's t on the logit"
MIN_UNITS = 3
NONE: Interval = (None, None)
_NOTHING = 1e-12  # a standard error below this is rounding


@dataclass(frozen=True)
class Intervals:
    """The intervals of all scores of one test.

    Args:
        means: Name of a mean to its interval, as fractions.
        classes: Name of a per-class score to the intervals of the classes.
        units: Units with a labelled pixel.
        class_units: Units that each class is labelled in, ``(K,)``.
    """

    means: dict[str, Interval]
    classes: dict[str, list[Interval]]
    units: int
    class_units: list[int]


def t_interval(value: float, error: float, units: int, *, level: float = LEVEL) -> Interval:
    """Put Student's t around a value of any range.

    Args:
        value: A mean over units, or a difference of scores.
        error: Its standard error.
        units: Number of units behind it.
        level: Confidence.
    """
    reach = _reach(value, error, units, level)
    return NONE if reach is None else (float(value - reach), float(value + reach))


def logit_interval(score: float, error: float, units: int, *, level: float = LEVEL) -> Interval:
    """Put Student's t around the logit of a score in (0, 1), and transform back."""
    reach = _reach(score, error, units, level)
    if reach is None or not 0 < score < 1:
        return NONE
    place, reach = logit(score), reach / (score * (1 - score))
    return float(expit(place - reach)), float(expit(place + reach))


def _reach(value: float, error: float, units: int, level: float) -> Optional[float]:
    if not 0 < level < 1:
        raise ValueError(f'level must lie in (0, 1), got {level}')
    if units < MIN_UNITS or not np.isfinite([value, error]).all() or error < _NOTHING:
        return None
    return float(stdtrit(units - 1, (1 + level) / 2) * error)


def unit_counts(rows: np.ndarray, groups: Optional[Groups] = None) -> np.ndarray:
    """Add up the counts of each group, and leave out what has no labelled pixel.

    Args:
        rows: Counts of each image, ``(N, 3, K)`` in the order tp, pred, label; array or memory map.
        groups: One name per image, its patient, say; None makes each image a unit.

    Returns:
        Counts of each unit; groups in the order of their sorted names.

    Raises:
        ValueError: If shapes or the number of groups do not fit.
    """
    if rows.ndim != 3:
        raise ValueError(f'counts need the shape (N, C, K), got {rows.shape}')
    if groups is not None:
        rows = sum_by_group(rows, groups)
    labelled = rows[:, 2].any(1)
    return rows if labelled.all() else np.asarray(rows[labelled])


def sum_by_group(values: np.ndarray, groups: Groups) -> np.ndarray:
    """Add up the rows of each group; groups keep the order of their sorted names.

    Raises:
        ValueError: If there are not as many groups as rows.
    """
    if len(groups) != len(values):
        raise ValueError(f'{len(groups)} groups for {len(values)} images: name one group per image')
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), *values.shape[1:]), values.dtype)
    np.add.at(sums, place.reshape(-1), values)
    return sums


def score_intervals(
    *runs: np.ndarray,
    groups: Optional[Groups] = None,
    absent: str = 'skip',
    background: Optional[int] = None,
    level: float = LEVEL,
) -> Intervals:
    """Put an interval beside every mean and every class's score.

    Args:
        runs: Counts of each image, ``(N, 3, K)``: tp, pred and label. Of several, such as seeds
            tested on the same images, the mean score is meant.
        groups: One name per image where images belong together: the groups are the units then.
        absent: See ``metrics_from_counts``.
        background: See there.
        level: Confidence.

    Raises:
        ValueError: If ``level`` is not in (0, 1), or the counts or groups do not fit.
    """
    of_runs = [unit_counts(rows, groups) for rows in runs]
    units = of_runs[0] if len(runs) == 1 else np.concatenate(of_runs, 1)
    sums = [rows.sum(0, dtype=np.int64) for rows in of_runs]
    labelled = np.count_nonzero(units[:, 2], axis=0)
    every = [metrics_from_counts(*s, absent=absent, background=background) for s in sums]
    scores = {name: np.mean([found[name] for found in every], 0) for name in every[0]}
    gradients = _mean_gradients(sums, absent, background)
    spreads = mean_spreads(units, labelled, gradients) if gradients else {}
    means = dict.fromkeys((name for name in scores if name not in PER_CLASS), NONE)
    for name, spread in spreads.items():
        error = float(spread.error)
        means[name] = logit_interval(float(scores[name]), error, len(units), level=level)
    classes = {}
    of_classes = [class_gradients(part) for part in sums]
    for name in PER_CLASS:
        gradient = np.concatenate([found[name] for found in of_classes]) / len(runs)
        spread = class_spreads(units, labelled, gradient)
        classes[name] = [
            logit_interval(float(score), float(error), int(n), level=level)
            for score, error, n in zip(scores[name], spread.error, spread.units)
        ]
    return Intervals(means, classes, len(units), labelled.tolist())


def _mean_gradients(
    sums: Sequence[np.ndarray], absent: str, background: Optional[int]
) -> dict[str, Gradient]:
    """Differentiate the means over runs, those that every run has."""
    found = [mean_gradients(part, absent=absent, background=background) for part in sums]
    names = [name for name in found[0] if all(name in gradients for gradients in found)]
    factors = [1 / len(sums)] * len(sums)
    return {name: join([gradients[name] for gradients in found], factors) for name in names}


def ratio_interval(
    above: np.ndarray,
    below: np.ndarray,
    *,
    groups: Optional[Groups] = None,
    bounded: bool = True,
    level: float = LEVEL,
) -> Interval:
    """Put an interval around a sum over images divided by another one, such as a plain mean.

    Args:
        above: Of each image, ``(N,)``; NaN leaves the image out.
        below: Its weight, ``(N,)``, 1 for a plain mean.
        groups: One name per image.
        bounded: Whether the score lies in [0, 1]; else it is a length, for which Student's t stands
            on the score itself, cut at 0.
        level: Confidence.
    """
    known = ~np.isnan(above) & (np.asarray(below) > 0)
    pairs = np.stack([above, below], 1).astype(np.float64)[known]
    if groups is not None:
        pairs = sum_by_group(pairs, np.asarray(groups)[known])
    total = pairs.sum(0)
    if not len(pairs):
        return NONE
    score = total[0] / total[1]
    error = influence_error((pairs[:, 0] - score * pairs[:, 1]) / total[1])
    if bounded:
        return logit_interval(float(score), error, len(pairs), level=level)
    low, high = t_interval(float(score), error, len(pairs), level=level)
    return (None if low is None else max(0.0, low)), high


def mean_interval(
    values: np.ndarray, *, groups: Optional[Groups] = None, bounded: bool = True
) -> Interval:
    """Put an interval around the mean of one value per image; see :func:`ratio_interval`."""
    values = np.asarray(values, np.float64)
    return ratio_interval(values, np.ones_like(values), groups=groups, bounded=bounded)


def influence_error(influences: np.ndarray) -> float:
    """Turn the influences of n units, ``(n,)``, into a standard error; NaN for one unit."""
    n = len(influences)
    squares = ((influences - influences.mean()) ** 2).sum() if n else 0.0
    return float(np.sqrt(n / (n - 1) * squares)) if n > 1 else float('nan')


def as_json(intervals: Intervals, names: Sequence[str]) -> dict[str, Any]:
    """Name the classes: score to class to low and high."""
    return {
        score: {name: list(ends) for name, ends in zip(names, found)}
        for score, found in intervals.classes.items()
    }


def brackets(ends: Interval, scale: float = 100, digits: int = 2) -> str:
    """Write an interval in brackets, behind a blank; nothing if there is none."""
    low, high = ends
    if low is None or high is None:
        return ''
    return f' [{scale * low:.{digits}f}, {scale * high:.{digits}f}]'
