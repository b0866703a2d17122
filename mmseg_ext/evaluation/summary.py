"""What a test run leaves behind: the scores as plain data and as tables for the log.

Source: our own. Fractions in the data, per cent in the tables; undefined values are ``None`` and
``-``. Shape letter: K classes.
"""

import math
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from prettytable import PrettyTable

from .confusion import PER_CLASS, metrics_from_confusion

Intervals = dict[str, dict[str, float]]


def _plain(value: float) -> Optional[float]:
    return None if math.isnan(value) else float(value)


def summary(
    matrix: np.ndarray,
    class_names: Sequence[str],
    *,
    intervals: Optional[Intervals] = None,
    absent: str = 'skip',
    background: Optional[int] = None,
    extra: Optional[dict] = None,
) -> dict[str, Any]:
    """Describe a confusion matrix as data that JSON can hold.

    Args:
        matrix: int array ``(K, K)``, rows the truth.
        class_names: K names.
        intervals: Result of ``bootstrap_means``; without it ``low`` and ``high`` are ``None``.
        absent: What 0 / 0 becomes, see ``metrics_from_counts``.
        background: Class that some means leave out.
        extra: More top-level entries, such as config and seed.

    Returns:
        ``metrics`` (name to value, low, high), ``per_class`` (score to class to value),
        ``absent_classes`` (names without a labelled pixel), ``absent_policy`` and ``confusion``.

    Raises:
        ValueError: If the number of names does not fit the matrix.
    """
    if len(class_names) != len(matrix):
        raise ValueError(f'{len(class_names)} class names for a matrix of {len(matrix)} classes')
    scores = metrics_from_confusion(matrix, absent=absent, background=background)
    missing = scores.pop('absent_classes')
    per_class = {name: scores.pop(name) for name in PER_CLASS}
    metrics = {}
    for name, value in scores.items():
        bounds = (intervals or {}).get(name, {})
        metrics[name] = dict(
            value=_plain(value),
            low=_plain(bounds.get('low', math.nan)),
            high=_plain(bounds.get('high', math.nan)),
        )
    return dict(
        extra or {},
        metrics=metrics,
        per_class={
            score: {name: _plain(value) for name, value in zip(class_names, values)}
            for score, values in per_class.items()
        },
        absent_classes=[class_names[index] for index in missing],
        absent_policy=absent,
        confusion=np.asarray(matrix).tolist(),
    )


def _percent(value: Optional[float]) -> str:
    return '-' if value is None else f'{100 * value:.2f}'


def class_table(result: dict) -> str:
    """Print the per-class scores of :func:`summary` in per cent."""
    table = PrettyTable(['Class', *PER_CLASS])
    for name in result['per_class']['IoU']:
        table.add_row([name, *(_percent(result['per_class'][s][name]) for s in PER_CLASS)])
    return table.get_string()


def mean_table(result: dict, level: float = 0.95, unit: str = 'images') -> str:
    """Print the means of :func:`summary` in per cent, each beside its interval over ``unit``."""
    table = PrettyTable(['Mean', 'Value', f'{100 * level:g} % interval over {unit}'])
    for name, entry in result['metrics'].items():
        interval = '-'
        if entry['low'] is not None:
            interval = f'{_percent(entry["low"])} .. {_percent(entry["high"])}'
        table.add_row([name, _percent(entry['value']), interval])
    return table.get_string()
