"""Values of a table: mean, standard deviation, difference and verdict of each row's scores.

Our column never contains a printed number. Fractions in ``results.json`` are converted to per cent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Optional

from ..run.folder import RunFolder
from ..run.outcome.results import RUN_FACTS, RunResults
from .rows import Protocol, Row, Table

WITHIN, OUTSIDE, NOT_RUN, NOT_STATED = 'within', 'outside', 'not run', 'not stated'
Scores = dict[tuple[Any, str], float]  # per cent by seed and fold
Labelled = dict[str, set[tuple[int, ...]]]  # by fold, the labelled pixels that its runs counted
OTHER_LABELS = 'tested against other images or masks than the baseline: test both again'
COUNTS = ('parameters', 'GFLOPs', 'latency_ms')  # facts of the model, not of a run


@dataclass(frozen=True)
class Line:
    """One score of one row.

    Args:
        label: Label of the row.
        metric: Name of the score.
        printed: The paper's number; ``None`` if it has none on these data.
        values: Our values in per cent, one per run.
        mean: Mean of the values.
        sd: Standard deviation of the values (ddof=1), ``None`` for one value.
        difference: Difference to the printed number. On other data than the paper's, difference to
            the baseline row over the seeds and folds that both rows have.
        verdict: One of ``within``, ``outside``, ``not run``, ``not stated``.
        remark: Reason why there is no run or no verdict.
        best_epoch: The paper's number of the best epoch, see :class:`Row`; on these data only.
    """

    label: str
    metric: str
    printed: Optional[float] = None
    values: tuple[float, ...] = ()
    mean: Optional[float] = None
    sd: Optional[float] = None
    difference: Optional[float] = None
    verdict: str = NOT_RUN
    remark: str = ''
    best_epoch: Optional[float] = None


@dataclass(frozen=True)
class TableValues:
    """A table ready to print.

    Args:
        run: The table and its runs.
        lines: Score by score, row by row.
        on_paper_data: Whether printed numbers apply.
        facts: Facts on the runs of each row, see :func:`run_facts`.
        starred: Labels of rows with converted weights, which were not trained here.
    """

    run: Table
    lines: tuple[Line, ...]
    on_paper_data: bool
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    starred: tuple[str, ...] = ()

    @property
    def outside(self) -> list[Line]:
        """Return the scores outside the tolerance; counts of the model are ignored."""
        return [
            line for line in self.lines if line.verdict == OUTSIDE and line.metric not in COUNTS
        ]


def spread(values: Sequence[float]) -> tuple[Optional[float], Optional[float]]:
    """Return the mean and, for two or more values, the standard deviation (ddof=1)."""
    if not values:
        return None, None
    return mean(values), stdev(values) if len(values) > 1 else None


def verdict(
    ours: Optional[float], sd: Optional[float], printed: Optional[float], tolerance: float
) -> str:
    """Return the verdict on one score.

    Args:
        ours: Mean over the runs, or ``None``.
        sd: Standard deviation of the runs.
        printed: The paper's number.
        tolerance: Allowed difference; two standard deviations are always allowed.
    """
    if ours is None:
        return NOT_RUN
    if printed is None:
        return NOT_STATED
    allowed = max(tolerance, 2 * (sd or 0.0))
    near = abs(ours - printed) <= allowed + 1e-9  # 80.98 - 79.98 is not exactly 1
    return WITHIN if near else OUTSIDE


def read_run(row: Row, folder: Path) -> RunResults:
    """Read the results of one run.

    Raises:
        ValueError: If the results belong to another config than the row's.
    """
    results = RunFolder(folder).scores()
    if results.config not in (None, row.config):
        raise ValueError(
            f'{folder} holds a run of {results.config}, and the row {row.label!r} is {row.config}: '
            'move that folder, or give another --work-dirs'
        )
    return results


def matches(protocol: Protocol, results: Sequence[RunResults]) -> bool:
    """Tell whether runs were tested on the paper's data; all folds of a cross validation count."""
    for result in results:
        dataset = result.dataset
        if dataset.name != protocol.dataset:
            return False
        single = protocol.folds is None
        if single and protocol.split not in (None, dataset.split):
            return False
        if single and protocol.images not in (None, dataset.num_images):
            return False
    return protocol.folds is None or _whole_pool(protocol, results)


def _whole_pool(protocol: Protocol, results: Sequence[RunResults]) -> bool:
    """Tell whether the folds of each seed together have as many images as the paper's data."""
    complete = [sum(c) for c in _images_by_seed(results).values() if len(c) == protocol.folds]
    return protocol.images is None or all(total == protocol.images for total in complete)


def _images_by_seed(results: Sequence[RunResults]) -> dict[Any, list[int]]:
    """Return the number of test images of each run (or fold), by seed."""
    counts: dict[Any, list[int]] = {}
    for result in results:
        counts.setdefault(result.seed, []).append(result.dataset.num_images or 0)
    return counts


def table_values(
    run: Table, models: Optional[Mapping[str, Mapping[str, Any]]] = None
) -> TableValues:
    """Read the runs of a table and compare them.

    Args:
        run: From ``find_runs``.
        models: Facts of the built models by label: ``parameters``, ``GFLOPs`` and, after a failure,
            ``remark``.

    Raises:
        ValueError: If a folder holds a run of another config, or the runs of a row were tested
            against different labels.
    """
    results = {row.label: [read_run(row, path) for path in row.runs] for row in run.rows}
    ran = [result for row in results.values() for result in row]
    printed = run.protocol.dataset is not None and run.dataset is None
    on_paper_data = printed and matches(run.protocol, ran)
    scores = {row.label: _scores(run, row, results[row.label]) for row in run.rows}
    baseline = scores.get(run.baseline, {})
    labelled = {row.label: _labelled(row, results[row.label]) for row in run.rows}
    lines: list[Line] = []
    for row in run.rows:
        same = _are_same(labelled[row.label], labelled.get(run.baseline, {}))
        for metric in run.metrics:
            reference = {} if row.label == run.baseline else baseline.get(metric, {})
            ours = scores[row.label][metric]
            lines.append(_line(row, metric, ours, on_paper_data, reference, same))
        if models is not None:
            lines += _counts(row, models.get(row.label, {}), on_paper_data)
    facts = {row.label: run_facts(results[row.label]) for row in run.rows if row.runs}
    starred = tuple(label for label, found in facts.items() if found.get('converted'))
    return TableValues(run, tuple(lines), on_paper_data, facts, starred)


def _scores(run: Table, row: Row, results: Sequence[RunResults]) -> dict[str, Scores]:
    found: dict[str, Scores] = {metric: {} for metric in run.metrics}
    for place, (folder, result) in enumerate(zip(row.runs, results)):
        seed = f'run {place}' if result.seed is None else result.seed
        fold = _fold_of(folder)
        for metric, scores in found.items():
            value = result.value(metric)
            if value is not None:
                scores[seed, fold] = 100 * value
    return found


def _labelled(row: Row, results: Sequence[RunResults]) -> Labelled:
    """Collect the labelled pixels of each class that the runs of a row were tested on.

    Raises:
        ValueError: If two runs that have the same images counted different ones.
    """
    found: Labelled = {}
    for folder, result in zip(row.runs, results):
        if result.labelled is not None:
            found.setdefault(_fold_of(folder), set()).add(result.labelled)
    if not _are_same(found):
        raise ValueError(
            f'{row.label}: its runs were tested against different images or masks, so they have no '
            f'mean: test {", ".join(map(str, row.runs))} again (tools/test.py with --work-dir)'
        )
    return found


def _fold_of(folder: Path) -> str:
    return folder.name if folder.name.startswith('fold') else ''


def _are_same(*rows: Labelled) -> bool:
    folds = {fold for row in rows for fold in row}
    return all(len(set().union(*(row.get(fold, set()) for row in rows))) < 2 for fold in folds)


def _line(
    row: Row, metric: str, scores: Scores, on_paper_data: bool, baseline: Scores, same: bool
) -> Line:
    average, sd = spread([*scores.values()])
    printed = row.printed.get(metric) if on_paper_data else None
    judged = None if metric in row.unstated else printed
    remark = row.unstated.get(metric, '') if printed is not None else ''
    difference = None
    if average is None:
        remark = _why_not_run(row, metric)
    elif printed is not None:
        difference = average - printed
    elif not on_paper_data:
        difference, remark = _against(baseline, scores, same)
    return Line(
        row.label,
        metric,
        printed,
        tuple(scores.values()),
        average,
        sd,
        difference,
        verdict(average, sd, judged, row.tolerance),
        remark,
        row.best_epoch.get(metric) if on_paper_data else None,
    )


def _against(baseline: Scores, scores: Scores, same: bool) -> tuple[Optional[float], str]:
    """Return the difference to the baseline over the seeds and folds that both have.

    Args:
        baseline: Scores of the baseline.
        scores: Scores of the row.
        same: Whether both were tested on the same images and masks.
    """
    if not baseline:
        return None, ''
    if not same:
        return None, OTHER_LABELS
    shared = [key for key in scores if key in baseline]
    ours = [scores[key] for key in shared or scores]
    theirs = [baseline[key] for key in shared or baseline]
    remark = ''
    if not shared:
        remark = 'no seed is shared with the baseline: the difference is of means over other seeds'
    elif not len(shared) == len(scores) == len(baseline):
        names = ', '.join(f'{seed} {fold}'.strip() for seed, fold in shared)
        remark = f'difference over what both rows have: seed {names}'
    return mean(ours) - mean(theirs), remark


def _why_not_run(row: Row, metric: str) -> str:
    if row.path is None:
        return row.note or f'no config {row.config}'
    return f'{metric} is not in results.json' if row.runs else ''


def _counts(row: Row, model: Mapping[str, Any], on_paper_data: bool) -> list[Line]:
    """Return the lines on the built model; a printed count must match exactly."""
    lines = []
    for name in COUNTS:
        count = model.get(name)
        printed = row.printed.get(name) if on_paper_data else None
        judged = None if name in row.unstated else printed
        remark = row.unstated.get(name, '') if printed is not None else ''
        if printed is None and count is None:
            continue
        lines.append(
            Line(
                row.label,
                name,
                printed,
                () if count is None else (count,),
                count,
                None,
                None if count is None or printed is None else count - printed,
                verdict(count, None, judged, 0.0),
                remark or (model.get('remark', '') if count is None else ''),
            )
        )
    return lines


def run_facts(results: Sequence[RunResults]) -> dict[str, Any]:
    """Collect the facts of a row's runs: each a single value, or a list if they differ.

    Returns:
        The facts in ``RUN_FACTS``, ``dataset``, ``images``, ``checkpoints``, and ``converted``:
        whether the weights were converted.
    """
    facts: dict[str, Any] = {}
    for name in RUN_FACTS:
        values = list(dict.fromkeys(str(getattr(result, name)) for result in results))
        facts[name] = values[0] if len(values) == 1 else values
    names = [result.dataset.name for result in results]
    facts['dataset'] = ', '.join(dict.fromkeys(map(str, names)))
    facts['images'] = _images_of_a_seed(results)
    facts['checkpoints'] = list(dict.fromkeys(str(result.checkpoint) for result in results))
    facts['converted'] = any(result.converted for result in results)
    return facts


def _images_of_a_seed(results: Sequence[RunResults]) -> Any:
    """Return the number of test images over all folds; a list if seeds differ."""
    different = list(dict.fromkeys(map(sum, _images_by_seed(results).values())))
    return different[0] if len(different) == 1 else different
