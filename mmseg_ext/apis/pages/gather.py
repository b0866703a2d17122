"""Gather what the report of a table shows from the work folders of its rows.

Pixel counts of folds are summed and scores of replicas are averaged (see :mod:`.runs`). All scores
are fractions. Shape letters: K class, M bin.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Protocol

import numpy as np

from ...evaluation.calibration_metric import PARTS, calibration_error, calibration_interval
from ...evaluation.confusion import MEANS, metrics_from_confusion
from ...evaluation.intervals import Interval, score_intervals, unit_counts
from ...evaluation.paired import Difference, holm, paired_difference
from ...evaluation.summary import plain_score
from ...evaluation.units import OLD_METHOD, Units, describe_units
from ..run.network.cost import Cost, read_cost
from .runs import Counts, RunFiles, folders_of, joined, read_run, replicas_of


class TableRow(Protocol):
    """What the report needs to know about a row of a table."""

    @property
    def label(self) -> str:
        """Name of the row as printed in the table."""

    @property
    def config(self) -> str:
        """Name of the config; empty if the row has none."""

    @property
    def runs(self) -> Sequence[Path]:
        """Work folders of the tested runs; empty if the row was not run."""


@dataclass
class RowData:
    """A row with everything that the report prints.

    Args:
        label: Name of the row as printed.
        config: Name of the config.
        note: Why something is missing; empty if nothing is.
        training: Warning if its runs were trained for far less than their config asks for.
        replicas: Lists of runs that together cover the test images once.
        metrics: Mean of each score over replicas.
        sds: Standard deviation (ddof=1) of each score over replicas, if there are several.
        intervals: 95 % interval of each score over the images or groups.
        units: The units of the intervals, see ``describe_units``; empty if they are not known.
        old_method: Method of the intervals if an older test wrote them, else empty.
        class_iou: IoU of each class as mean over replicas, and the two ends of its interval.
        confusion: Confusion matrix summed over all runs, ``(K, K)``.
        histogram: Confidence histogram of the calibration summed over all runs, ``(3, M)``.
        ece: Expected calibration error, mean over replicas.
        ece_interval: 95 % interval of ``ece``.
        difference: Main score minus that of the baseline; ``None`` if it was not computed.
        unpaired: Why the row cannot be compared with the baseline; empty if it can.
        p_holm: p of the difference, corrected for the number of rows.
        cost: Cost of its network, if it was measured.
        counts: Pixel counts of each replica; empty if a run has none.
    """

    label: str
    config: str
    note: str = ''
    training: str = ''
    replicas: list[list[RunFiles]] = field(default_factory=list)
    metrics: dict[str, Optional[float]] = field(default_factory=dict)
    sds: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    units: dict[str, Any] = field(default_factory=dict)
    old_method: str = ''
    class_iou: dict[str, tuple[Optional[float], Optional[float], Optional[float]]] = field(
        default_factory=dict
    )
    confusion: Optional[np.ndarray] = None
    histogram: Optional[np.ndarray] = None
    ece: Optional[float] = None
    ece_interval: Interval = (None, None)
    difference: Optional[Difference] = None
    unpaired: str = ''
    p_holm: Optional[float] = None
    cost: Optional[Cost] = None
    counts: list[Counts] = field(default_factory=list)

    @property
    def runs(self) -> list[RunFiles]:
        """The runs of all replicas."""
        return [run for replica in self.replicas for run in replica]

    @property
    def converted(self) -> bool:
        """Whether a run used weights that others trained, or started from such weights."""
        return any(run.results.converted for run in self.runs)


def read_rows(
    rows: Sequence[TableRow],
    *,
    baseline: Optional[str] = None,
    main: str = 'mIoU',
) -> list[RowData]:
    """Read and score all rows, and compare them with the baseline.

    Args:
        rows: Rows of the table. A row without runs is kept, with a note.
        baseline: Label of the row that the others are compared with; default: the first row that
            was run.
        main: Name of the score that is compared.

    Returns:
        The rows in the same order.

    Raises:
        FileNotFoundError: If a folder holds no results.
        ValueError: If a folder's files are from different tests, if the runs of a row have
            different classes or overlap in part of their images, or if no row has the label
            ``baseline``.
    """
    labels = [row.label for row in rows]
    if baseline is not None and baseline not in labels:
        raise ValueError(f'no row {baseline!r} to compare with; there are: {", ".join(labels)}')
    found = [_read_row(row) for row in rows]
    base = find_baseline(found, baseline)
    if base is not None:
        for row in found:
            if row is not base and row.runs:
                _compare(row, base, main)
        ps = [row.difference.p if row.difference else None for row in found]
        for row, p in zip(found, holm(ps)):
            row.p_holm = p
    return found


def find_baseline(rows: Sequence[RowData], label: Optional[str]) -> Optional[RowData]:
    """Return the row with this label, or the first row that was run if there is no label.

    ``None`` means that the baseline was not run.
    """
    wanted = [row for row in rows if row.label == label or label is None]
    return next((row for row in wanted if row.runs), None)


def _read_row(row: TableRow) -> RowData:
    data = RowData(row.label, row.config)
    if not row.runs:
        data.note = 'not run'
        return data
    runs = [read_run(folder) for folder in row.runs]
    if len({tuple(run.classes) for run in runs}) > 1:
        raise ValueError(f'{row.label}: its runs have different classes: {folders_of(runs)}')
    data.replicas, data.note = replicas_of(runs, row.label)
    data.confusion = np.sum([run.results.matrix for run in data.runs], 0)
    data.cost = next(filter(None, (read_cost(run.folder) for run in runs)), None)
    _score(data)
    if all(run.counts is not None for run in data.runs):
        data.counts = [joined(replica) for replica in data.replicas]
        _use_intervals(data)
    else:
        _use_own_intervals(data)
    _calibrate(data)
    return data


def _policy(run: RunFiles) -> str:
    return run.results.absent_policy


def _replica_scores(replica: Sequence[RunFiles]) -> dict[str, Optional[float]]:
    """Return the scores of one replica.

    A single run has the scores of its ``results.json``. The means of several folds are computed
    from their summed confusion matrix; their other scores are averaged.
    """
    written = [run.results for run in replica]
    scores = {name: _mean([run.value(name) for run in written]) for name in written[0].metrics}
    if len(replica) > 1:
        pooled = metrics_from_confusion(
            np.sum([run.matrix for run in written], 0), absent=_policy(replica[0])
        )
        scores.update({name: plain_score(pooled[name]) for name in MEANS})
    return scores


def _mean(values: Sequence[Optional[float]]) -> Optional[float]:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _score(data: RowData) -> None:
    scores = [_replica_scores(replica) for replica in data.replicas]
    for name in scores[0]:
        values = [score.get(name) for score in scores]
        data.metrics[name] = _mean(values)
        known = [value for value in values if value is not None]
        if len(known) > 1 and len(known) == len(values):
            data.sds[name] = float(np.std(known, ddof=1))
    matrices = [np.sum([run.results.matrix for run in replica], 0) for replica in data.replicas]
    policy = _policy(data.runs[0])
    iou = np.mean([metrics_from_confusion(matrix, absent=policy)['IoU'] for matrix in matrices], 0)
    for name, value in zip(data.runs[0].classes, iou):
        data.class_iou[name] = (plain_score(value), None, None)


def _use_intervals(data: RowData) -> None:
    """Compute the intervals of the means and class IoUs from the counts of all replicas."""
    groups, policy = data.counts[0].groups, _policy(data.runs[0])
    found = score_intervals(*(part.rows for part in data.counts), groups=groups, absent=policy)
    data.intervals = {name: found.means[name] for name in MEANS}
    for name, ends in zip(data.runs[0].classes, found.classes['IoU']):
        data.class_iou[name] = (data.class_iou[name][0], *ends)
    data.units = describe_units(found, data.runs[0].classes, _units(data))


def _units(data: RowData) -> Units:
    """Return the units that the tests recorded, or what the counts tell if a test recorded none."""
    said = [run.results.intervals for run in data.replicas[0]]
    first, counts = said[0].get('unit'), data.counts[0]
    if counts.groups is not None:
        named = first not in (None, 'image', 'frame') and all(s.get('unit') == first for s in said)
        return Units(len(np.unique(counts.groups)), str(first) if named else 'group')
    videos: dict[str, int] = {}
    for facts in said:
        for name, frames in (facts.get('videos') or {}).items():
            videos[name] = videos.get(name, 0) + frames
    return Units(len(counts.names), 'frame' if videos else 'image', videos=videos)


def _use_own_intervals(data: RowData) -> None:
    """Take the intervals from the results of a single run, for a row without counts of images."""
    if len(data.runs) > 1:
        return
    results = data.runs[0].results
    data.units = dict(results.intervals)
    for name, score in results.metrics.items():
        data.intervals[name] = (score.low, score.high)
    for name, ends in results.per_class_intervals.get('IoU', {}).items():
        data.class_iou[name] = (data.class_iou[name][0], *ends)
    if not data.units and any(low is not None for low, _ in data.intervals.values()):
        data.old_method = OLD_METHOD


def _calibrate(data: RowData) -> None:
    found = [[_histogram(run) for run in replica] for replica in data.replicas]
    if any(part is None for parts in found for part in parts):
        return
    if len({part.shape for parts in found for part in parts if part is not None}) > 1:
        return  # counted with different numbers of bins
    sums = [np.sum([part for part in parts if part is not None], 0) for parts in found]
    data.histogram = np.sum(sums, 0)
    errors = [plain_score(float(calibration_error(part))) for part in sums]
    data.ece = data.metrics['ECE'] = _mean(errors)
    if len(errors) > 1 and data.ece is not None:
        data.sds['ECE'] = float(np.std([error for error in errors if error is not None], ddof=1))
    kept = [counts.histograms for counts in data.counts if counts.histograms is not None]
    if kept and len(kept) == len(data.replicas):
        data.ece_interval = calibration_interval(np.concatenate(kept, -1), data.counts[0].groups)
    data.intervals['ECE'] = data.ece_interval


def _histogram(run: RunFiles) -> Optional[np.ndarray]:
    bins = (run.results.calibration or {}).get('bins')
    return None if bins is None else np.array([bins[part] for part in PARTS], np.float64)


def _compare(row: RowData, base: RowData, main: str) -> None:
    """Test a row against the baseline, or record why that is not possible."""
    row.unpaired = _why_unpaired(row, base, main)
    if not row.unpaired:
        groups, policy = base.counts[0].groups, _policy(base.runs[0])
        ours, theirs = ([unit_counts(c.rows, groups) for c in r.counts] for r in (row, base))
        row.difference = paired_difference(ours, theirs, main, absent=policy)


def _why_unpaired(row: RowData, base: RowData, main: str) -> str:
    if main not in MEANS:
        return f'{main} is not counted image by image'
    if not row.counts or not base.counts:
        without = [data.label for data in (row, base) if not data.counts]
        return f'no counts of each image of {", ".join(without)}'
    ours, theirs = row.counts[0], base.counts[0]
    if not np.array_equal(ours.names, theirs.names):
        return 'tested on other images than the baseline'
    if not np.array_equal(ours.rows[:, 2], theirs.rows[:, 2]):
        return 'tested against other labels than the baseline'
    groups = [None if part.groups is None else part.groups.tolist() for part in (ours, theirs)]
    if groups[0] != groups[1]:
        return 'the images are grouped otherwise than those of the baseline'
    if _policy(row.runs[0]) != _policy(base.runs[0]):
        return 'classes that are absent count otherwise than in the baseline'
    return ''
