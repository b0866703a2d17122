"""The words in which a page judges the difference between two rows.

A row is called better or worse only if there is enough to judge it by (docs/statistics.md). The
test needs ``FEW_UNITS`` independent units, because with fewer a score depends much on their choice.
If the units are frames of few videos, each video counts as one unit. Each row needs
``MIN_TRAININGS`` trainings, because one training says nothing about another.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from ...evaluation.units import FEW_UNITS, counted

MIN_TRAININGS = 2
SIGNIFICANT = 0.05


class Verdict(NamedTuple):
    """A verdict in words.

    Args:
        text: The words.
        enough: Whether there were enough units and trainings. If not, p is unreliable.
    """

    text: str
    enough: bool


def verdict(
    difference: float, p: Optional[float], units: Mapping[str, Any], trainings: Sequence[int]
) -> Verdict:
    """Say whether a row is better than the baseline, or what is missing to tell.

    Args:
        difference: Score of the row minus that of the baseline.
        p: p value of the paired test, corrected for the number of comparisons.
        units: The units of the test, from ``describe_units``.
        trainings: Number of trainings of the row and of the baseline.
    """
    videos = units.get('videos') or {}
    tested = counted(units['units'], units['unit'])
    tested += f' of {counted(len(videos), "video")}' if videos else ''
    ours, theirs = trainings
    runs = f'{counted(ours, "run")} against {theirs}'
    missing = []
    if (len(videos) or units['units']) < FEW_UNITS:
        missing.append(f'{tested} ({FEW_UNITS}{" videos" if videos else ""} needed)')
    if min(trainings) < MIN_TRAININGS:
        missing.append(f'{runs} ({MIN_TRAININGS} of each needed)')
    if missing:
        return Verdict(f'not enough to tell: {", ".join(missing)}', False)
    if p is None or not p < SIGNIFICANT:
        return Verdict(f'no difference shown ({tested}, {runs})', True)
    return Verdict(f'{"better" if difference > 0 else "worse"} on {tested} ({runs})', True)


def shortfall(trained: Optional[int], scheduled: Optional[int]) -> str:
    """Say that a training has less than half the iterations of its config; else return ``''``."""
    if not trained or not scheduled or 2 * trained >= scheduled:
        return ''
    return f'trained {trained:,} of {scheduled:,} iterations'
