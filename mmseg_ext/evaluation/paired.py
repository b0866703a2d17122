"""Are two models different on the same images? Paired bootstrap, and Holm's correction.

Source: the percentile bootstrap of Efron and Tibshirani, "An Introduction to the Bootstrap",
chapters 13 and 15 (both models are scored on the same resamples, so what makes an image hard for
both cancels); S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
Journal of Statistics 6 (1979).
Differs from it: one is added to the counts behind p, so that no p is 0 (Davison and Hinkley,
"Bootstrap Methods and their Application", 4.2.3).
"""

from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np

from .bootstrap import percentile_interval


class Difference(NamedTuple):
    """How far a score lies above another one, with its interval and two-sided p."""

    value: float
    low: float
    high: float
    p: float


def paired_difference(
    score: float,
    reference: float,
    drawn: np.ndarray,
    drawn_reference: np.ndarray,
    *,
    level: float = 0.95,
) -> Difference:
    """Compare two scores by their resamples.

    p is twice the share of resamples on the rarer side of zero, ties counted on both sides. But for
    the one that is added, it falls below 1 - ``level`` where the interval leaves zero out.

    Args:
        score: Of all images.
        reference: The other score, of the same images.
        drawn: The score of each resample, shape ``(R,)``.
        drawn_reference: The other score of the same resamples, in the same order.
        level: Share of the resamples inside of the interval.

    Returns:
        Difference, interval and p; resamples in which a score is undefined (NaN) are left out, and
        without any other one interval and p are NaN.

    Raises:
        ValueError: If the numbers of resamples differ.
    """
    if drawn.shape != drawn_reference.shape or drawn.ndim != 1:
        raise ValueError(
            f'paired scores need the same resamples, got {drawn.shape} and {drawn_reference.shape}'
        )
    differences = drawn - drawn_reference
    differences = differences[~np.isnan(differences)]
    low, high = percentile_interval(differences, level)
    p = float('nan')
    if len(differences):
        rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
        p = min(1.0, 2 * (rarer + 1) / (len(differences) + 1))
    return Difference(score - reference, low, high, p)


def holm(p_values: Sequence[Optional[float]]) -> list[Optional[float]]:
    """Correct p for the number of comparisons, in their order.

    The smallest of m values is multiplied by m, the next by m - 1 and so on; none may fall below
    one before it, none exceeds 1.

    Args:
        p_values: ``None`` or NaN is no comparison: it does not count and stays ``None``.
    """
    known = [(p, place) for place, p in enumerate(p_values) if p is not None and p == p]
    adjusted: list[Optional[float]] = [None] * len(p_values)
    floor = 0.0
    for rank, (p, place) in enumerate(sorted(known)):
        floor = max(floor, min(1.0, p * (len(known) - rank)))
        adjusted[place] = floor
    return adjusted
