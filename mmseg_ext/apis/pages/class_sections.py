"""The page sections about classes and probabilities: they turn rows into blocks of plain values."""

from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np

from ..draw.blocks import (
    Bar,
    Bars,
    Block,
    Cell,
    Color,
    Figures,
    Fold,
    Line,
    Listing,
    Matrix,
    Note,
    Picture,
    Section,
    Swatch,
    embed,
    section,
    table_or_facts,
)
from ..draw.figures import color, draw_matrix, draw_reliability, letter
from ..draw.pixels import encode
from ..run.outcome.tables import confusions as pairs_of
from .gather import RowData
from .numbers import NONE, between, percent
from .score_sections import Rows, key

_MANY_CLASSES = 40  # from here on a confusion matrix is a picture
_CONFUSION_NOTE = (
    'Rows: true class, columns: prediction, cells: per cent of the pixels of the row. Below 0.5 is '
    'a dot; a row without pixels is empty.'
)


def classes(rows: Rows, colors: Mapping[str, Color]) -> Optional[Section]:
    """Draw the IoU of each class as one bar per row, with its interval.

    A single row lists its best class first. Several rows keep the order of the classes.

    Args:
        rows: All rows.
        colors: Color of each class, by name.
    """
    known = [(place, row) for place, row in enumerate(rows) if row.class_iou]
    names = list(dict.fromkeys(name for _, row in known for name in row.class_iou))
    if len(rows) == 1:
        scores = {name: rows[0].class_iou[name][0] for name in names}
        names.sort(key=lambda name: -1.0 if scores[name] is None else scores[name] or 0.0)
        names.reverse()
    groups = []
    for name in names:
        bars = [
            Bar(*row.class_iou[name], color(place), key(place, rows))
            for place, row in known
            if name in row.class_iou
        ]
        groups.append((Swatch(name, colors.get(name)), bars))
    if not groups:
        return None
    note = Note('In per cent; the thin line in a bar and the numbers behind it: 95 % interval.')
    return section('IoU of each class', note, Bars(groups))


def calibration(rows: Rows) -> Optional[Section]:
    """Compare the predicted probabilities with the shares of right pixels."""
    known = {place: row for place, row in enumerate(rows) if row.histogram is not None}
    if not known:
        return None
    histograms = {place: row.histogram for place, row in known.items() if row.histogram is not None}
    lines = []
    for place, row in known.items():
        count, right, confidence = histograms[place]
        total = count.sum()
        sure, accurate = (part.sum() / total if total else None for part in (confidence, right))
        ece = NONE if row.ece is None else f'{100 * row.ece:.2f}'
        ends = between(row.ece_interval, 2)
        cells = [Cell(ece, (ends,) if ends else ()), Cell(percent(sure)), Cell(percent(accurate))]
        lines.append(Line(Cell(row.label), cells, key(place, rows)))
    words = ', '.join(f'{letter(place)} {percent(row.ece)}' for place, row in known.items())
    note = (
        'ECE: mean over pixels of the distance between a bin’s share of right pixels and its mean '
        'probability. Below the diagonal a row is too sure of itself.'
    )
    alt = f'Reliability of each row; ECE: {words}'
    head = ('row', 'ECE, %', 'mean probability', 'pixels right')
    return section(
        'Calibration',
        Note(note),
        Figures([embed(draw_reliability(histograms), 'Reliability', alt)]),
        table_or_facts(head, lines, 'calibration'),
    )


def confusions(rows: Rows, base: Optional[RowData]) -> Optional[Section]:
    """Show the confusion matrix of every row; only the first is unfolded."""
    known = [(place, row) for place, row in enumerate(rows) if row.confusion is not None]
    if not known:
        return None
    if len(rows) == 1:
        return section('Confusion matrix', Note(_CONFUSION_NOTE), *_matrix(rows[0]))
    folds = [
        Fold(
            row.label,
            _matrix(row),
            opened=number == 0,
            key=key(place, rows),
            remark='(baseline)' if row is base else '',
        )
        for number, (place, row) in enumerate(known)
    ]
    return section('Confusion matrices', Note(_CONFUSION_NOTE), *folds)


def row_shares(matrix: np.ndarray) -> np.ndarray:
    """Divide each row of a confusion matrix by its sum; NaN where a row has no pixels."""
    counts = np.asarray(matrix, np.float64)
    rows = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, rows, out=np.full_like(counts, np.nan), where=rows > 0)


def _matrix(row: RowData) -> list[Block]:
    assert row.confusion is not None
    names, shares = row.runs[0].classes, row_shares(row.confusion)
    label = f'confusion matrix of {row.label}'
    named = _most(row.confusion, names)
    if len(names) < _MANY_CLASSES:
        return [Matrix(names, shares.tolist(), label), *named]
    image = encode(np.kron(draw_matrix(shares), np.ones((4, 4, 1), np.uint8)))
    return [
        Figures([(Picture(image, 'png', label), 'Classes in order of their index')]),
        *named,
    ]


def _most(matrix: np.ndarray, names: Sequence[str], count: int = 12) -> list[Block]:
    """Name the confusions of two classes that cost most pixels."""
    labelled = max(int(matrix.sum()), 1)
    found = [
        f'{names[i]} taken for {names[j]}: {percent(share)} of {names[i]}, '
        f'{100 * pixels / labelled:.2f} % of all pixels'
        for i, j, pixels, share in pairs_of(matrix)[:count]
    ]
    return [Note('Most pixels:'), Listing(found)] if found else []
