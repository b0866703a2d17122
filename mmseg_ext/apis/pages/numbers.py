"""How pages write numbers: fractions come in, per cent go out, what is undefined is a dash."""

from typing import Optional

from ...evaluation.intervals import Interval

NONE = '–'


def percent(value: Optional[float]) -> str:
    """Write a fraction as per cent with one decimal."""
    return NONE if value is None or value != value else f'{100 * value:.1f}\u00a0%'


def points(value: Optional[float]) -> str:
    """Write a difference of fractions, with its sign."""
    known = value is not None and value == value
    return f'{100 * value:+.2f}'.replace('-', '−') if known and value is not None else NONE


def probability(p: Optional[float]) -> str:
    """Write a p: three decimals where they matter."""
    if p is None or p != p:
        return NONE
    return '< 0.001' if p < 0.001 else f'{p:.3f}' if p < 0.1 else f'{p:.2f}'


def between(interval: Interval, digits: int = 1) -> str:
    """Write the ends of an interval; nothing if there are none."""
    low, high = interval
    known = low is not None and high is not None
    return f'{100 * low:.{digits}f} to {100 * high:.{digits}f}' if known else ''  # type: ignore[operator]


def hundredfold(value: Optional[float]) -> Optional[float]:
    """Turn a fraction into per cent, for a drawing."""
    return None if value is None else 100 * value


def three_digits(value: float) -> str:
    """Round to three digits, without an exponent."""
    return f'{float(f"{value:.3g}"):,.10g}'
