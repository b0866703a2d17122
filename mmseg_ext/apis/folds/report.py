"""The outcome of a cross validation: spread over folds, pooled counts, scores per patient.

Three ways to sum up, which answer different questions and are never mixed:
per fold (mean and standard deviation with ddof=1, how much the result depends on the split),
pooled (one confusion matrix over all held-out images, each counted once), and per unit, a unit
being a group of the data set such as a patient or else an image (what to expect for the next
patient). Fractions in the data, per cent in the tables. Shape letters: N image, K class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from prettytable import PrettyTable

from ...core.files import PathLike, write_json
from ...core.labels import background_of
from ...evaluation.confusion import metrics_from_counts, nanmean
from ...evaluation.image_counts import read_counts
from ...evaluation.intervals import NONE, brackets, mean_interval, score_intervals
from ...evaluation.summary import class_table, mean_table, plain_score, summary
from ...evaluation.surface_metric import MISSING
from ...evaluation.units import Units
from ..run.folder import RunFolder
from ..run.results import RUN_FACTS, RunResults
from .fold import Split, read_split

_OF_THE_SPLIT = ('num_folds', 'split_seed', 'pool', 'splitter')  # folds of one run share these
SHOWN = ('mIoU', 'mDice', 'mPA', 'mPrecision', 'aAcc')
UNIT_SCORES = ('foreground_Dice', 'HD95', 'surface_Dice')


@dataclass
class FoldResult:
    """What a tested fold left in its folder, images in one order throughout.

    Args:
        split: How its images were chosen.
        results: Of its test.
        tp: True-positive pixels, ``(N, K)``.
        pred: Predicted pixels, ``(N, K)``.
        label: Labelled pixels, ``(N, K)``.
        surfaces: ``hd95`` and ``surface_dice`` ``(N, C)``, ``spacing``, ``tolerance``; or nothing.
    """

    split: Split
    results: RunResults
    tp: np.ndarray
    pred: np.ndarray
    label: np.ndarray
    surfaces: Optional[dict[str, np.ndarray]] = None

    @property
    def units(self) -> list[str]:
        """Group of each image, or its id where there are no groups."""
        return self.split.val_groups or self.split.val_ids


def read_fold(folder: RunFolder) -> FoldResult:
    """Read a tested fold.

    Raises:
        FileNotFoundError: If it was not tested.
        ValueError: If the counts per image are not those of the fold's images.
    """
    split, results = read_split(folder.path), folder.results()
    counts_file = folder.counts_file()
    if not counts_file.is_file():
        raise FileNotFoundError(f'{counts_file} does not exist: test the fold with SegMetric')
    counts = read_counts(counts_file)
    _check_names(counts.names, split.val_ids, counts_file)
    tp, pred, label = np.moveaxis(counts.rows, 1, 0)
    surfaces = None
    if folder.surface_file.is_file():
        with np.load(folder.surface_file) as file:
            _check_names(file['names'], split.val_ids, folder.surface_file)
            surfaces = {name: file[name] for name in file.files}
    return FoldResult(split, results, tp, pred, label, surfaces)


def _check_names(names: np.ndarray, ids: Sequence[str], path: Path) -> None:
    """Images were counted in the order of the data set; a file of another test shows here."""
    bases = [name.rsplit('/', 1)[-1] for name in ids]
    if len(names) != len(ids) or not all(
        str(name).startswith(base) for name, base in zip(names, bases)
    ):
        raise ValueError(f'{path} is of other images than the fold: test the fold again')


def read_folds(work_dir: PathLike) -> list[FoldResult]:
    """Read the tested folds of a cross validation, in order.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If they belong to different splits or hold an image twice.
    """
    folders = RunFolder(work_dir).tested_folds()
    folds = sorted(map(read_fold, folders), key=lambda fold: fold.split.fold)
    if not folds:
        raise FileNotFoundError(f'{work_dir} holds no tested fold (fold*/results.json)')
    for key in _OF_THE_SPLIT:
        values = {getattr(fold.split, key) for fold in folds}
        if len(values) > 1:
            raise ValueError(f'{work_dir} holds folds of different splits: {key} is {values}')
    ids = [name for fold in folds for name in fold.split.val_ids]
    if len(set(ids)) < len(ids):
        raise ValueError(f'{work_dir} holds folds that share held-out images: run them anew')
    return folds


def summarise_folds(folds: Sequence[FoldResult]) -> dict[str, Any]:
    """Sum up folds.

    Args:
        folds: From :func:`read_folds`; some may be missing.

    Returns:
        What JSON can hold: facts of the runs (a list where folds differ), the data set's name as
        ``dataset``, ``folds`` and ``missing``; ``per_fold``, score to
        ``values``, ``mean`` and ``sd``; ``pooled`` as of ``evaluation.summary``, with intervals
        over units; ``per_unit``, score to ``mean`` with ``low`` and ``high``, ``sd``, ``median``,
        ``count`` and ``undefined``; ``units``, one entry each. A fold's unit scores are means over
        its units.
    """
    first = folds[0]
    classes = first.results.classes
    rows = [row for fold in folds for row in unit_rows(fold, background_of(classes))]
    done = [fold.split.fold for fold in folds]
    surfaces = next((fold.surfaces for fold in folds if fold.surfaces), None)
    return dict(
        {key: _common([fold.results.facts()[key] for fold in folds]) for key in RUN_FACTS},
        dataset=first.results.dataset.name,
        **{
            key: getattr(first.split, key)
            for key in ('num_folds', 'split_seed', 'pool', 'splitter')
        },
        folds=done,
        missing=[number for number in range(first.split.num_folds) if number not in done],
        checkpoints=[fold.results.checkpoint for fold in folds],
        num_images=[len(fold.tp) for fold in folds],
        unit=_unit(folds),
        spacing=None if surfaces is None else surfaces['spacing'].tolist(),
        tolerance=None if surfaces is None else float(surfaces['tolerance']),
        per_fold=_per_fold(folds, rows),
        pooled=_pooled(folds, classes),
        per_unit={score: _over_units(score, [row[score] for row in rows]) for score in UNIT_SCORES},
        units=rows,
    )


def _unit(folds: Sequence[FoldResult]) -> str:
    """Say what a unit is: what the tests called the groups, if there are groups."""
    if folds[0].split.val_groups is None:
        return 'image'
    units = {fold.results.intervals.get('unit') for fold in folds}
    named = units.pop() if len(units) == 1 else None
    return 'group' if named in (None, 'image', 'frame') else str(named)


def _videos(folds: Sequence[FoldResult]) -> Optional[dict[str, int]]:
    """Frames of each video, where the tests name videos that are not the units."""
    frames: dict[str, int] = {}
    for fold in folds:
        for name, count in (fold.results.intervals.get('videos') or {}).items():
            frames[name] = frames.get(name, 0) + count
    return frames or None


def _common(values: Sequence[Any]) -> Any:
    """The value that all folds share, else the list of them."""
    return values[0] if all(value == values[0] for value in values) else list(values)


def unit_rows(fold: FoldResult, background: Optional[int]) -> list[dict[str, Any]]:
    """Score each patient (or image) of a fold.

    The Dice takes all pixels of a unit together, as if its images were one; of several
    foreground classes those that are labelled or predicted in the unit are averaged. Outlines are
    measured in each image, and a unit has the mean of its images. What is undefined is ``None``.
    """
    units = np.array(fold.units)
    rows = []
    for unit in dict.fromkeys(fold.units):
        member = units == unit
        sums = [counts[member].sum(0) for counts in (fold.tp, fold.pred, fold.label)]
        row = dict(
            name=str(unit),
            fold=fold.split.fold,
            images=int(member.sum()),
            foreground_Dice=_foreground_dice(sums, background),
            HD95=None,
            surface_Dice=None,
        )
        if fold.surfaces is not None:
            for score, key in (('HD95', 'hd95'), ('surface_Dice', 'surface_dice')):
                row[score] = plain_score(nanmean(nanmean(fold.surfaces[key][member])))
        rows.append(row)
    return rows


def _foreground_dice(sums: Sequence[np.ndarray], background: Optional[int]) -> Optional[float]:
    dice = metrics_from_counts(*sums, absent='skip')['Dice']
    return plain_score(nanmean(dice if background is None else np.delete(dice, background)))


def _spread(values: Sequence[Optional[float]]) -> dict[str, Any]:
    """Mean and standard deviation (ddof=1) of what is defined."""
    known = [value for value in values if value is not None]
    return dict(
        mean=float(np.mean(known)) if known else None,
        sd=float(np.std(known, ddof=1)) if len(known) > 1 else None,
    )


def _over_units(score: str, values: Sequence[Optional[float]]) -> dict[str, Any]:
    """Sum up a score of all units: the mean with its interval, and what else says how it varies."""
    known = [value for value in values if value is not None]
    low, high = mean_interval(np.array(known), bounded=score != 'HD95') if known else NONE
    return dict(
        _spread(values),
        low=low,
        high=high,
        median=float(np.median(known)) if known else None,
        count=len(known),
        undefined=len(values) - len(known),
    )


def _per_fold(folds: Sequence[FoldResult], rows: list[dict[str, Any]]) -> dict[str, Any]:
    scores: dict[str, list[Optional[float]]] = {
        name: [fold.results.value(name) for fold in folds] for name in folds[0].results.metrics
    }
    for score in UNIT_SCORES:
        by_fold = [[row[score] for row in rows if row['fold'] == f.split.fold] for f in folds]
        scores[score] = [_spread(values)['mean'] for values in by_fold]
    return {name: dict(values=values, **_spread(values)) for name, values in scores.items()}


def _pooled(folds: Sequence[FoldResult], classes: list[str]) -> dict[str, Any]:
    matrix = np.sum([fold.results.matrix for fold in folds], axis=0)
    rows = np.concatenate([np.stack([fold.tp, fold.pred, fold.label], 1) for fold in folds])
    groups = [unit for fold in folds for unit in fold.units]
    absent = folds[0].results.absent_policy
    intervals = score_intervals(rows, groups=groups, absent=absent)
    units = Units(len(set(groups)), _unit(folds), videos=_videos(folds))
    return summary(matrix, classes, intervals=intervals, units=units, absent=absent)


def _number(value: Optional[float], scale: float = 100) -> str:
    return '-' if value is None else f'{scale * value:.2f}'


def _scale(score: str) -> float:
    return 1 if score == 'HD95' else 100


def fold_table(result: dict[str, Any]) -> str:
    """Print one line per fold, mean, standard deviation and the pooled scores."""
    scores = [name for name in (*SHOWN, *UNIT_SCORES) if name in result['per_fold']]
    table = PrettyTable(['Fold', 'Images', 'Checkpoint', *scores])
    for place, fold in enumerate(result['folds']):
        values = [_number(result['per_fold'][s]['values'][place], _scale(s)) for s in scores]
        table.add_row([fold, result['num_images'][place], result['checkpoints'][place], *values])
    table.add_divider()
    for label, key in (('mean', 'mean'), ('sd (ddof=1)', 'sd')):
        values = [_number(result['per_fold'][score][key], _scale(score)) for score in scores]
        table.add_row([label, '', '', *values])
    pooled = result['pooled']['metrics']
    values = [_number(pooled[s]['value']) if s in pooled else '' for s in scores]
    table.add_row(['pooled', sum(result['num_images']), '', *values])
    return table.get_string()


def unit_table(result: dict[str, Any]) -> str:
    """Print the scores per patient or image."""
    table = PrettyTable(
        [
            f'Per {result["unit"]}',
            'Mean',
            '95 % interval',
            'sd (ddof=1)',
            'Median',
            'n',
            'undefined',
        ]
    )
    for score in UNIT_SCORES:
        entry, scale = result['per_unit'][score], _scale(score)
        mean, sd, median = (_number(entry[key], scale) for key in ('mean', 'sd', 'median'))
        ends = brackets((entry['low'], entry['high']), scale).strip() or '-'
        table.add_row([score, mean, ends, sd, median, entry['count'], entry['undefined']])
    return table.get_string()


def format_folds(result: dict[str, Any]) -> str:
    """Print everything about a cross validation that fits on a screen."""
    done, count = len(result['folds']), result['num_folds']
    lines = [
        f'{result["config"]}: {done} of {count} folds ({result["splitter"]}, split seed '
        f'{result["split_seed"]}, pool {result["pool"]}, seed {result["seed"]})',
    ]
    if result['missing']:
        lines.append(f'INCOMPLETE: folds {result["missing"]} are missing from every number below')
    if any(str(name).startswith('best') for name in result['checkpoints']):
        lines.append('OPTIMISTIC: the best epoch was chosen on the images that it is scored on')
    lines += [fold_table(result), 'pooled over held-out images, per class, in per cent:']
    lines += [
        class_table(result['pooled']),
        mean_table(result['pooled']),
        unit_table(result),
    ]
    if result['spacing'] is None:
        lines.append(MISSING)
    else:
        row, column = result['spacing']
        lines.append(
            f'HD95 in the unit of the spacing, {row:g} x {column:g} for a pixel; surface Dice '
            f'with a tolerance of {result["tolerance"]:g}. A mask that is empty in prediction and '
            'truth is undefined; empty in one of them it has the diagonal of the image and 0.'
        )
    return '\n'.join(lines)


def write_summary(work_dir: PathLike) -> dict[str, Any]:
    """Read the tested folds, and write ``kfold.json`` into the work folder.

    Raises:
        FileNotFoundError: If no fold was tested.
        ValueError: If the folds do not belong together.
    """
    result = summarise_folds(read_folds(work_dir))
    write_json(RunFolder(work_dir).folds_file, result)
    return result
