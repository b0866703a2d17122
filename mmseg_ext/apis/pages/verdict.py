"""What a page says of a difference between two rows: all of its wording.

A row is called better or worse only if the test had the units that it needs (docs/statistics.md):
``FEW_UNITS`` independent ones, as fewer make a score depend much on which they are, and
``MIN_TRAININGS`` of each row, as one says nothing about another training. Frames of few videos are
as many units as there are videos.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from ...evaluation.units import FEW_UNITS, counted

MIN_TRAININGS = 2
SIGNIFICANT = 0.05


class Verdict(NamedTuple):
    """What is said, and whether the test had what it needs: else its p is not to be relied on."""

    text: str
    enough: bool


def verdict(
    difference: float, p: Optional[float], units: Mapping[str, Any], trainings: Sequence[int]
) -> Verdict:
    """Say whether a row is better than the baseline, or what is missing for that.

    Args:
        difference: Its score above that of the baseline.
        p: Of the paired test, corrected for the number of comparisons.
        units: What the test swaps, from ``describe_units``.
        trainings: Runs of the row and of the baseline.
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
    """Say that a training is far from the length of its config: less than half; else nothing."""
    if not trained or not scheduled or 2 * trained >= scheduled:
        return ''
    return f'trained {trained:,} of {scheduled:,} iterations'
