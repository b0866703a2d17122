"""Compute the intervals of older results again, from the counts of their images.

An older ``results.json`` has no entry ``intervals``. Its ``low`` and ``high`` come from a
percentile bootstrap, whose intervals are too narrow for few images.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ....core.files import PathLike
from ....evaluation.confusion import counts_from_confusion
from ....evaluation.image_counts import read_counts
from ....evaluation.intervals import NONE, as_json, score_intervals
from ....evaluation.units import Units, describe_units


def renew_intervals(results: dict[str, Any], path: PathLike) -> dict[str, Any]:
    """Compute the intervals of results that have no ``intervals``, from the counts of each image.

    Args:
        results: Content of ``results.json``; it is not modified.
        path: File of the counts; it may be missing.

    Returns:
        The results with new intervals. They are returned as they are if they have ``intervals``, or
        if the counts are missing or from another test.

    Raises:
        ValueError: If the counts cannot be read.
    """
    if results.get('intervals') or not Path(path).is_file():
        return results
    _, rows, groups = read_counts(path)
    expected = counts_from_confusion(np.asarray(results['confusion'], np.int64))
    if rows.shape[1:] != np.shape(expected) or not np.array_equal(rows.sum(0), expected):
        return results
    names = list(results['per_class']['IoU'])
    found = score_intervals(rows, groups=groups, absent=results.get('absent_policy', 'skip'))
    units = Units(found.units, 'image' if groups is None else 'group')
    metrics = {
        name: dict(entry, **dict(zip(('low', 'high'), found.means.get(name, NONE))))
        for name, entry in results['metrics'].items()
    }
    return dict(
        results,
        metrics=metrics,
        per_class_intervals=as_json(found, names),
        intervals=describe_units(found, names, units),
    )
