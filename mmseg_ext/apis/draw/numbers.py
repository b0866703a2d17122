"""Numbers with their uncertainty, as text."""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Optional


def with_spread(values: Sequence[float], digits: int = 4) -> str:
    """Write the mean of one value or more and, for two or more, the standard deviation (ddof=1)."""
    text = f'{mean(values):.{digits}f}'
    return f'{text} ± {stdev(values):.{digits}f}' if len(values) > 1 else text


def with_interval(
    value: float, ends: tuple[Optional[float], Optional[float]], digits: int = 4
) -> str:
    """Write a difference, signed, with the ends of its interval or that it has none."""
    low, high = ends
    inner = 'no interval' if None in ends else f'{low:+.{digits}f} to {high:+.{digits}f}'
    return f'{value:+.{digits}f} ({inner})'
