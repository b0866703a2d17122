"""How a cost grows: its exponent, as the slope of a line through logarithms."""

import math
from collections.abc import Sequence


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Fit ``cost = a * size ** e`` by least squares of the logarithms.

    Args:
        sizes: At least two different positive sizes.
        costs: A positive cost of each.

    Returns:
        e: 1 where twice the size costs twice as much.

    Raises:
        ValueError: If fewer than two sizes differ.
    """
    if len(set(sizes)) < 2:
        raise ValueError(f'an exponent needs two sizes that differ, got {list(sizes)}')
    xs, ys = ([math.log(value) for value in values] for values in (sizes, costs))
    x, y = (sum(values) / len(values) for values in (xs, ys))
    covariance = sum((a - x) * (b - y) for a, b in zip(xs, ys))
    return covariance / sum((a - x) ** 2 for a in xs)


def last_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The slope between the two largest sizes, where fixed costs weigh least."""
    (_, _), *_, (x0, y0), (x1, y1) = [(0, 0), *sorted(zip(sizes, costs))]
    return math.log(y1 / y0) / math.log(x1 / x0)
