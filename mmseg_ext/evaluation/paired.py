"""Comparison of two models on the same images: paired permutation test, Holm's correction.

Source: Fisher's permutation test for pairs (Good, "Permutation, Parametric, and Bootstrap Tests of
Hypotheses", chapter 3; Davison and Hinkley, "Bootstrap Methods and their Application", 4.3): if the
models do not differ, the counts of an image could equally come from the other model. So they are
swapped image by image, or group by group, and the score is computed again from the sums. S. Holm,
"A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
(1979).
Differs from it: nothing. Up to 13 units all swaps are made. For more units 10,000 swaps are drawn,
and one is added to both counts behind p, so that no p is 0. The smallest p of n units is ``2 /
2**n``: 0.25 for three units and 0.0625 for five. So fewer than six units never show a difference at
5 %.
Shape letters: N unit, K class, R swap, C kind of count (tp, pred, label).
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

import numpy as np

from .confusion import metrics_from_counts
from .influence import join, mean_gradients, mean_spreads
from .intervals import MIN_UNITS, NONE, t_interval

MAX_EXACT = 13  # up to so many units all swaps are made
NUM_DRAWS = 10_000
_CHUNK = 1024  # swaps at a time
_TIE = 1e-12


class Difference(NamedTuple):
    """Difference of two scores with its confidence interval and two-sided p."""

    value: float
    low: Optional[float]
    high: Optional[float]
    p: Optional[float]


def paired_difference(
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    name: str = 'mIoU',
    *,
    absent: str = 'skip',
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Difference:
    """Compare a mean of two models on the same units.

    A model may have several runs: its score is their mean, and the counts of a unit are swapped in
    all runs together. If the models differ in number of runs, the shorter list is repeated.

    Args:
        ours: tp, pred and label of each unit, ``(N, 3, K)``, for each run.
        theirs: The same for the other model, with units in the same order.
        name: Name of the mean to compare.
        absent: Value of 0 / 0, see ``metrics_from_counts``.
        num_draws: Number of random swaps if there are too many to make all.
        seed: Seed of the random swaps.

    Returns:
        Difference of the means over runs, Student's t interval from the influences of the units,
        and p. Interval and p are None for fewer than three units; the interval also if all units
        are equal.

    Raises:
        ValueError: If the models do not have the same units.
    """
    shapes = {rows.shape for rows in (*ours, *theirs)}
    if len(shapes) != 1:
        raise ValueError(f'paired scores need the same units, got counts of {sorted(shapes)}')
    first, last = (
        np.mean([_score(r.sum(0), name, absent) for r in side]) for side in (ours, theirs)
    )
    value = float(first - last)
    if not math.isfinite(value) or len(ours[0]) < MIN_UNITS:
        return Difference(value, None, None, None)
    low, high = _interval(value, ours, theirs, name, absent)
    pairs = [
        (ours[run % len(ours)], theirs[run % len(theirs)])
        for run in range(math.lcm(len(ours), len(theirs)))
    ]
    return Difference(
        value, low, high, permutation_p(pairs, name, absent=absent, num_draws=num_draws, seed=seed)
    )


def _score(sums: np.ndarray, name: str, absent: str) -> np.ndarray:
    """Compute a mean score from sums of shape ``(..., 3, K)``."""
    return metrics_from_counts(*np.moveaxis(sums, -2, 0), absent=absent)[name]


def _interval(
    value: float,
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    name: str,
    absent: str,
) -> tuple[Optional[float], Optional[float]]:
    found = [mean_gradients(rows.sum(0), absent=absent).get(name) for rows in (*ours, *theirs)]
    gradients = [gradient for gradient in found if gradient is not None]
    if len(gradients) < len(found):
        return NONE
    factors = [1 / len(ours)] * len(ours) + [-1 / len(theirs)] * len(theirs)
    labelled = (ours[0][:, 2] > 0).sum(0)
    rows = np.concatenate([*ours, *theirs], 1)
    spread = mean_spreads(rows, labelled, {name: join(gradients, factors)})[name]
    return t_interval(value, float(spread.error), len(rows))


def permutation_p(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    name: str,
    *,
    absent: str = 'skip',
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> float:
    """Return the share of swaps with a difference at least as large as the real one, two-sided.

    Args:
        pairs: Counts ``(N, 3, K)`` of two runs; the difference is the mean over pairs, and a unit
            is swapped in all of them at once.
        name: Name of the mean to compare.
        absent: Value of 0 / 0, see ``metrics_from_counts``.
        num_draws: Number of random swaps beyond ``MAX_EXACT`` units.
        seed: Seed of the random swaps.
    """
    n = len(pairs[0][0])
    found = abs(float(_swapped(pairs, np.zeros((1, n)), name, absent)[0]))
    larger = made = 0
    for swaps in all_swaps(n) if n <= MAX_EXACT else drawn_swaps(n, num_draws, seed):
        differences = np.abs(_swapped(pairs, swaps, name, absent))
        larger += int((~(differences < found - _TIE)).sum())  # NaN counts as large
        made += len(swaps)
    return larger / made if n <= MAX_EXACT else (larger + 1) / (made + 1)


def all_swaps(n: int) -> Iterator[np.ndarray]:
    """Yield all swaps as ``(R, N)`` of 0 and 1, without the half that mirrors the other."""
    for start in range(0, 2 ** (n - 1), _CHUNK):
        numbers = np.arange(start, min(start + _CHUNK, 2 ** (n - 1)))
        yield (numbers[:, None] >> np.arange(n) & 1).astype(np.float64)


def drawn_swaps(n: int, num_draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield random swaps as ``(R, N)`` of 0 and 1."""
    rng = np.random.default_rng(seed)
    for start in range(0, num_draws, _CHUNK):
        yield rng.integers(0, 2, (min(_CHUNK, num_draws - start), n)).astype(np.float64)


def _swapped(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], swaps: np.ndarray, name: str, absent: str
) -> np.ndarray:
    """Return the difference after each swap, ``(R,)``."""
    total = np.zeros(len(swaps))
    for ours, theirs in pairs:
        # Pixel counts stay far below 2**53, so float64 sums them exactly and calls BLAS.
        change = ours.astype(np.float64) - theirs
        moved = swaps @ change.reshape(len(ours), -1)
        moved = moved.reshape(len(swaps), *ours.shape[1:])
        total += _score(ours.sum(0) - moved, name, absent)
        total -= _score(theirs.sum(0) + moved, name, absent)
    return total / len(pairs)


def holm(p_values: Sequence[Optional[float]]) -> list[Optional[float]]:
    """Correct p values for the number of comparisons; the order is kept.

    The smallest of m values is multiplied by m, the next by m - 1 and so on. No value may fall
    below an earlier one or exceed 1.

    Args:
        p_values: Values to correct. ``None`` or NaN is not a comparison: it is not counted and
            becomes ``None``.
    """
    known = [(p, place) for place, p in enumerate(p_values) if p is not None and p == p]
    adjusted: list[Optional[float]] = [None] * len(p_values)
    floor = 0.0
    for rank, (p, place) in enumerate(sorted(known)):
        floor = max(floor, min(1.0, p * (len(known) - rank)))
        adjusted[place] = floor
    return adjusted
