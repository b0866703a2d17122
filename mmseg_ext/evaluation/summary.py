"""Result of a test run: the scores as JSON data and as tables for the log.

Source: our own. Data holds fractions, tables per cent. An undefined value is ``None`` in data and
``-`` in tables. Shape letter: K classes.
"""

import math
from collections.abc import Sequence
from typing import Any, Optional, Union

import numpy as np
from prettytable import PrettyTable

from .confusion import PER_CLASS, metrics_from_confusion
from .intervals import LEVEL, NONE, Intervals, as_json, brackets
from .units import Units, describe_units, plural, units_note


def plain_score(value: Union[float, np.ndarray]) -> Optional[float]:
    """Convert a score to a JSON value, ``None`` if it is undefined."""
    return None if math.isnan(value) else float(value)


def summary(
    matrix: np.ndarray,
    class_names: Sequence[str],
    *,
    intervals: Optional[Intervals] = None,
    units: Optional[Units] = None,
    absent: str = 'skip',
    background: Optional[int] = None,
    extra: Optional[dict] = None,
) -> dict[str, Any]:
    """Describe a confusion matrix as JSON data.

    Args:
        matrix: int array ``(K, K)``; rows are the ground truth.
        class_names: K names.
        intervals: Intervals of the scores; without them ``low`` and ``high`` are ``None``.
        units: Units of the intervals; None means images.
        absent: Value of 0 / 0, see ``metrics_from_counts``.
        background: Class id that some means leave out.
        extra: More top-level entries, such as config and seed.

    Returns:
        ``metrics`` (name to value, low, high), ``per_class`` (score to class to value),
        ``per_class_intervals`` (score to class to low and high), ``intervals`` (their units, see
        :func:`describe_units`), ``absent_classes`` (names without a labelled pixel),
        ``absent_policy`` and ``confusion``.

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
        low, high = NONE if intervals is None else intervals.means.get(name, NONE)
        metrics[name] = dict(value=plain_score(value), low=low, high=high)
    known: dict[str, Any] = {}
    if intervals is not None:
        known['per_class_intervals'] = as_json(intervals, class_names)
        known['intervals'] = describe_units(intervals, class_names, units or Units(intervals.units))
    return dict(
        extra or {},
        metrics=metrics,
        **known,
        per_class={
            score: {name: plain_score(value) for name, value in zip(class_names, values)}
            for score, values in per_class.items()
        },
        absent_classes=[class_names[index] for index in missing],
        absent_policy=absent,
        confusion=np.asarray(matrix).tolist(),
    )


def score_text(value: Optional[float], scale: float = 100) -> str:
    """Write a score with two digits, in per cent unless another scale is given; ``-`` for none."""
    return '-' if value is None else f'{scale * value:.2f}'


def class_table(result: dict) -> str:
    """Format the per-class scores of :func:`summary` in per cent, with their intervals.

    The last column is the number of units in which the class is labelled.
    """
    facts = result.get('intervals') or {}
    head = ['Class', *PER_CLASS] + ([plural(facts['unit'])] if facts else [])
    table, ends = PrettyTable(head), result.get('per_class_intervals') or {}
    for name in result['per_class']['IoU']:
        cells = [
            score_text(result['per_class'][score][name])
            + brackets(ends.get(score, {}).get(name, NONE), digits=1)
            for score in PER_CLASS
        ]
        table.add_row([name, *cells] + ([facts['class_units'][name]] if facts else []))
    return table.get_string()


def mean_table(result: dict) -> str:
    """Format the means of :func:`summary` in per cent, with their intervals and units."""
    facts = result.get('intervals')
    unit = plural(facts['unit']) if facts else 'images'
    table = PrettyTable(['Mean', 'Value', f'{100 * LEVEL:g} % interval over {unit}'])
    for name, entry in result['metrics'].items():
        interval = '-'
        if entry['low'] is not None:
            interval = f'{score_text(entry["low"])} .. {score_text(entry["high"])}'
        table.add_row([name, score_text(entry['value']), interval])
    return table.get_string() + (f'\n{units_note(facts)}' if facts else '')
