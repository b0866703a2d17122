"""The scores of each image as rows of a table, and the order from the worst image on.

An image is scored by the mean IoU over the classes that it or its prediction holds.
Shape letters: N image, K class.
"""

from collections.abc import Iterator, Sequence
from typing import Optional

import numpy as np

from .confusion import metrics_from_counts
from .image_counts import ImageCounts

_SCORES = ('mIoU', 'aAcc', 'mDice')
_CHUNK = 256  # images at once


def image_scores(rows: np.ndarray, *, absent: str = 'skip') -> dict[str, np.ndarray]:
    """Score images one by one.

    Args:
        rows: True-positive, predicted and labelled pixels, ``(N, 3, K)``.
        absent: As for ``metrics_from_counts``.

    Returns:
        As ``metrics_from_counts``, with N in front; NaN for an image without a labelled pixel.
    """
    found = metrics_from_counts(*np.moveaxis(rows, 1, 0), absent=absent)
    unknown = rows[:, 2].sum(1) == 0
    for values in found.values():
        values[unknown] = np.nan
    return found


def worst_first(rows: np.ndarray, *, absent: str = 'skip') -> list[tuple[int, float]]:
    """Return place and score of the images, the worst first, without those that have no labels."""
    scores = image_scores(rows, absent=absent)['mIoU']
    order = np.argsort(scores, kind='stable')  # NaN comes last
    return [(int(i), float(scores[i])) for i in order if not np.isnan(scores[i])]


def image_table(
    counts: ImageCounts, class_names: Sequence[str], *, absent: str = 'skip'
) -> tuple[list[str], Iterator[list]]:
    """Return head and rows of a table of all images, in the order of the data set.

    Scores are in per cent, and an undefined one is an empty cell. A few images are read at once.
    """
    head = ['image', 'group', 'pixels', *_SCORES, *(f'IoU {name}' for name in class_names)]
    return head, _rows(counts, absent)


def _rows(counts: ImageCounts, absent: str) -> Iterator[list]:
    members, rows = counts.members(), counts.arrays()
    for start in range(0, len(counts), _CHUNK):
        chunk = np.array(rows[start : start + _CHUNK])
        scores = image_scores(chunk, absent=absent)
        values = np.column_stack([*(scores[key] for key in _SCORES), scores['IoU']])
        for pixels, line in zip(chunk[:, 2].sum(1).tolist(), values.tolist()):
            yield [*next(members), pixels, *map(_percent, line)]


def _percent(value: float) -> Optional[str]:
    return None if value != value else f'{100 * value:.4f}'
