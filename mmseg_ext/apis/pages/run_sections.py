"""The page sections about trainings and test images: they turn rows into blocks of plain values."""

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from ...core.labels import IGNORE, background_of
from ..draw.blocks import (
    Cell,
    Color,
    Example,
    Examples,
    Facts,
    Figures,
    Line,
    Note,
    Pair,
    Section,
    Swatch,
    Table,
    embed,
    plain,
    section,
)
from ..draw.curves import Curve, curve_summary
from ..draw.figures import draw_row_curves, letter
from .examples import SharedExample, errors, labels, photo, share_right
from .facts import run_facts
from .numbers import NONE, percent
from .score_sections import Rows, key

_CURVES = (
    ('loss', 'training loss', 'Training loss'),
    ('lr', 'learning rate', 'Learning rate'),
    ('val/mIoU', 'mIoU in %', 'Mean IoU on the validation images'),
    ('discriminator.loss', 'loss', "Discriminator's training loss"),
    ('discriminator.accuracy', 'share', 'Share of pixels that the discriminator tells right'),
    ('discriminator.lr', 'learning rate', "Discriminator's learning rate"),
)
_ELSE = {'lr': 'segmentor.lr'}  # of a run with several optimisers


def training(rows: Rows, constant: Optional[float]) -> Optional[Section]:
    """Draw loss, learning rate and validation mIoU of all runs.

    Args:
        rows: All rows.
        constant: mIoU of predicting one class everywhere, as a fraction. It is drawn as a line if
            there is one row.
    """
    figures = []
    for name, label, caption in _CURVES:
        found = _curves(rows, name)
        if not found:
            continue
        said = [f'{letter(p)} {curve_summary(curves[0])}' for p, curves in found.items()]
        alt = f'{caption} over iterations, {"; ".join(said)}'
        line = 100 * constant if constant and name == 'val/mIoU' and len(rows) == 1 else None
        figures.append(embed(draw_row_curves(found, ylabel=label, baseline=line), caption, alt))
    return section('Training', Figures(figures)) if figures else None


def _curves(rows: Rows, name: str) -> dict[int, list[Curve]]:
    """Return the curves of each row's runs, by the row's place; a single point is no curve."""
    found = {place: [_curve(run, name) for run in row.runs] for place, row in enumerate(rows)}
    kept = {place: [curve for curve in all_ if len(curve) > 1] for place, all_ in found.items()}
    return {place: curves for place, curves in kept.items() if curves}


def _curve(run: Any, name: str) -> Curve:
    return run.curves.get(name) or run.curves.get(_ELSE.get(name, ''), {})


def examples(
    shared: Sequence[SharedExample], rows: Rows, names: Sequence[str], palette: Sequence[Color]
) -> Optional[Section]:
    """Show the same test images as every row predicts them, with wrong pixels in red."""
    if not shared:
        return None
    width = 480 if len(rows) <= 2 else 320 if len(rows) <= 8 else 220
    absent = [letter(place) for place in range(len(rows))
              if not any(place in example.labels for example in shared)]  # fmt: skip
    missing = f' No predictions of {", ".join(absent)}.' if absent else ''
    note = (
        'Chosen by their place in the data set, not by a result. Beside each prediction its errors:'
        f' wrong pixels are red, pixels without a label light grey. A click enlarges.{missing}'
    )
    clear = background_of(names)
    shown = [show_example(example, rows, names, palette, clear, width) for example in shared]
    through = ' through every row' if len(rows) > 1 else ''
    return section(f'{len(shared)} test images{through}', Note(note), Examples(shown))


def show_example(
    example: SharedExample,
    rows: Rows,
    names: Sequence[str],
    palette: Sequence[Color],
    clear: Optional[int],
    width: int,
) -> Example:
    """Make the pictures of an image: with its truth, and each row's prediction and errors.

    Args:
        example: The image.
        rows: All rows.
        names: Class names.
        palette: Color of each class.
        clear: Class whose pixels are transparent.
        width: Largest width of a picture in pixels.
    """
    pictures, what = [photo(example.image, width, alt=f'image {example.name}')], 'image'
    if example.truth is not None:
        alt, what = f'truth of {example.name}', 'image and truth'
        pictures.append(labels(example.truth, palette, width, alt=alt, clear=clear))
    pairs = [Pair(what, pictures)]
    for place, label in example.labels.items():
        of = f'of {example.name} by {rows[place].label}'
        pictures = [labels(label, palette, width, alt=f'prediction {of}', clear=clear)]
        title = 'prediction' if len(rows) == 1 else rows[place].label
        if example.truth is not None:
            pictures.append(errors(example, place, width, alt=f'errors {of}'))
            right = share_right(label, example.truth)
            title += '' if right is None else f': {percent(right)} right'
        pairs.append(Pair(title, pictures, key(place, rows)))
    if len(rows) == 1 and example.truth is None:
        pairs = [Pair('image and prediction', [picture for p in pairs for picture in p.pictures])]
    legend = [Swatch(names[index], palette[index]) for index in _occurring(example, len(names))]
    return Example(_caption(example), pairs, legend)


def _caption(example: SharedExample) -> str:
    if example.truth is None:
        return f'{example.name} (no labels found)'
    if not (example.truth != IGNORE).any():
        return f'{example.name}: no pixel has a label'
    return example.name


def _occurring(example: SharedExample, num_classes: int) -> list[int]:
    """Return the indices of the classes that occur in a prediction or in the ground truth."""
    maps = [*example.labels.values(), *([] if example.truth is None else [example.truth])]
    seen = np.unique(np.concatenate([np.unique(label) for label in maps]))
    return [int(index) for index in seen if index < num_classes]


def runs(rows: Rows) -> Section:
    """List the facts about every run; a row without runs is listed with its note."""
    facts = [[run_facts(run) for run in row.runs] for row in rows]
    if len(rows) == 1 and len(facts[0]) == 1:
        return section('The run', Facts(facts[0][0]))
    head = list(dict.fromkeys(name for row in facts for run in row for name in run))
    lines = []
    for place, (row, found) in enumerate(zip(rows, facts)):
        name, mark = Cell(row.label, () if row.runs else (row.note,)), key(place, rows)
        for run in found or [{}]:
            cells = plain(*(run.get(fact, NONE if row.runs else '') for fact in head))
            lines.append(Line(name, cells, mark))
    return section('The runs', Table(('row', *head), lines, 'the runs', prose=True))
