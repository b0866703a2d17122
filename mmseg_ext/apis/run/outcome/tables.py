"""The numbers of a test as CSV files beside its results; shares are in per cent."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from ....core.files import write_csv, write_json
from ....evaluation.border_bands import band_names, error_rates
from ....evaluation.image_counts import read_counts
from ....evaluation.objects import bin_names
from ....evaluation.volumes import Volumes, group_volumes
from .results import RunResults

if TYPE_CHECKING:
    from ..folder import RunFolder

_DETAILS = ('objects', 'borders', 'thresholds')
_CONFUSIONS = ('true class', 'predicted class', 'pixels', 'share of the true class')


def write_tables(folder: 'RunFolder', results: RunResults) -> None:
    """Write ``confusions.csv`` and ``volumes.csv``, as far as the results have them.

    Args:
        folder: The run's folder.
        results: Of its test.
    """
    if results.confusion:
        write_csv(folder.table_file('confusions'), _CONFUSIONS, _confusions(results))
    found = volumes_of(folder, results)
    path = folder.table_file('volumes')
    if found is None:
        path.unlink(missing_ok=True)  # of an older test
    else:
        write_csv(path, *_volumes(found, results))


def _confusions(results: RunResults) -> Iterator[tuple]:
    """Yield all confusions of two classes, the most pixels first."""
    for true, guess, pixels, share in confusions(results.matrix):
        yield results.classes[true], results.classes[guess], pixels, _percent(share)


def confusions(matrix: np.ndarray) -> list[tuple[int, int, int, float]]:
    """List the confusions of two classes that occur, the most pixels first.

    Args:
        matrix: Pixels by true and predicted class, ``(K, K)``.

    Returns:
        True class, predicted class, pixels, and their share of the true class's.
    """
    off = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    totals = matrix.sum(1)
    order = np.argsort(-off, axis=None, kind='stable')
    pairs = [divmod(int(place), len(matrix)) for place in order[: np.count_nonzero(off)]]
    return [(i, j, int(off[i, j]), float(off[i, j] / totals[i])) for i, j in pairs]


def volumes_of(folder: 'RunFolder', results: RunResults) -> Optional[Volumes]:
    """Add up the pixels of each group of test images; ``None`` if they have no groups."""
    path = folder.counts_file()
    if results.intervals.get('unit') == 'video' or not path.is_file():
        return None
    _, rows, groups = read_counts(path)
    return None if groups is None else group_volumes(rows, groups.tolist())


def voxels_ml(results: RunResults, groups: list[str]) -> Optional[np.ndarray]:
    """Return the volume of a voxel of each group in ml, ``(G,)``; ``None`` where one is unknown.

    ``tools/test.py --voxel`` counts before the sizes that came with a user's volumes.
    """
    sides = results.extra.get('voxel_mm')
    if sides is not None:
        return np.full(len(groups), np.prod(sides) / 1000)
    known = dict(results.extra.get('voxel_mm3') or ())
    if not all(group in known for group in groups):
        return None
    return np.array([known[group] / 1000 for group in groups])


def _volumes(found: Volumes, results: RunResults) -> tuple[list[str], list[list]]:
    unit = str(results.intervals.get('unit') or 'group')
    head = [unit, 'class', 'true pixels', 'predicted pixels', 'difference', 'relative error']
    scales = voxels_ml(results, found.groups)
    head += [] if scales is None else ['true ml', 'predicted ml']
    rows = []
    for place, group in enumerate(found.groups):
        truths, guesses = found.truth[place], found.predicted[place]
        for name, truth, guess in zip(results.classes, truths.tolist(), guesses.tolist()):
            relative = _percent((guess - truth) / truth) if truth else None
            row = [group, name, truth, guess, guess - truth, relative]
            if scales is not None:
                row += [f'{pixels * scales[place]:.6g}' for pixels in (truth, guess)]
            rows.append(row)
    return head, rows


def _percent(share: float) -> Optional[str]:
    return None if np.isnan(share) else f'{100 * share:.4f}'


def drop_details(folder: 'RunFolder') -> None:
    """Remove the details of an older test, which are not of these results."""
    for path in (folder.details_file, *map(folder.table_file, _DETAILS)):
        path.unlink(missing_ok=True)


def write_details(folder: 'RunFolder', details: dict[str, Any], why: str = '') -> None:
    """Write ``details.json``, ``objects.csv``, ``borders.csv`` and ``thresholds.csv``.

    Args:
        folder: The run's folder.
        details: From ``DetailMetric.summary``.
        why: Why no threshold was chosen; empty if one was.
    """
    drop_details(folder)
    if why and 'thresholds' in details:
        details['thresholds']['why_not_chosen'] = why
    if 'objects' in details:
        write_csv(folder.table_file('objects'), *_objects(details))
    if 'borders' in details:
        write_csv(folder.table_file('borders'), *_borders(details['borders']))
    if 'thresholds' in details:
        points = details['thresholds']['points']
        head = ('threshold', 'recall', 'precision', 'false_alarms')
        write_csv(folder.table_file('thresholds'), head, ([p[k] for k in head] for p in points))
    write_json(folder.details_file, details)


def _objects(details: dict) -> tuple[list[str], list[list]]:
    facts = details['objects']
    head = ['class', 'size', 'objects', 'pixels', 'recall', 'mean IoU', 'found']
    names = bin_names(facts['sides'])
    rows = [
        [name, size, *object_scores(counts)]
        for name, bins in zip(details['classes'], facts['counts'])
        for size, counts in zip(names, bins)
        if counts[0]
    ]
    return head, rows


def object_scores(counts: list[float]) -> list[Any]:
    """Return objects, pixels, and recall, mean IoU and share found in per cent, of one bin."""
    objects, pixels, hits, iou, found = counts
    return [
        int(objects),
        int(pixels),
        *map(_percent, (hits / pixels, iou / objects, found / objects)),
    ]


def _borders(facts: dict) -> tuple[list[str], list[list]]:
    counts = np.array(facts['counts'], np.int64)
    head = ['distance in pixels', 'pixels', 'wrong', 'error rate', 'error rate up to here']
    rows = zip(band_names(facts['edges']), counts.tolist(), *error_rates(counts))
    return head, [[n, *pair, _percent(rate), _percent(within)] for n, pair, rate, within in rows]
