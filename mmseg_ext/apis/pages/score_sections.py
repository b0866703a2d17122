"""The page sections about scores: result, all means, differences with their verdicts, and costs.

They turn rows into blocks of plain values. A section is ``None`` if it has nothing to show.
"""

from collections.abc import Mapping, Sequence
from typing import Optional

from ...evaluation.intervals import METHOD
from ...evaluation.units import OLD_METHOD, counted, units_note
from ..draw.blocks import (
    Cards,
    Cell,
    Figures,
    Key,
    Line,
    Note,
    Picture,
    Section,
    Table,
    embed,
    plain,
    section,
    table_or_facts,
)
from ..draw.figures import Marked, color, draw_intervals, draw_tradeoff, letter
from ..run.network.cost import Cost
from .gather import RowData
from .numbers import NONE, between, hundredfold, percent, points, probability, three_digits
from .verdict import verdict

Rows = Sequence[RowData]
Figure = tuple[Picture, str]

_NAMES = {
    'mIoU': 'mean IoU',
    'ECE': 'calibration error',
    'aAcc': 'pixels right',
    'mPA': 'mean class accuracy',
    'mPrecision': 'mean precision',
    'mF1': 'macro F1',
    'mDice': 'mean Dice',
    'FWIoU': 'frequency-weighted IoU',
}
_STAR = '* Converted weights: training not reproduced, see The runs.'


def key(place: int, rows: Rows) -> Optional[Key]:
    """Return the letter and color of a row; ``None`` if there is only one row."""
    return Key(letter(place), color(place)) if len(rows) > 1 else None


def result(rows: Rows, main: str, baselines: Mapping[str, float]) -> Optional[Section]:
    """Show the score of a single row beside the scores of trivial methods on the same images."""
    if len(rows) > 1:
        return None
    (row,) = rows
    value, ends = row.metrics.get(main), between(row.intervals.get(main, (None, None)))
    over = f', {counted(row.units["units"], row.units["unit"])}' if row.units else ''
    interval = f'{ends}\u00a0%{_dagger(row)}' if ends else NONE
    remark = f'{_NAMES.get(main, main)}, 95 % interval {interval}{over}'
    cards = [('this model', percent(value), remark)]
    for name, base in baselines.items():
        times = f'the model has {value / base:.1f} times as much' if value and base else ''
        cards.append((name, percent(base), times))
    return section('Result', Cards(cards), Note(row.training) if row.training else None)


def _dagger(row: RowData) -> str:
    return '\u00a0†' if row.old_method else ''


def numbers(
    rows: Rows, metrics: Sequence[str], base: Optional[RowData], baselines: Mapping[str, float]
) -> Section:
    """List the scores of every row with their intervals and standard deviations.

    Several rows are lines of the table. A single row has one line for each score.
    """
    shown = [name for name in metrics if any(row.metrics.get(name) is not None for row in rows)]
    table = _of_one(rows[0], shown) if len(rows) == 1 else _of_several(rows, shown, base)
    trivial = ', '.join(f'{name} {percent(value)}' for name, value in baselines.items())
    return section(
        'Scores',
        *map(Note, _interval_notes(rows)),
        table,
        Note(f'mIoU without a network: {trivial}.') if trivial and len(rows) > 1 else None,
        Note(_STAR) if any(row.converted for row in rows) else None,
    )


def _of_one(row: RowData, shown: Sequence[str]) -> Table:
    lines = []
    for name in shown:
        title = f'{_NAMES[name]} ({name})' if name in _NAMES else name
        ends = between(row.intervals.get(name, (None, None)))
        cells = [_score(row, name, row.metrics.get(name)), Cell(f'{ends}{_dagger(row)}' or NONE)]
        lines.append(Line(Cell(title), cells if ends else [cells[0], Cell(NONE)]))
    return Table(('score', 'value, %', '95 % interval'), lines, 'scores')


def _of_several(rows: Rows, shown: Sequence[str], base: Optional[RowData]) -> Table:
    lines = []
    for place, row in enumerate(rows):
        remarks = tuple(text for text in (row.note, row.training) if text)
        name = Cell(row.label + (' *' if row.converted else ''), remarks)
        cells = [_score(row, score, row.metrics.get(score), inside=True) for score in shown]
        lines.append(Line(name, cells, key(place, rows), row is base))
    return Table(('row', *(f'{name}, %' for name in shown)), lines, 'scores of each row')


def _score(row: RowData, name: str, value: Optional[float], *, inside: bool = False) -> Cell:
    """Make the cell of a score, with its standard deviation over trainings below it.

    Args:
        row: The row.
        name: Name of the score.
        value: The score as a fraction; ``None`` if undefined.
        inside: Also show the interval in this cell.
    """
    if value is None:
        return Cell(NONE)
    ends = between(row.intervals.get(name, (None, None)))
    small = [f'{ends}{_dagger(row)}'] if ends and inside else []
    if name in row.sds:
        small.append(f'±\u00a0{100 * row.sds[name]:.1f} (n\u00a0=\u00a0{len(row.replicas)})')
    return Cell(f'{100 * value:.1f}', tuple(small))


def _interval_notes(rows: Rows) -> list[str]:
    methods = dict.fromkeys(row.units.get('method') or METHOD for row in rows if row.units)
    notes = [
        f'Beside each score its 95 % interval ({", ".join(methods) or METHOD}). It says how far '
        'the score depends on the choice of test images, not on the training.'
    ]
    if any(row.sds for row in rows):
        notes[0] += ' ± is the standard deviation (ddof=1) over n trainings; scores are means.'
    notes += _unit_notes(rows)
    if any(row.old_method for row in rows):
        notes.append(
            f'† {OLD_METHOD}, as an older test wrote it: too narrow for few images. Test again to '
            'get an interval that holds.'
        )
    return notes


def _unit_notes(rows: Rows) -> list[str]:
    """Describe the units of the intervals; rows with the same units share a line."""
    found: dict[str, list[str]] = {}
    for place, row in enumerate(rows):
        if row.units:
            found.setdefault(units_note(row.units), []).append(letter(place))
    if len(found) == 1:
        return list(found)
    return [f'{", ".join(letters)}: {text}' for text, letters in found.items()]


def differences(rows: Rows, base: Optional[RowData], main: str) -> Optional[Section]:
    """Show how each row differs from the baseline, with verdict, interval and p values."""
    if base is None:
        words = 'The baseline was not run: there is nothing to compare with.'
        return section('Against the baseline', Note(words))
    others = [(place, row) for place, row in enumerate(rows) if row is not base and row.runs]
    if not others:
        return None
    compared = sum(row.difference is not None for _, row in others)
    note = (
        f'Against {letter(list(rows).index(base))} {base.label}. Paired permutation: the counts of '
        'the two rows are swapped image by image, or group by group; p is two-sided and no smaller '
        'than 2 / 2ⁿ for n of them, and Holm’s correction accounts for '
        f'{counted(compared, "comparison")}. It knows nothing of how much another seed would '
        'change. A grey p is of too few images or trainings to go by.'
    )
    lines = [Line(Cell(row.label), _compared(row, base), key(place, rows)) for place, row in others]
    head = ('row', 'verdict at 5 %', f'{main}, points', '95 % interval', 'p', 'p (Holm)')
    return section('Against the baseline', Note(note), Table(head, lines, 'differences'))


def _compared(row: RowData, base: RowData) -> list[Cell]:
    found = row.difference
    if found is None:
        return [Cell(row.unpaired, style='words'), *plain(NONE, NONE, NONE, NONE)]
    known = found.low is not None and found.high is not None
    trainings = [len(data.replicas) for data in (row, base)]
    said = verdict(found.value, row.p_holm, row.units, trainings)
    beside = [row.training, base.training and f'baseline: {base.training}']
    return [
        Cell(said.text, tuple(filter(None, beside)), 'words'),
        Cell(points(found.value)),
        Cell(f'{points(found.low)} to {points(found.high)}' if known else NONE),
        Cell(probability(found.p), style='' if said.enough else 'soft'),
        Cell(probability(row.p_holm), style='' if said.enough else 'soft'),
    ]


def intervals(rows: Rows, main: str) -> Optional[Section]:
    """Draw the main scores of several rows and their differences, with intervals."""
    scores: list[tuple[int, float, Optional[float], Optional[float]]] = []
    for place, row in enumerate(rows):
        value = row.metrics.get(main)
        if value is not None:
            low, high = row.intervals.get(main, (None, None))
            scores.append((place, 100 * value, hundredfold(low), hundredfold(high)))
    if not scores or len(rows) == 1:
        return None
    drawn = draw_intervals(scores, xlabel=f'{main} in %')
    figures = [embed(drawn, f'{main} with its 95 % interval', f'{main}: {_in_words(scores)}')]
    compared = [
        (place, 100 * found.value, hundredfold(found.low), hundredfold(found.high))
        for place, found in enumerate(row.difference for row in rows)
        if found is not None and found.low is not None
    ]
    if compared:
        drawn = draw_intervals(compared, xlabel=f'difference of {main} in points', zero=True)
        caption = f'{main} above the baseline, with its 95 % interval'
        figures.append(embed(drawn, caption, f'Difference: {_in_words(compared)}'))
    return section(f'{main} at a glance', Figures(figures))


def _in_words(marked: Marked) -> str:
    return ', '.join(f'{letter(place)} {value:.1f}' for place, value, *_ in marked)


def costs(rows: Rows, main: str) -> Optional[Section]:
    """List the costs of the rows; several rows are also drawn as score against cost."""
    known = [(place, row, row.cost) for place, row in enumerate(rows) if row.cost]
    if not known:
        return None
    drawn = [
        _tradeoff(known, main, *axis)
        for axis in (
            ('latency_ms', 'latency in ms', 1.0),
            ('parameters', 'parameters in millions', 1e-6),
        )
    ]
    figures = [figure for figure in drawn if figure is not None] if len(rows) > 1 else []
    lines = [Line(Cell(row.label), _cost(cost), key(place, rows)) for place, row, cost in known]
    head = ('row', 'parameters', 'GFLOPs', 'latency, ms', 'input', 'on')
    note = (
        'One forward pass of one image of the training’s crop size: median, with lowest and '
        'highest. Compare only what was timed on the same machine.'
    )
    shown = Figures(figures) if figures else None
    title = 'Accuracy against cost' if len(rows) > 1 else 'Cost'
    return section(title, shown, Note(note), table_or_facts(head, lines, 'costs'))


def _tradeoff(
    known: Sequence[tuple[int, RowData, Cost]], main: str, name: str, label: str, scale: float
) -> Optional[Figure]:
    marked = []
    for place, row, cost in known:
        value = row.metrics.get(main)
        if value is not None:
            low, high = (hundredfold(end) for end in row.intervals.get(main, (None, None)))
            marked.append((place, scale * getattr(cost, name), 100 * value, low, high))
    if not marked:
        return None
    words = ', '.join(f'{letter(p)} {v:.1f} at {three_digits(c)}' for p, c, v, *_ in marked)
    drawn = draw_tradeoff(marked, xlabel=label, ylabel=f'{main} in %')
    return embed(drawn, f'{main} against {label}', f'{main} over {label}: {words}')


def _cost(cost: Cost) -> list[Cell]:
    ends = [three_digits(end) for end in (cost.latency_lowest_ms, cost.latency_highest_ms)]
    height, width = cost.size
    return [
        Cell(f'{cost.parameters:,}'),
        Cell(NONE if cost.flops is None else f'{cost.flops / 1e9:.4g}'),
        Cell(three_digits(cost.latency_ms), (' to '.join(ends),)),
        Cell(f'{height}\u00d7{width}'),
        Cell(cost.hardware or ''),
    ]
