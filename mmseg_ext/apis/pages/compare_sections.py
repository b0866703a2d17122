"""The sections of a table's report, each from gathered rows to markup.

Fractions come in, per cent go out. A section that has nothing to show is an empty string. Shape
letter: K class.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Optional

import numpy as np

from ...evaluation.intervals import METHOD, Interval
from ...evaluation.units import OLD_METHOD, counted, units_note
from ..draw.curves import Curve
from ..draw.figures import (
    Marked,
    color,
    draw_intervals,
    draw_matrix,
    draw_reliability,
    draw_row_curves,
    draw_tradeoff,
    letter,
)
from ..draw.html import picture, section, swatch
from ..draw.pixels import encode
from .compare_data import RowData
from .examples import SharedExample, errors_markup, label_picture, photo, share_right
from .run_sections import CONFUSION_NOTE, confusion_cells, percent, row_shares

Rows = Sequence[RowData]

_MANY_CLASSES = 40  # from here on a confusion matrix is a picture
_MIN_UNITS = 6  # below, no p can fall under 5 %: the smallest is 2 / 2**n
SIGNIFICANT = 0.05

STYLE = """
.key { display: inline-block; min-width: 1.35rem; padding: 0 .25rem; border-radius: 4px;
  color: #fff; font-size: .82rem; font-weight: 600; text-align: center; margin-right: .4rem }
.rows th:first-child { position: sticky; left: 0; background: #fff; z-index: 1; min-width: 9rem }
.rows small { display: block; color: var(--soft); white-space: nowrap }
.rows td { white-space: nowrap }
.rows .base th, .rows .base td { background: #eef3f7 }
.facts th, .facts td { text-align: left; white-space: normal; min-width: 5rem;
  vertical-align: top; overflow-wrap: anywhere }
.curves figure { max-width: 540px }
.classes { display: grid; gap: 1rem 1.6rem;
  grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)) }
.classes h4 { margin: 0 0 .15rem; font-size: .95rem; font-weight: 600 }
.classes .line { display: grid; grid-template-columns: 2rem 1fr 3.6rem; align-items: center;
  font-size: .8rem; font-variant-numeric: tabular-nums }
.classes .track { position: relative; height: .72rem; background: #eef1f4; border-radius: 2px }
.classes .fill { position: absolute; left: 0; top: 0; bottom: 0; border-radius: 2px }
.classes .span { position: absolute; top: 38%; height: 24%; background: #1c2733cc }
.classes .num { text-align: right }
.compare { display: grid; gap: .6rem .5rem;
  grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)) }
.compare div { font-size: .82rem; color: var(--soft); line-height: 1.3 }
.compare .what { display: block; height: 2.6em; overflow: hidden }
.compare img + img { margin-top: 3px }
.compare .labels img { image-rendering: auto }
.examples figure + figure { border-top: 1px solid var(--line); padding-top: 1rem }
details { margin: .5rem 0 } summary { cursor: pointer; padding: .25rem 0 }
.pixels img { image-rendering: pixelated; max-width: 760px }
@media (max-width: 640px) {
  .compare { grid-template-columns: repeat(2, 1fr) }
  .rows th:first-child { min-width: 7.5rem; font-size: .85rem }
}
""".strip()


def key(place: int) -> str:
    """The letter of a row on its color."""
    return f'<span class="key" style="background:{color(place)}">{letter(place)}</span>'


def _name(place: int, row: RowData) -> str:
    return f'{key(place)}{escape(row.label)}'


def _grid(
    head: Sequence[str], rows: Sequence[tuple[str, Sequence[str], bool]], kind: str = 'rows'
) -> str:
    """Lay out markup; a row is its heading, its cells, and whether it is the baseline."""
    columns = ''.join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = []
    for first, cells, is_base in rows:
        mark = ' class="base"' if is_base else ''
        body = ''.join(f'<td>{cell}</td>' for cell in cells)
        lines.append(f'<tr{mark}><th scope="row">{first}</th>{body}</tr>')
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{columns}</tr></thead>\n'
        f'<tbody>{"".join(lines)}</tbody></table></div>'
    )


def _between(interval: Interval) -> str:
    low, high = interval
    return '' if low is None or high is None else f'{100 * low:.1f} to {100 * high:.1f}'


def _small(text: str) -> str:
    return f'<small>{text}</small>' if text else ''


def _figures(figures: Sequence[tuple[bytes, str, str]]) -> str:
    """Lay out drawn figures: content, caption, and what it shows in words."""
    parts = [
        f'<figure>{picture(content, kind="svg+xml", alt=alt)}'
        f'<figcaption>{escape(caption)}</figcaption></figure>'
        for content, caption, alt in figures
    ]
    return f'<div class="curves">{"".join(parts)}</div>'


def numbers(rows: Rows, metrics: Sequence[str], base: Optional[RowData]) -> str:
    """List the scores of every row with their intervals and spreads."""
    shown = [name for name in metrics if any(row.metrics.get(name) is not None for row in rows)]
    lines = []
    for place, row in enumerate(rows):
        cells = [_score_cell(row, name) for name in shown]
        note = (' *' if row.converted else '') + _small(escape(row.note))
        lines.append((_name(place, row) + note, cells, row is base))
    grid = _grid(('row', *(f'{name}, %' for name in shown)), lines)
    star = '<p class="soft">* Converted weights: training not reproduced, see The runs.</p>'
    starred = any(row.converted for row in rows)
    return section('Scores', _interval_note(rows) + grid + (star if starred else ''))


def _score_cell(row: RowData, name: str) -> str:
    value = row.metrics.get(name)
    if value is None:
        return '–'
    between = _between(row.intervals.get(name, (None, None)))
    cell = f'{100 * value:.1f}{_small(between + " †" if between and row.old_method else between)}'
    if name in row.sds:
        cell += _small(f'±\u00a0{100 * row.sds[name]:.1f} (n\u00a0=\u00a0{len(row.replicas)})')
    return cell


def _interval_note(rows: Rows) -> str:
    notes = [
        f'Below each score its 95 % interval ({METHOD}). It says how far the score depends on the '
        'choice of test images, not on the training.'
    ]
    if any(row.sds for row in rows):
        notes.append('± is the standard deviation (ddof=1) over n trainings; scores are means.')
    paragraphs = [' '.join(notes), *_unit_notes(rows)]
    if any(row.old_method for row in rows):
        paragraphs.append(
            f'† {OLD_METHOD}, as an older test wrote it: too narrow for few images. Test again to '
            'get an interval that holds.'
        )
    return ''.join(f'<p class="soft">{escape(text)}</p>' for text in paragraphs)


def _unit_notes(rows: Rows) -> list[str]:
    """Say what the intervals are over; rows that were tested on the same images share a line."""
    found: dict[str, list[str]] = {}
    for place, row in enumerate(rows):
        if row.units:
            found.setdefault(units_note(row.units), []).append(letter(place))
    if len(found) == 1:
        return list(found)
    return [f'{", ".join(letters)}: {text}' for text, letters in found.items()]


def differences(rows: Rows, base: Optional[RowData], main: str) -> str:
    """Say which rows differ from the baseline by more than the choice of images explains."""
    others = [(place, row) for place, row in enumerate(rows) if row is not base and row.runs]
    if base is None:
        note = '<p class="soft">The baseline was not run: there is nothing to compare with.</p>'
        return section('Against the baseline', note)
    if not others:
        return ''
    lines = [(_name(place, row), _difference_cells(row, base), False) for place, row in others]
    number = sum(row.difference is not None for _, row in others)
    note = (
        f'<p class="soft">Against {_name(list(rows).index(base), base)}. Paired permutation: the '
        'counts of the two rows are swapped image by image, or group by group; p is two-sided and '
        'no smaller than 2 / 2<sup>n</sup> for n of them, and Holm’s correction accounts for '
        f'{counted(number, "comparison")}. It knows nothing of how much another seed would '
        'change.</p>'
    )
    head = ('row', f'{main}, points', '95 % interval', 'p', 'p (Holm)', 'verdict at 5 %')
    return section('Against the baseline', note + _grid(head, lines))


def _difference_cells(row: RowData, base: RowData) -> list[str]:
    found = row.difference
    if found is None:
        return ['–', '–', '–', '–', escape(row.unpaired)]
    known = found.low is not None and found.high is not None
    return [
        _signed(found.value),
        f'{_signed(found.low)} to {_signed(found.high)}' if known else '–',
        _probability(found.p),
        _probability(row.p_holm),
        escape(_verdict(row, base, found.value)),
    ]


def _verdict(row: RowData, base: RowData, value: float) -> str:
    """Say which row is better, on how many units and by how many trainings."""
    units = counted(row.units['units'], row.units['unit'])
    if row.units.get('videos'):
        units += f' of {counted(len(row.units["videos"]), "video")}'
    trainings = [len(data.replicas) for data in (row, base)]
    runs = f'{counted(trainings[0], "run")} against {trainings[1]}'
    if row.units['units'] < _MIN_UNITS:
        return f'none: {units}, and it takes {_MIN_UNITS}'
    if row.p_holm is None or row.p_holm >= SIGNIFICANT:
        return f'no difference shown ({units}, {runs})'
    return f'{"better" if value > 0 else "worse"} on {units} ({runs})'


def _signed(value: Optional[float]) -> str:
    return '–' if value is None or value != value else f'{100 * value:+.2f}'.replace('-', '−')


def _probability(p: Optional[float]) -> str:
    return '–' if p is None or p != p else f'{p:.3f}' if p < 0.1 else f'{p:.2f}'


def intervals(rows: Rows, main: str) -> str:
    """Draw the main score and the differences with their intervals."""
    scores: list[tuple[int, float, Optional[float], Optional[float]]] = []
    for place, row in enumerate(rows):
        value = row.metrics.get(main)
        if value is not None:
            low, high = row.intervals.get(main, (None, None))
            scores.append((place, 100 * value, _hundred(low), _hundred(high)))
    if not scores:
        return ''
    figures = [
        (
            draw_intervals(scores, xlabel=f'{main} in %'),
            f'{main} with its 95 % interval',
            f'{main}: {_in_words(scores)}',
        )
    ]
    compared = [
        (place, 100 * found.value, _hundred(found.low), _hundred(found.high))
        for place, found in enumerate(row.difference for row in rows)
        if found is not None and found.low is not None
    ]
    if compared:
        drawn = draw_intervals(compared, xlabel=f'difference of {main} in points', zero=True)
        caption = f'{main} above the baseline, with its 95 % interval'
        figures.append((drawn, caption, f'Difference: {_in_words(compared)}'))
    return section(f'{main} at a glance', _figures(figures))


def _hundred(value: Optional[float]) -> Optional[float]:
    return None if value is None else 100 * value


def _in_words(points: Marked) -> str:
    return ', '.join(f'{letter(place)} {value:.1f}' for place, value, *_ in points)


def costs(rows: Rows, main: str) -> str:
    """Show the main score against latency and parameters."""
    known = [(place, row) for place, row in enumerate(rows) if row.cost]
    if not known:
        return ''
    figures = []
    for name, label, scale in (
        ('latency_ms', 'latency in ms', 1.0),
        ('parameters', 'parameters in millions', 1e-6),
    ):
        points = []
        for place, row in known:
            value, cost = row.metrics.get(main), (row.cost or {}).get(name)
            if value is not None and cost is not None:
                low, high = (_hundred(end) for end in row.intervals.get(main, (None, None)))
                points.append((place, scale * cost, 100 * value, low, high))
        if points:
            drawn = draw_tradeoff(points, xlabel=label, ylabel=f'{main} in %')
            words = ', '.join(
                f'{letter(p)} {v:.1f} at {_three_digits(c)}' for p, c, v, *_ in points
            )
            figures.append((drawn, f'{main} against {label}', f'{main} over {label}: {words}'))
    lines = [(_name(place, row), _cost_cells(row.cost or {}), False) for place, row in known]
    head = ('row', 'parameters', 'GFLOPs', 'latency, ms', 'input', 'on')
    note = (
        '<p class="soft">One forward pass of one image of the training’s crop size: median, with '
        'lowest and highest. Compare only what was timed on the same machine.</p>'
    )
    body = (_figures(figures) if figures else '') + note + _grid(head, lines)
    return section('Accuracy against cost', body)


def _cost_cells(cost: dict) -> list[str]:
    low, high = _three_digits(cost['latency_lowest_ms']), _three_digits(cost['latency_highest_ms'])
    flops = cost.get('flops')
    height, width = cost['size']
    return [
        f'{cost["parameters"]:,}',
        '–' if flops is None else f'{flops / 1e9:.4g}',
        f'{_three_digits(cost["latency_ms"])}{_small(f"{low} to {high}")}',
        f'{height}\u00d7{width}',
        escape(str(cost.get('hardware') or '')),
    ]


def _three_digits(value: float) -> str:
    """Round to three digits, without an exponent."""
    return f'{float(f"{value:.3g}"):,.10g}'


def classes(rows: Rows, colors: Mapping[str, Sequence[int]]) -> str:
    """Show the IoU of each class as one bar a row, with its interval."""
    known = [(place, row) for place, row in enumerate(rows) if row.class_iou]
    names = list(dict.fromkeys(name for _, row in known for name in row.class_iou))
    cards = []
    for name in names:
        lines = [_bar(place, row.class_iou[name]) for place, row in known if name in row.class_iou]
        square = swatch(colors[name]) if name in colors else ''
        cards.append(f'<div><h4>{square}{escape(name)}</h4>{"".join(lines)}</div>')
    if not cards:
        return ''
    note = '<p class="soft">In per cent; the dark line in a bar is the 95 % interval.</p>'
    return section('IoU of each class', f'{note}<div class="classes">{"".join(cards)}</div>')


def _bar(place: int, score: tuple[Optional[float], Optional[float], Optional[float]]) -> str:
    value, low, high = score
    parts = ''
    if value is not None:
        fill = f'width:{100 * value:.1f}%;background:{color(place)}'
        parts = f'<span class="fill" style="{fill}"></span>'
    if low is not None and high is not None:
        place_of = f'left:{100 * low:.1f}%;width:{max(0.4, 100 * (high - low)):.1f}%'
        parts += f'<span class="span" style="{place_of}"></span>'
    number = '–' if value is None else f'{100 * value:.1f}'
    return (
        f'<div class="line">{key(place)}<span class="track">{parts}</span>'
        f'<span class="num">{number}</span></div>'
    )


def calibration(rows: Rows) -> str:
    """Show how far probabilities and shares of right pixels are apart."""
    known = {place: row for place, row in enumerate(rows) if row.histogram is not None}
    if not known:
        return ''
    histograms = {place: row.histogram for place, row in known.items() if row.histogram is not None}
    drawn = draw_reliability(histograms)
    lines = []
    for place, row in known.items():
        count, right, confidence = histograms[place]
        total = count.sum()
        sure, accurate = (part.sum() / total if total else None for part in (confidence, right))
        cells = [
            ('–' if row.ece is None else f'{100 * row.ece:.2f}') + _small(_ece_interval(row)),
            percent(sure),
            percent(accurate),
        ]
        lines.append((_name(place, row), cells, False))
    words = ', '.join(f'{letter(place)} {percent(row.ece)}' for place, row in known.items())
    note = (
        '<p class="soft">ECE: mean over pixels of the distance between a bin’s share of right '
        'pixels and its mean probability. Below the diagonal a row is too sure of itself.</p>'
    )
    figure = _figures([(drawn, 'Reliability', f'Reliability of each row; ECE: {words}')])
    head = ('row', 'ECE, %', 'mean probability', 'pixels right')
    return section('Calibration', note + figure + _grid(head, lines))


def _ece_interval(row: RowData) -> str:
    low, high = row.ece_interval
    return '' if low is None or high is None else f'{100 * low:.2f} to {100 * high:.2f}'


def training(curves: Mapping[int, Sequence[Mapping[str, Curve]]]) -> str:
    """Draw loss, learning rate and validation mIoU of all rows.

    Args:
        curves: Row's place to what ``read_curves`` gives for each of its runs.
    """
    figures = []
    for name, label, caption in (
        ('loss', 'training loss', 'Training loss'),
        ('lr', 'learning rate', 'Learning rate'),
        ('val/mIoU', 'mIoU in %', 'Mean IoU on the validation images'),
    ):
        found: dict[int, list[Curve]] = {}
        for place, runs in curves.items():
            drawn = [run[name] for run in runs if len(run.get(name, ())) > 1]
            if drawn:
                found[place] = drawn
        if found:
            ends = ', '.join(f'{letter(p)} {c[0][max(c[0])]:.4g}' for p, c in found.items())
            content = draw_row_curves(found, ylabel=label)
            figures.append((content, caption, f'{caption} over iterations; at the end {ends}'))
    return section('Training', _figures(figures)) if figures else ''


def examples(
    shared: Sequence[SharedExample],
    rows: Rows,
    names: Sequence[str],
    palette: Sequence[Sequence[int]],
) -> str:
    """Show the same test images through every row, wrong pixels in red."""
    if not shared:
        return ''
    width = 320 if len(rows) <= 8 else 220
    figures = ''.join(_figure(example, rows, names, palette, width) for example in shared)
    absent = [letter(place) for place in range(len(rows))
              if not any(place in example.labels for example in shared)]  # fmt: skip
    missing = f' No predictions of {", ".join(absent)}.' if absent else ''
    note = (
        '<p class="soft">Chosen by their place in the data set, not by a result. Below each '
        'prediction its errors: wrong pixels are red, pixels without a label light grey.'
        f'{missing}</p>'
    )
    return section(
        f'{len(shared)} test images through every row',
        f'{note}<div class="examples">{figures}</div>',
    )


def _figure(
    example: SharedExample,
    rows: Rows,
    names: Sequence[str],
    palette: Sequence[Sequence[int]],
    width: int,
) -> str:
    first, what = photo(example, width), 'image'
    if example.truth is not None:
        alt = f'truth of {example.name}'
        first += label_picture(example.truth, palette, width, alt=alt)
        what = 'image, and below it the truth'
    cells = [f'<div class="labels"><span class="what">{what}</span>{first}</div>']
    cells += [_prediction(example, place, rows[place], palette, width) for place in example.labels]
    seen = [np.unique(label) for label in example.labels.values()]
    if example.truth is not None:
        seen.append(np.unique(example.truth))
    occurring = [index for index in np.unique(np.concatenate(seen)) if index < len(names)]
    legend = ''.join(f'<li>{swatch(palette[i])}{escape(names[i])}</li>' for i in occurring)
    return (
        f'<figure><div class="compare">{"".join(cells)}</div><figcaption>{escape(example.name)}'
        f'<ul class="legend">{legend}</ul></figcaption></figure>'
    )


def _prediction(
    example: SharedExample,
    place: int,
    row: RowData,
    palette: Sequence[Sequence[int]],
    width: int,
) -> str:
    label, of = example.labels[place], f'of {example.name} by {row.label}'
    parts = [label_picture(label, palette, width, alt=f'prediction {of}')]
    right = None
    if example.truth is not None:
        right = share_right(label, example.truth)
        parts.append(errors_markup(example, place, width, alt=f'errors {of}'))
    score = '' if right is None else f'{percent(right)} right, '
    what = f'<span class="what">{key(place)}{score}{escape(row.label)}</span>'
    return f'<div class="labels">{what}{"".join(parts)}</div>'


def confusions(rows: Rows, base: Optional[RowData]) -> str:
    """Show a confusion matrix for every row, all but the first folded away."""
    known = [(place, row) for place, row in enumerate(rows) if row.confusion is not None]
    parts = []
    for number, (place, row) in enumerate(known):
        names = row.runs[0].classes
        opened = ' open="open"' if number == 0 else ''
        parts.append(
            f'<details{opened}><summary>{_name(place, row)}'
            f'{" (baseline)" if row is base else ""}</summary>{_matrix(row, names)}</details>'
        )
    return section('Confusion matrices', CONFUSION_NOTE + ''.join(parts)) if parts else ''


def _matrix(row: RowData, names: Sequence[str]) -> str:
    assert row.confusion is not None
    label = f'confusion matrix of {row.label}'
    if len(names) < _MANY_CLASSES:
        return confusion_cells(row.confusion.tolist(), names, label)
    shares = row_shares(row.confusion.tolist())
    image = encode(np.kron(draw_matrix(shares), np.ones((4, 4, 1), np.uint8)))
    off = np.where(np.eye(len(names), dtype=bool), 0, np.nan_to_num(shares))
    worst = np.argsort(off, axis=None)[::-1][:12]
    lines = [
        f'<li>{escape(names[i])} taken for {escape(names[j])}: {percent(float(off[i, j]))}</li>'
        for i, j in (divmod(int(place), len(names)) for place in worst)
        if off[i, j] > 0
    ]
    return (
        f'<div class="pixels">{picture(image, kind="png", alt=label)}</div>'
        f'<p class="soft">Classes in order of their index. Most frequent:</p><ul>'
        f'{"".join(lines)}</ul>'
    )


def runs(rows: Rows, facts: Mapping[str, Callable[[dict], object]]) -> str:
    """List how each row's runs came about.

    Args:
        rows: All rows; those that were not run are listed as such.
        facts: Heading to what to print of a run's ``results.json``.
    """
    lines = []
    for place, row in enumerate(rows):
        if not row.runs:
            lines.append((_name(place, row), [escape(row.note), *[''] * (len(facts) - 1)], False))
        for run in row.runs:
            values = [fact(run.results) for fact in facts.values()]
            cells = ['–' if value in (None, '') else escape(str(value)) for value in values]
            lines.append((_name(place, row), cells, False))
    return section('The runs', _grid(('row', *facts), lines, 'rows facts'))
