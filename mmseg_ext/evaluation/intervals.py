"""Confidence intervals of scores over images, patients or videos, also for few of them.

Source: the infinitesimal jackknife (``influence.py``) gives the standard error. Student's t with n
- 1 degrees of freedom gives the width. The logit keeps a score between 0 and 1. No random numbers
are used: the same counts give the same interval. ``docs/statistics.md`` has the simulated coverage.
Differs from it: nothing.

There is no interval for fewer than three units, for a score of exactly 0 or 1, or if all units are
equal, because nothing then tells how far a further unit would differ.
Shape letters: N image or unit, K class.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

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
_CHUNK = 4096  # units at a time
_NOTHING = 1e-12  # a smaller standard error is only rounding


@dataclass(frozen=True)
class Intervals:
    """The confidence intervals of all scores of one test.

    Args:
        means: Interval of each mean by name, as fractions.
        classes: Intervals of the classes for each per-class score, by name.
        units: Number of units with a labelled pixel.
        class_units: Number of units in which each class is labelled, ``(K,)``.
    """

    means: dict[str, Interval]
    classes: dict[str, list[Interval]]
    units: int
    class_units: list[int]


def t_interval(value: float, error: float, units: int, *, level: float = LEVEL) -> Interval:
    """Return a Student's t interval around a value of any range.

    Args:
        value: A mean over units, or a difference of scores.
        error: Its standard error.
        units: Number of units behind it.
        level: Confidence.
    """
    reach = _reach(value, error, units, level)
    return NONE if reach is None else (float(value - reach), float(value + reach))


def logit_interval(score: float, error: float, units: int, *, level: float = LEVEL) -> Interval:
    """Return a Student's t interval around the logit of a score in (0, 1), transformed back."""
    from scipy.special import expit, logit  # a slow import, needed in tests only

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
    from scipy.special import stdtrit

    return float(stdtrit(units - 1, (1 + level) / 2) * error)


def unit_counts(rows: np.ndarray, groups: Optional[Groups] = None) -> np.ndarray:
    """Sum the counts of each group, and drop units without a labelled pixel.

    Args:
        rows: Counts of each image, ``(N, 3, K)``, in the order tp, pred, label; array or memory
            map.
        groups: Group name of each image, such as its patient; None makes each image a unit.

    Returns:
        Counts of each unit, with groups sorted by name.

    Raises:
        ValueError: If shapes or the number of groups do not fit.
    """
    if rows.ndim != 3:
        raise ValueError(f'counts need the shape (N, C, K), got {rows.shape}')
    if groups is not None:
        rows = sum_by_group(rows, groups)
    labelled = np.asarray(rows[:, 2].any(1))
    return rows if labelled.all() else _kept(rows, labelled)


def _kept(rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return some of the rows; of a memory map as another one, whose file has no name."""
    if not isinstance(rows, np.memmap) or not wanted.any():
        return np.asarray(rows[wanted])
    shape = (int(wanted.sum()), *rows.shape[1:])
    with tempfile.TemporaryFile(prefix='mmseg_ext_units_') as file:
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            file.write(np.ascontiguousarray(rows[part][wanted[part]]).data)
        file.flush()
        return np.memmap(file, rows.dtype, 'r', shape=shape)


def sum_by_group(values: np.ndarray, groups: Groups) -> np.ndarray:
    """Sum the rows of each group, with groups sorted by name.

    Raises:
        ValueError: If the numbers of groups and rows differ.
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
    """Compute the confidence interval of every mean and every class score.

    Args:
        runs: Counts tp, pred and label of each image, ``(N, 3, K)``. Several runs on the same
            images, such as seeds, give intervals of the mean score over runs.
        groups: Group name of each image if images belong together; then groups are the units.
        absent: See ``metrics_from_counts``.
        background: See there.
        level: Confidence.

    Raises:
        ValueError: If ``level`` is not in (0, 1), or the counts or groups do not fit.
    """
    of_runs = [unit_counts(rows, groups) for rows in runs]
    units = of_runs[0] if len(runs) == 1 else np.concatenate(of_runs, 1)
    sums = [rows.sum(0, dtype=np.int64) for rows in of_runs]
    labelled = np.zeros(units.shape[2], np.int64)
    for start in range(0, len(units), _CHUNK):
        labelled += np.count_nonzero(units[start : start + _CHUNK, 2], axis=0)
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
    """Differentiate the means over runs, for the scores that every run has."""
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
    """Return the interval of a ratio of two sums over images, such as a plain mean.

    Args:
        above: Numerator of each image, ``(N,)``; NaN leaves the image out.
        below: Denominator of each image, ``(N,)``; 1 for a plain mean.
        groups: Group name of each image.
        bounded: Whether the score lies in [0, 1]. Otherwise it is a length, and Student's t applies
            to the score itself, cut off at 0.
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
    """Return the interval of the mean of one value per image; see :func:`ratio_interval`."""
    values = np.asarray(values, np.float64)
    return ratio_interval(values, np.ones_like(values), groups=groups, bounded=bounded)


def influence_error(influences: np.ndarray) -> float:
    """Compute the standard error from the influences of n units, ``(n,)``; NaN for one unit."""
    n = len(influences)
    squares = ((influences - influences.mean()) ** 2).sum() if n else 0.0
    return float(np.sqrt(n / (n - 1) * squares)) if n > 1 else float('nan')


def as_json(intervals: Intervals, names: Sequence[str]) -> dict[str, Any]:
    """Return score -> class name -> low and high as JSON data."""
    return {
        score: {name: list(ends) for name, ends in zip(names, found)}
        for score, found in intervals.classes.items()
    }


def brackets(ends: Interval, scale: float = 100, digits: int = 2) -> str:
    """Format an interval in brackets after a space, or an empty string if there is none."""
    low, high = ends
    if low is None or high is None:
        return ''
    return f' [{scale * low:.{digits}f}, {scale * high:.{digits}f}]'
