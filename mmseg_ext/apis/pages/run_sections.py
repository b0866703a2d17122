"""The sections of the report, each from plain values to markup.

Fractions come in, per cent go out. A section that has nothing to show is an empty string.
Shape letters: H row, W column, K class.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Optional

import numpy as np

from ...core.labels import IGNORE
from ...evaluation.intervals import NONE, brackets
from ...evaluation.units import OLD_METHOD, counted, units_note
from ..draw.curves import Curve, curve_summary, draw_curves
from ..draw.html import picture, section, swatch, table
from ..draw.pixels import colorize, encode, error_picture, shrink
from ..run.folder import Example

_WIDTH = 480  # pixels of an embedded picture; the widest place for it is about 270
_METRICS = {
    'mIoU': 'mean IoU',
    'aAcc': 'pixels right',
    'mPA': 'mean class accuracy',
    'mPrecision': 'mean precision',
    'mF1': 'macro F1',
    'mDice': 'mean Dice',
    'FWIoU': 'frequency-weighted IoU',
}

CONFUSION_NOTE = (
    '<p class="soft">Rows: true class, columns: prediction, cells: per cent of the pixels of '
    'the row. Below 0.5 is a dot; a row without pixels is empty.</p>'
)


def percent(value: Optional[float]) -> str:
    """Write a fraction as per cent with one decimal; an undefined one as a dash."""
    return '–' if value is None or value != value else f'{100 * value:.1f}\u00a0%'


def interval(
    metric: Mapping[str, Optional[float]], units: Optional[Mapping[str, Any]] = None
) -> str:
    """Write a 95 % interval, or a dash if there is none.

    Args:
        metric: Its ``low`` and ``high``.
        units: ``intervals`` of the results; without them it is an older method's, and marked.
    """
    low, high = metric.get('low'), metric.get('high')
    if low is None or high is None:
        return '–'
    return f'{100 * low:.1f} to {100 * high:.1f}\u00a0%' + ('' if units else '\u00a0†')


def headline(
    metrics: Mapping[str, dict],
    baselines: Mapping[str, float],
    units: Optional[Mapping[str, Any]] = None,
) -> str:
    """Show mIoU beside what a trivial method reaches on the same images."""
    score = metrics.get('mIoU') or {}
    value = score.get('value')
    cards = [
        '<li class="first">this model<strong>'
        f'{percent(value)}</strong>mean IoU, 95 % interval {interval(score, units)}'
        f'{_over_units(units)}</li>'
    ]
    for name, base in baselines.items():
        times = f'the model has {value / base:.1f} times as much' if value and base else ''
        cards.append(f'<li>{escape(name)}<strong>{percent(base)}</strong>{times}</li>')
    return section('Result', f'<ul class="cards">{"".join(cards)}</ul>')


def metrics_table(metrics: Mapping[str, dict], units: Optional[Mapping[str, Any]] = None) -> str:
    """List every mean with its interval, and say what the intervals are over.

    Args:
        metrics: Name to value, low and high.
        units: ``intervals`` of ``results.json``; older ones have none.
    """
    known = [name for name in _METRICS if name in metrics]
    others = [name for name in metrics if name not in _METRICS]
    rows = [
        (
            f'{_METRICS[name]} ({name})' if name in _METRICS else name,
            percent(metrics[name].get('value')),
            interval(metrics[name], units),
        )
        for name in known + others
    ]
    note = (
        f'<p class="soft">{escape(_over(units))} They say how far the number depends on the choice '
        'of images, not on the seed of the training.</p>'
    )
    return section('All means', table(('', 'value', '95 % interval'), rows) + note)


def _over_units(units: Optional[Mapping[str, Any]]) -> str:
    return f', {counted(units["units"], units["unit"])}' if units else ''


def _over(units: Optional[Mapping[str, Any]]) -> str:
    if not units:
        return f'† {OLD_METHOD}, of an older test: too narrow for few images.'
    return f'{units_note(units)} Method: {units["method"]}.'


def facts(items: Mapping[str, Any]) -> str:
    """List facts about the run, leaving out what is unknown."""
    lines = [
        f'<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>'
        for name, value in items.items()
        if value not in (None, '')
    ]
    return section('The run', f'<dl>{"".join(lines)}</dl>')


def training(curves: Mapping[str, Curve], constant: Optional[float]) -> str:
    """Draw training loss, learning rate and validation mIoU."""
    base = None if constant is None else ('constant prediction', 100 * constant)
    panels = (
        ('loss', 'training loss', 'Training loss', None),
        ('lr', 'learning rate', 'Learning rate', None),
        ('val/mIoU', 'mIoU in %', 'Mean IoU on the validation images', base),
    )
    figures = []
    for name, ylabel, title, line in panels:
        curve = curves.get(name)
        if not curve:
            continue
        drawn = draw_curves({title: curve}, ylabel=ylabel, baseline=line)
        alt = f'{title} over iterations, {curve_summary(curve)}'
        figures.append(
            f'<figure>{picture(drawn, kind="svg+xml", alt=alt)}'
            f'<figcaption>{escape(title)}</figcaption></figure>'
        )
    if not figures:
        return ''
    return section('Training', f'<div class="curves">{"".join(figures)}</div>')


def class_bars(
    scores: Mapping[str, Optional[float]],
    colors: Mapping[str, Sequence[int]],
    ends: Mapping[str, Sequence[Optional[float]]],
) -> str:
    """Show the IoU of each class as a bar, best first; undefined ones come last.

    Args:
        scores: Class to IoU.
        colors: Class to color.
        ends: Class to its interval, where there is one.
    """
    order = sorted(scores, key=lambda name: -1.0 if scores[name] is None else scores[name] or 0.0)
    lines = []
    for name in reversed(order):
        score, (low, high) = scores[name], ends.get(name, NONE)
        between = f'<td class="ends">{brackets((low, high), digits=1).strip()}</td>' if ends else ''
        square = swatch(colors[name]) if name in colors else ''
        bar = '' if score is None else f'<span class="bar" style="width:{100 * score:.1f}%"></span>'
        lines.append(
            f'<tr><th scope="row">{square}{escape(name)}</th><td class="num">{percent(score)}</td>'
            f'{between}<td>{bar}</td></tr>'
        )
    return section('IoU of each class', f'<table class="bars">{"".join(lines)}</table>')


def confusion_table(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Show how the pixels of each true class were predicted, in per cent of its row."""
    return section('Confusion matrix', CONFUSION_NOTE + confusion_cells(matrix, names))


def row_shares(matrix: Sequence[Sequence[int]]) -> np.ndarray:
    """Divide each row of a confusion matrix by its sum; NaN where a row has no pixels."""
    counts = np.asarray(matrix, np.float64)
    rows = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, rows, out=np.full_like(counts, np.nan), where=rows > 0)


def confusion_cells(
    matrix: Sequence[Sequence[int]], names: Sequence[str], label: str = 'confusion matrix'
) -> str:
    """Lay a confusion matrix out as a colored table."""
    head = ''.join(f'<th scope="col">{escape(name)}</th>' for name in names)
    lines = []
    for name, row in zip(names, row_shares(matrix)):
        cells = ''.join(_share(share) for share in row)
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f'<table class="matrix"><thead><tr><td></td>{head}</tr></thead>'
        f'<tbody>{"".join(lines)}</tbody></table></div>'
    )


def _share(share: float) -> str:
    if share != share:
        return '<td></td>'
    text = '·' if share < 0.005 else f'{100 * share:.0f}'
    red, green, blue = (round(255 + (low - 255) * share**0.7) for low in (8, 72, 130))
    dark = ' class="dark"' if share > 0.45 else ''
    return f'<td{dark} style="background:rgb({red},{green},{blue})">{text}</td>'


def examples_section(
    examples: Sequence[Example], names: Sequence[str], palette: Sequence[Sequence[int]], note: str
) -> str:
    """Show image, truth, prediction and errors side by side."""
    if not examples:
        return ''
    figures = '\n'.join(_figure(example, names, palette) for example in examples)
    return section(
        f'{len(examples)} test images',
        f'<p class="soft">{escape(note)} Errors: wrong pixels are red, pixels without a label '
        f'light grey.</p><div class="examples">{figures}</div>',
    )


def _figure(example: Example, names: Sequence[str], palette: Sequence[Sequence[int]]) -> str:
    cells = [_cell('image', example.image, example.name, smooth=True)]
    if example.truth is not None:
        cells.append(_cell('truth', colorize(example.truth, palette), example.name))
    cells.append(_cell('prediction', colorize(example.label, palette), example.name))
    if example.truth is not None:
        wrong = error_picture(example.image, example.label, example.truth)
        cells.append(_cell('errors', wrong, example.name))
    legend = ''.join(
        f'<li>{swatch(palette[index])}{escape(names[index])}</li>'
        for index in _occurring(example, len(names))
    )
    return (
        f'<figure><div class="strip">{"".join(cells)}</div>'
        f'<figcaption>{escape(_caption(example))}'
        f'<ul class="legend">{legend}</ul></figcaption></figure>'
    )


def _cell(title: str, shown: np.ndarray, name: str, *, smooth: bool = False) -> str:
    small = shrink(shown, _WIDTH, smooth=smooth)
    kind = 'jpeg' if smooth else 'png'
    image = picture(encode(small, file_format=kind.upper()), kind=kind, alt=f'{title} of {name}')
    return f'<div class="{"photo" if smooth else "labels"}">{title}{image}</div>'


def _occurring(example: Example, num_classes: int) -> list[int]:
    found = set(np.unique(example.label).tolist())
    if example.truth is not None:
        found |= set(np.unique(example.truth).tolist()) - {IGNORE}
    return sorted(index for index in found if index < num_classes)


def _caption(example: Example) -> str:
    if example.truth is None:
        return f'{example.name} (no labels found)'
    counted = example.truth != IGNORE
    if not counted.any():
        return f'{example.name}: no pixel has a label'
    right = (example.label == example.truth)[counted].mean()
    return f'{example.name}: {percent(float(right))} of the labelled pixels right'


def comparison(runs: Sequence[tuple[str, dict[str, dict], Optional[dict[str, Any]]]]) -> str:
    """Compare labelled runs by their means; nothing for a single one.

    Args:
        runs: Label, means, and what their intervals are over.
    """
    if len(runs) < 2:
        return ''
    names = [name for name in _METRICS if any(name in metrics for _, metrics, _ in runs)]
    rows = []
    for label, metrics, units in runs:
        scores = [metrics.get(name) or {} for name in names]
        cells = [
            percent(score.get('value'))
            + (f' ({interval(score, units)})' if score.get('low') is not None else '')
            for score in scores
        ]
        rows.append((label, *cells))
    return section('Comparison', table(('run', *names), rows))
