"""Format the numbers of pages: fractions become per cent, and undefined values become a dash."""

from typing import Optional

from ...evaluation.intervals import Interval

NONE = '–'


def percent(value: Optional[float]) -> str:
    """Format a fraction as per cent with one decimal."""
    return NONE if value is None or value != value else f'{100 * value:.1f}\u00a0%'


def points(value: Optional[float]) -> str:
    """Format a difference of fractions in percentage points, with its sign and two decimals."""
    known = value is not None and value == value
    return f'{100 * value:+.2f}'.replace('-', '−') if known and value is not None else NONE


def probability(p: Optional[float]) -> str:
    """Format a p value with two decimals, and with three if it is below 0.1."""
    if p is None or p != p:
        return NONE
    return '< 0.001' if p < 0.001 else f'{p:.3f}' if p < 0.1 else f'{p:.2f}'


def between(interval: Interval, digits: int = 1) -> str:
    """Format the ends of an interval of fractions in per cent; ``''`` if there is no interval."""
    low, high = interval
    known = low is not None and high is not None
    return f'{100 * low:.{digits}f} to {100 * high:.{digits}f}' if known else ''  # type: ignore[operator]


def hundredfold(value: Optional[float]) -> Optional[float]:
    """Return a fraction in per cent, as drawings need it."""
    return None if value is None else 100 * value


def three_digits(value: float) -> str:
    """Format a number with three significant digits, without an exponent."""
    return f'{float(f"{value:.3g}"):,.10g}'
