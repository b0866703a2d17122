"""The page sections about a single test: object sizes, borders, thresholds, volumes of patients."""

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from ...core.files import read_json
from ...core.labels import background_of
from ...evaluation.border_bands import band_names, error_rates
from ...evaluation.objects import bin_names
from ...evaluation.volumes import Volumes, agreement
from ..draw.blocks import (
    Block,
    Cards,
    Cell,
    Figures,
    Line,
    Note,
    Section,
    Table,
    embed,
    plain,
    section,
)
from ..draw.figures import draw_agreement, draw_points
from ..run.folder import RunFolder
from ..run.outcome.results import RunResults
from ..run.outcome.tables import object_scores, volumes_of, voxels_ml
from .numbers import NONE, percent
from .score_sections import Rows

_VERSION = 1
_GROUPS = 40  # most groups that are listed


def after_sections(rows: Rows) -> list[Optional[Section]]:
    """Make the sections of a single run, as far as its test wrote their numbers."""
    if len(rows) != 1 or len(rows[0].runs) != 1:
        return []
    run = rows[0].runs[0]
    folder = RunFolder(run.folder)
    path = folder.details_file
    details = read_json(path) if path.is_file() else {}
    if details.get('version', _VERSION) != _VERSION or details.get('classes') != run.classes:
        details = {}  # of a later version, or of another test
    return [
        objects(details),
        borders(details),
        thresholds(details),
        volumes(volumes_of(folder, run.results), run.results),
    ]


def objects(details: dict) -> Optional[Section]:
    """List recall and IoU of the true objects by their size, over all classes and of each."""
    facts = details.get('objects')
    if facts is None:
        return None
    classes, counts = details['classes'], np.array(facts['counts'])
    clear = background_of(classes)
    things = [index for index in range(len(classes)) if index != clear]
    names = bin_names(facts['sides'])
    lines = [
        Line(Cell(name), plain(*_object_cells(pooled)))
        for name, pooled in zip(names, counts[things].sum(0))
    ]
    of_class = [
        Line(Cell(classes[index]), [_recall(one) for one in counts[index]]) for index in things
    ]
    note = Note(
        'Connected regions of a class in the truth, the background aside, by their area (as '
        'squares, in pixels). Recall: share of their pixels that are predicted right. IoU: mean '
        'over objects, each with the predicted regions that touch it; found: IoU of 50 % or more.'
    )
    head = ('area', 'objects', 'recall', 'mean IoU', 'found')
    return section(
        'Score against object size',
        note,
        Table(head, lines, 'objects by size'),
        Note('Recall of each class; below it, the number of objects.'),
        Table(('class', *names), of_class, 'recall by size'),
    )


def _object_cells(counts: Any) -> list[str]:
    if not counts[0]:
        return ['0', NONE, NONE, NONE]
    number, _, *scores = object_scores(counts)
    return [f'{number:,}', *(f'{float(score):.1f}\u00a0%' for score in scores)]


def _recall(counts: Any) -> Cell:
    number, pixels, hits = (int(count) for count in counts[:3])
    return Cell(percent(hits / pixels), (f'{number:,}',)) if number else Cell(NONE)


def borders(details: dict) -> Optional[Section]:
    """Draw and list the error rate by distance to the nearest border of the truth."""
    facts = details.get('borders')
    if facts is None:
        return None
    counts = np.array(facts['counts'], np.int64)
    rates, within = error_rates(counts)
    names, total = band_names(facts['edges']), max(int(counts[:, 1].sum()), 1)
    lines = [
        Line(Cell(name), plain(f'{pixels:,}', percent(rate), percent(all_), percent(wrong / total)))
        for name, (pixels, wrong), rate, all_ in zip(names, counts.tolist(), rates, within)
    ]
    points = [(edge, 100 * share) for edge, share in zip(facts['edges'], within) if share == share]
    drawn = draw_points({'up to this distance': points}, 'distance in pixels', 'wrong pixels in %')
    caption = 'Wrong pixels up to a distance to the border'
    figures = Figures([embed(drawn, caption, caption)]) if points else None
    note = Note(
        'Distance of a pixel to the nearest border between two classes of the truth. The last '
        'column is the share of all wrong pixels that lie in the band.'
    )
    head = ('distance, pixels', 'pixels', 'wrong', 'wrong up to here', 'of all errors')
    return section(
        'Errors near borders', figures, note, Table(head, lines, 'errors by distance to a border')
    )


def thresholds(details: dict) -> Optional[Section]:
    """Draw the curves of a two-class problem, and compare one half with the chosen threshold."""
    facts = details.get('thresholds')
    if facts is None:
        return None
    cards = [
        ('area under the ROC', _four(facts['AUC']), 'share of pairs of pixels in the right order'),
        ('average precision', _four(facts['AP']), f'of {facts["positive"]}'),
    ]
    points = facts['points']
    curves = [
        ('recall', 'precision', 'Precision and recall'),
        ('false_alarms', 'recall', 'Receiver operating characteristic (ROC)'),
    ]
    figures = [_curve(points, *curve) for curve in curves] if points else []
    lines = [Line(Cell('0.5'), _at(facts['at_half']))]
    if 'threshold' in facts:
        name = Cell(f'{facts["threshold"]:.3f}', ('chosen on the validation images',))
        lines.append(Line(name, _at(facts['at_threshold'])))
    why = facts.get('why_not_chosen')
    head = ('threshold', 'Dice', 'IoU', 'precision', 'recall')
    return section(
        f'Thresholds for {facts["positive"]}',
        Cards(cards),
        Figures(figures) if figures else None,
        Table(head, lines, 'scores at thresholds'),
        Note(f'No threshold was chosen: {why}. The test images are never used for it.')
        if why
        else None,
    )


def _curve(points: Sequence[dict], x: str, y: str, caption: str) -> tuple:
    words = {'false_alarms': 'false alarms'}
    names = [f'{words.get(name, name)} in %' for name in (x, y)]
    drawn = draw_points({'': [(100 * p[x], 100 * p[y]) for p in points]}, *names, square=True)
    return embed(drawn, caption, caption)


def _at(scores: dict) -> list[Cell]:
    return plain(*(percent(scores[name]) for name in ('Dice', 'IoU', 'precision', 'recall')))


def _four(value: Optional[float]) -> str:
    return NONE if value is None else f'{value:.4f}'


def volumes(found: Optional[Volumes], results: RunResults) -> Optional[Section]:
    """Compare predicted with true volumes of each patient or other group."""
    if found is None:
        return None
    scales, clear = voxels_ml(results, found.groups), background_of(results.classes)
    unit = 'pixels' if scales is None else 'ml'
    scales = np.ones(len(found.groups)) if scales is None else scales
    kind = str(results.intervals.get('unit') or 'group')
    blocks: list[Block] = []
    for index, name in enumerate(results.classes):
        if index != clear and found.truth[:, index].any():
            blocks += _of_class(found, index, name, kind, scales, unit)
    note = Note(
        f'Pixels of all images of a {kind}, predicted against true, in {unit}'
        + (' (tools/test.py --voxel gives ml)' if unit == 'pixels' else '')
        + '. Limits of agreement: mean difference ± 1.96 standard deviations (Bland and Altman); '
        'with few of them they are uncertain.'
    )
    return section(f'Volume of each {kind}', note, *blocks) if blocks else None


def _of_class(
    found: Volumes, index: int, name: str, kind: str, scales: np.ndarray, unit: str
) -> list[Block]:
    truth, guess = found.truth[:, index] * scales, found.predicted[:, index] * scales
    told = agreement(truth, guess)
    limits = NONE
    if told.low is not None and told.high is not None:
        limits = f'{_amount(told.low)} to {_amount(told.high)}'
    relative = NONE if told.relative is None else percent(told.relative)
    head = (name, f'true, {unit}', f'predicted, {unit}', 'difference', 'relative error')
    lines = [
        Line(Cell(group), plain(*map(_amount, (t, g, g - t)), _share(g - t, t)))
        for group, t, g in zip(found.groups[:_GROUPS], truth.tolist(), guess.tolist())
    ]
    cards = Cards([
        (f'{name}: mean difference', _amount(told.mean), unit),
        ('limits of agreement', limits, unit),
        ('mean relative error', relative, 'of the true volume, without sign'),
    ])  # fmt: skip
    middle = [((t + g) / 2, g - t) for t, g in zip(truth.tolist(), guess.tolist())]
    drawn = draw_agreement(
        middle,
        (told.mean, told.low, told.high),
        xlabel=f'mean of true and predicted, {unit}',
        ylabel=f'predicted minus true, {unit}',
    )
    caption = f'{name}: difference against mean, a dot for each {kind}'
    rest = len(found.groups) - _GROUPS
    more = [Note(f'and {rest} more in volumes.csv')] if rest > 0 else []
    figures = Figures([embed(drawn, caption, caption)])
    return [cards, figures, Table(head, lines, f'volumes of {name}'), *more]


def _amount(value: float) -> str:
    return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.4g}'


def _share(difference: float, truth: float) -> str:
    return f'{100 * difference / truth:+.1f}\u00a0%' if truth else NONE
