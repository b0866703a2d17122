"""Results of tests before the intervals of today: theirs are computed again from the counts.

Such a ``results.json`` names no ``intervals``; its ``low`` and ``high`` are those of a percentile
bootstrap, which is too narrow for few images.
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
    """Give results that name no ``intervals`` those of the counts of their images.

    Args:
        results: Content of ``results.json``; not changed.
        path: File of the counts; it need not be there.

    Returns:
        The results themselves if they are of today, or the counts are absent or of another test.

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
