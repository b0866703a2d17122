"""The page section about pseudo labels: how many a training took, and how many were right.

A semi-supervised training logs the share of pixels that it takes pseudo labels from and, where the
unlabelled images have masks in reserve, the share of right ones. ``PseudoLabelMetric`` measures
both on the validation images.
"""

import inspect
from statistics import mean
from typing import NamedTuple, Optional

from mmseg.registry import MODELS

from ..draw.blocks import Cell, Figures, Line, Note, Picture, Section, Table, embed, section
from ..draw.curves import Curve, curve_summary
from ..draw.figures import RowCurves, draw_row_curves, letter
from ..run.folder import RunFolder
from .gather import RowData
from .numbers import NONE
from .runs import RunFiles
from .score_sections import Rows, key


class _Quantity(NamedTuple):
    """A figure: its name, the curve of the validations, and that of the training if any."""

    name: str
    validated: str
    trained: str = ''


_COVERAGE = _Quantity('coverage', 'val/pseudo/coverage', 'semi.coverage')
_PRECISION = _Quantity('precision', 'val/pseudo/precision', 'semi.precision')
_MIOU, _ECE = _Quantity('mIoU', 'val/mIoU'), _Quantity('ECE', 'val/ECE')
_QUANTITIES = (_COVERAGE, _PRECISION, _MIOU, _ECE)
_NOTE = (
    'Coverage: share of pixels that get a pseudo label, those whose probability reaches the '
    'threshold. Precision: share of right ones among these. Dark: on the validation images, by '
    'their labels. Pale: on crops of the unlabelled images in training, the precision only '
    'where their masks are known. A method fails where precision falls while coverage rises.'
)


def pseudo_labels(rows: Rows) -> Optional[Section]:
    """Draw coverage and precision of pseudo labels over iterations, beside mIoU and ECE.

    Args:
        rows: All rows. Those without pseudo labels appear for their mIoU and ECE, and for the
            checkpoint that was tested.
    """
    if not any(map(_is_taught, rows)):
        return None
    figures = [figure for one in _QUANTITIES for figure in _figure(one, rows)]
    head = ('row', 'threshold', *(f'{one.name}, %' for one in _QUANTITIES), 'tested')
    lines = [
        Line(Cell(row.label), _cells(row), key(place, rows))
        for place, row in enumerate(rows)
        if row.runs
    ]
    last = 'Of the last validation; below, in small print, of the end of the training.'
    table = Table(head, lines, 'pseudo labels')
    return section('Pseudo labels', Note(_NOTE), Figures(figures), Note(last), table)


def _is_taught(row: RowData) -> bool:
    names = {name for one in (_COVERAGE, _PRECISION) for name in (one.validated, one.trained)}
    return any(_known(run, name) for run in row.runs for name in names)


def _known(run: RunFiles, name: str) -> Curve:
    """A curve in per cent, without the values that are undefined."""
    scale = 1 if name.startswith('val/') else 100  # a training logs fractions
    curve = {step: scale * v for step, v in run.curves.get(name, {}).items() if v == v}
    if name == _PRECISION.trained:  # of no pseudo label, older logs have 0
        taken = run.curves.get(_COVERAGE.trained, {})
        curve = {step: value for step, value in curve.items() if taken.get(step) != 0}
    return curve


def _by_row(rows: Rows, name: str) -> RowCurves:
    found = {place: [_known(run, name) for run in row.runs] for place, row in enumerate(rows)}
    some = {place: [curve for curve in curves if curve] for place, curves in found.items()}
    return {place: curves for place, curves in some.items() if curves}


def _figure(one: _Quantity, rows: Rows) -> list[tuple[Picture, str]]:
    validated, trained = (_by_row(rows, name) for name in (one.validated, one.trained))
    if not validated and not trained:
        return []
    said = [
        f'{letter(place)} {curve_summary(curves[0])} ({where})'
        for where, found in (('validation', validated), ('training', trained))
        for place, curves in found.items()
    ]
    drawn = draw_row_curves(validated, ylabel=f'{one.name} in %', pale=trained)
    return [embed(drawn, f'{one.name} in %', f'{one.name} over iterations, {"; ".join(said)}')]


def _cells(row: RowData) -> list[Cell]:
    thresholds = dict.fromkeys(_threshold(run) for run in row.runs)
    tested = dict.fromkeys(_tested(run) for run in row.runs)
    ends = [_end(row, one) for one in _QUANTITIES]
    return [Cell(', '.join(thresholds)), *ends, Cell(', '.join(tested), style='words')]


def _end(row: RowData, one: _Quantity) -> Cell:
    """The last value of a quantity, as mean over the runs."""
    validated, trained = (_last(row, name) for name in (one.validated, one.trained))
    small = () if trained is None else (f'training {trained:.1f}',)
    return Cell(NONE if validated is None else f'{validated:.1f}', small)


def _last(row: RowData, name: str) -> Optional[float]:
    curves = [curve for curve in (_known(run, name) for run in row.runs) if curve]
    return mean(curve[max(curve)] for curve in curves) if curves else None


def _threshold(run: RunFiles) -> str:
    """Say from which probability on a pixel was taken, the model's or a discriminator's."""
    cfg = RunFolder(run.folder).training_config(run.results.config)
    model = cfg.get('model') or {} if cfg is not None else {}
    kind = MODELS.get(model['type']) if isinstance(model.get('type'), str) else None
    known = inspect.signature(kind.__init__).parameters if kind is not None else {}
    for name, remark in (('threshold', ''), ('self_threshold', ' (discriminator)')):
        if name in known:
            return f'{model.get(name, known[name].default):g}{remark}'
    return NONE


def _tested(run: RunFiles) -> str:
    """Say which checkpoint was tested: the last, or how it was chosen."""
    name, iterations = run.results.checkpoint or '', run.results.iterations
    if name.startswith('best'):
        return 'the best on validation images'
    length = max(run.curves.get('loss', {0: 0}))
    if iterations is None or iterations >= length:
        return 'the last checkpoint'
    return f'iteration {iterations} of {length}'
