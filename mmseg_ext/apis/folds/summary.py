"""Sum up the results of a cross validation over folds, over pooled pixels and over patients.

The three sums answer different questions and are never mixed:

- per fold: mean and standard deviation (ddof=1) say how much the result depends on the split;
- pooled: one confusion matrix counts all held-out images, each image once;
- per unit: the scores say what to expect for the next patient. A unit is a group of the data set,
  such as a patient, or a single image if there are no groups.

All scores are fractions.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, Optional

import numpy as np

from ...core.files import PathLike, read_json, write_json
from ...core.labels import background_of
from ...evaluation.confusion import metrics_from_counts, nanmean
from ...evaluation.intervals import NONE, mean_interval, score_intervals
from ...evaluation.summary import plain_score, summary
from ...evaluation.units import Units
from ..run.folder import RunFolder
from ..run.outcome.results import RUN_FACTS
from .tested import FoldResult, read_folds

UNIT_SCORES = ('foreground_Dice', 'HD95', 'surface_Dice')
_NEEDED = ('per_fold', 'pooled', 'num_folds', 'folds')


class Spread(NamedTuple):
    """A score of each fold, ``None`` where undefined, with mean and standard deviation (ddof=1)."""

    values: list[Optional[float]]
    mean: Optional[float]
    sd: Optional[float]


@dataclass(frozen=True)
class OverUnits:
    """A score over all units: mean, standard deviation, confidence interval and median.

    ``count`` is the number of units where the score is defined. ``undefined`` is the number of the
    other units.
    """

    mean: Optional[float]
    sd: Optional[float]
    low: Optional[float]
    high: Optional[float]
    median: Optional[float]
    count: int
    undefined: int


class UnitRow(NamedTuple):
    """The scores of one patient, or image, ``None`` where undefined."""

    name: str
    fold: int
    images: int
    foreground_Dice: Optional[float]  # noqa: N815  the name of the score
    HD95: Optional[float] = None
    surface_Dice: Optional[float] = None  # noqa: N815


@dataclass(frozen=True)
class FoldSummary:
    """The content of ``kfold.json``: each fact and each other field is an entry of the file.

    Args:
        facts: Facts about the runs, named by ``RUN_FACTS``; a list where the folds differ.
        dataset: Class of the data set.
        num_folds: Number of folds of the split.
        split_seed: Seed of the split.
        pool: Where the images come from, one of ``POOLS``.
        splitter: Name of the method that split the images.
        folds: Indices of the folds that were tested.
        missing: Indices of the folds that were not tested.
        checkpoints: Name of the checkpoint that was tested in each fold.
        num_images: Number of held-out images of each fold.
        unit: Name of a unit, such as ``'image'`` or ``'patient'``.
        spacing: Height and width of a pixel; ``None`` if no surface scores were measured.
        tolerance: Distance that surface Dice allows; ``None`` if it was not measured.
        per_fold: Each score with its spread over the folds. A unit score of a fold is the mean
            over the fold's units.
        pooled: Scores of the pooled confusion matrix, as ``evaluation.summary`` returns them, with
            intervals over units.
        per_unit: Each unit score, summed up over all units.
        units: The scores of each unit.
    """

    facts: dict[str, Any]
    dataset: Optional[str]
    num_folds: int
    split_seed: int
    pool: str
    splitter: str
    folds: list[int]
    missing: list[int]
    checkpoints: list[Optional[str]]
    num_images: list[int]
    unit: str
    spacing: Optional[list[float]]
    tolerance: Optional[float]
    per_fold: dict[str, Spread]
    pooled: dict[str, Any]
    per_unit: dict[str, OverUnits]
    units: list[UnitRow]

    @classmethod
    def read(cls, path: PathLike) -> 'FoldSummary':
        """Read a ``kfold.json``.

        Raises:
            FileNotFoundError: If the file is not there.
            ValueError: If the file is damaged, or lacks an entry that a card prints.
        """
        content = read_json(path)
        known = content if isinstance(content, dict) else {}
        absent = [key for key in _NEEDED if key not in known]
        again = 'write it again with tools/kfold.py CONFIG --num-folds K --report'
        if absent:
            raise ValueError(f'{path} lacks {", ".join(absent)}: {again}')
        given: dict[str, Any] = {item.name: known.get(item.name) for item in fields(cls)}
        try:
            given.update(
                facts={key: known.get(key) for key in RUN_FACTS},
                per_fold={name: Spread(**entry) for name, entry in known['per_fold'].items()},
                per_unit={k: OverUnits(**v) for k, v in known.get('per_unit', {}).items()},
                units=[UnitRow(**row) for row in known.get('units', ())],
            )
        except (TypeError, AttributeError) as error:
            raise ValueError(f'{path} is damaged ({error}): {again}') from error
        return cls(**given)

    def as_content(self) -> dict[str, Any]:
        """Return the entries of the file."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            **content.pop('facts'),
            **content,
            'per_fold': {name: spread._asdict() for name, spread in self.per_fold.items()},
            'per_unit': {name: asdict(score) for name, score in self.per_unit.items()},
            'units': [row._asdict() for row in self.units],
        }


def summarise_folds(folds: Sequence[FoldResult]) -> FoldSummary:
    """Sum up the tested folds of a cross validation.

    Args:
        folds: From :func:`~.tested.read_folds`; some may be missing.
    """
    first = folds[0]
    classes = first.results.classes
    rows = [row for fold in folds for row in unit_rows(fold, background_of(classes))]
    done = [fold.split.fold for fold in folds]
    surfaces = next((fold.surfaces for fold in folds if fold.surfaces), None)
    facts = [fold.results.facts() for fold in folds]
    return FoldSummary(
        facts={key: _common([fact[key] for fact in facts]) for key in RUN_FACTS},
        dataset=first.results.dataset.name,
        num_folds=first.split.num_folds,
        split_seed=first.split.split_seed,
        pool=first.split.pool,
        splitter=first.split.splitter,
        folds=done,
        missing=[number for number in range(first.split.num_folds) if number not in done],
        checkpoints=[fold.results.checkpoint for fold in folds],
        num_images=[len(fold.tp) for fold in folds],
        unit=_unit(folds),
        spacing=None if surfaces is None else surfaces['spacing'].tolist(),
        tolerance=None if surfaces is None else float(surfaces['tolerance']),
        per_fold=_per_fold(folds, rows),
        pooled=_pooled(folds, classes),
        per_unit={
            score: _over_units(score, [getattr(row, score) for row in rows])
            for score in UNIT_SCORES
        },
        units=rows,
    )


def _unit(folds: Sequence[FoldResult]) -> str:
    """Name a unit: the name that the tests gave to the groups, or ``'image'`` without groups."""
    if folds[0].split.val_groups is None:
        return 'image'
    units = {fold.results.intervals.get('unit') for fold in folds}
    named = units.pop() if len(units) == 1 else None
    return 'group' if named in (None, 'image', 'frame') else str(named)


def _videos(folds: Sequence[FoldResult]) -> Optional[dict[str, int]]:
    """Count the frames of each video, if the tests list videos that are not the units."""
    frames: dict[str, int] = {}
    for fold in folds:
        for name, count in (fold.results.intervals.get('videos') or {}).items():
            frames[name] = frames.get(name, 0) + count
    return frames or None


def _common(values: Sequence[Any]) -> Any:
    """Return the value that all folds share, or the list of values if they differ."""
    return values[0] if all(value == values[0] for value in values) else list(values)


def unit_rows(fold: FoldResult, background: Optional[int]) -> list[UnitRow]:
    """Score each patient (or image) of a fold.

    The Dice counts all pixels of a unit together, as if its images were one image. It is the mean
    over the foreground classes that are labelled or predicted in the unit. HD95 and surface Dice
    are measured in each image, and a unit gets the mean of its images. An undefined score is
    ``None``.
    """
    units = np.array(fold.units)
    rows = []
    for unit in dict.fromkeys(fold.units):
        member = units == unit
        sums = [counts[member].sum(0) for counts in (fold.tp, fold.pred, fold.label)]
        dice = _foreground_dice(sums, background)
        outlines = [_outline(fold, key, member) for key in ('hd95', 'surface_dice')]
        rows.append(UnitRow(str(unit), fold.split.fold, int(member.sum()), dice, *outlines))
    return rows


def _outline(fold: FoldResult, key: str, member: np.ndarray) -> Optional[float]:
    """Average a surface score over the classes of each image, then over the images of a unit."""
    if fold.surfaces is None:
        return None
    return plain_score(nanmean(nanmean(fold.surfaces[key][member])))


def _foreground_dice(sums: Sequence[np.ndarray], background: Optional[int]) -> Optional[float]:
    dice = metrics_from_counts(*sums, absent='skip')['Dice']
    return plain_score(nanmean(dice if background is None else np.delete(dice, background)))


def _spread(values: list[Optional[float]]) -> Spread:
    """Compute mean and standard deviation of the defined values."""
    known = [value for value in values if value is not None]
    return Spread(
        values,
        mean=float(np.mean(known)) if known else None,
        sd=float(np.std(known, ddof=1)) if len(known) > 1 else None,
    )


def _over_units(score: str, values: list[Optional[float]]) -> OverUnits:
    """Sum up one score over all units."""
    known = [value for value in values if value is not None]
    low, high = mean_interval(np.array(known), bounded=score != 'HD95') if known else NONE
    _, mean, sd = _spread(values)
    return OverUnits(
        mean,
        sd,
        low=low,
        high=high,
        median=float(np.median(known)) if known else None,
        count=len(known),
        undefined=len(values) - len(known),
    )


def _per_fold(folds: Sequence[FoldResult], rows: list[UnitRow]) -> dict[str, Spread]:
    scores: dict[str, list[Optional[float]]] = {
        name: [fold.results.value(name) for fold in folds] for name in folds[0].results.metrics
    }
    for score in UNIT_SCORES:
        by_fold = [[getattr(row, score) for row in rows if row.fold == f.split.fold] for f in folds]
        scores[score] = [_spread(values).mean for values in by_fold]
    return {name: _spread(values) for name, values in scores.items()}


def _pooled(folds: Sequence[FoldResult], classes: list[str]) -> dict[str, Any]:
    matrix = np.sum([fold.results.matrix for fold in folds], axis=0)
    rows = np.concatenate([np.stack([fold.tp, fold.pred, fold.label], 1) for fold in folds])
    groups = [unit for fold in folds for unit in fold.units]
    absent = folds[0].results.absent_policy
    intervals = score_intervals(rows, groups=groups, absent=absent)
    units = Units(len(set(groups)), _unit(folds), videos=_videos(folds))
    return summary(matrix, classes, intervals=intervals, units=units, absent=absent)


def write_summary(work_dir: PathLike, *, num_folds: Optional[int] = None) -> FoldSummary:
    """Read the tested folds, and write ``kfold.json`` into the work folder.

    Args:
        work_dir: Folder of the folds.
        num_folds: Expected number of folds; by default any number is accepted.

    Raises:
        FileNotFoundError: If no fold was tested.
        ValueError: If the folds are of different splits, or their number is not ``num_folds``.
    """
    result = summarise_folds(read_folds(work_dir))
    if num_folds not in (None, result.num_folds):
        raise ValueError(
            f'{work_dir} holds {result.num_folds} folds, not {num_folds}: give '
            f'--num-folds {result.num_folds}, or another --work-dir'
        )
    write_json(RunFolder(work_dir).folds_file, result.as_content())
    return result
