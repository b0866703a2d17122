"""The page sections about scores of active learning: budget curve, areas, tests and settings."""

from typing import Optional

from ...core.labels import evenly
from ..draw.blocks import (
    Block,
    Cell,
    Facts,
    Figures,
    Fold,
    Line,
    Note,
    Section,
    Table,
    embed,
    plain,
    section,
)
from ..draw.figures import draw_budget, letter
from .active_data import ActiveData, MeanPoint
from .numbers import NONE, percent, points, probability

_MOST_COLUMNS = 12
_MOST_PAIRS = 10  # more are folded away


def budget(data: ActiveData) -> Optional[Section]:
    """Draw mIoU against the share of labels, and list it round by round."""
    means = {strategy: data.means(strategy) for strategy in data.plan.strategies}
    known = {strategy: found for strategy, found in means.items() if found}
    if not known:
        return section('Budget curve', Note('No round is finished yet.'))
    place = data.plan.strategies.index
    drawn = draw_budget(
        {place(name): _of_seeds(data, name) for name in known},
        {place(name): [(100 * p.share, 100 * p.score) for p in found]
         for name, found in known.items()},
        xlabel=f'labelled share of the {data.kind} in %',
        ylabel='mIoU in %',
    )  # fmt: skip
    words = '; '.join(f'{letter(place(name))} {_in_words(found)}' for name, found in known.items())
    note = (
        'mIoU on the test images after each round, with the last checkpoint. Thick lines: means '
        'over seeds, of the rounds that all seeds have; pale lines: single seeds. All strategies '
        'of a seed share the first round.'
    )
    return section(
        'Budget curve',
        Note(note),
        Figures([embed(drawn, 'mIoU over labels', f'mIoU over labels: {words}')]),
        _curve_table(data, known),
    )


def _of_seeds(data: ActiveData, strategy: str) -> list[list[tuple[float, float]]]:
    curves = data.points(strategy).values()
    return [
        [(100 * share, 100 * score) for _, _, share, score in curve] for curve in curves if curve
    ]


def _in_words(found: list[MeanPoint]) -> str:
    return ', '.join(f'{100 * p.score:.1f} at {100 * p.share:.0f} %' for p in found)


def _curve_table(data: ActiveData, known: dict[str, list[MeanPoint]]) -> Table:
    labels = {point.number: point for found in known.values() for point in found}
    shown = evenly(sorted(labels), _MOST_COLUMNS)
    head = [f'{labels[n].labelled:.0f} ({100 * labels[n].share:.0f}\u00a0%)' for n in shown]
    lines = []
    for strategy, found in known.items():
        by_round = {point.number: point for point in found}
        cells = [_score(by_round.get(number)) for number in shown]
        lines.append(Line(Cell(strategy), cells, data.key(strategy)))
    return Table((f'mIoU, %, of labelled {data.kind}:', *head), lines, 'mIoU after each round')


def _score(point: Optional[MeanPoint]) -> Cell:
    if point is None:
        return Cell(NONE)
    sd = () if point.sd is None else (f'±\u00a0{100 * point.sd:.1f} (n\u00a0=\u00a0{point.seeds})',)
    return Cell(f'{100 * point.score:.1f}', sd)


def areas(data: ActiveData) -> Section:
    """List the area under each budget curve."""
    note = (
        'Mean height of the curve between the first and the last round, of seeds whose rounds are '
        'all finished; ± is the standard deviation (ddof=1) over seeds.'
    )
    lines = []
    for strategy, found in data.summary['areas'].items():
        pairs = zip(found['seeds'], found['values'])
        seeds = ', '.join(f'{seed}: {100 * value:.2f}' for seed, value in pairs)
        mean = NONE if found['mean'] is None else f'{100 * found["mean"]:.2f}'
        sd = () if found['sd'] is None else (f'±\u00a0{100 * found["sd"]:.2f}',)
        cells = [Cell(mean, sd), Cell(seeds or NONE, style='words')]
        lines.append(Line(Cell(strategy), cells, data.key(strategy)))
    head = ('strategy', 'area, % mIoU', 'of each seed')
    return section('Area under the curve', Note(note), Table(head, lines, 'areas'))


def tests(data: ActiveData) -> Section:
    """List the paired tests of all strategies, with the sentence about what they can show."""
    said = data.summary['verdict']
    lines = [
        Line(
            Cell(f'{pair["first"]} − {pair["second"]}'),
            plain(
                points(pair['difference']),
                probability(pair['p']),
                probability(pair['p_holm']),
                str(len(pair['seeds'])),
            ),
        )
        for pair in data.summary['tests']
    ]
    note = (
        'Exact permutations of the areas over the seeds that both strategies have, two-sided, '
        'corrected by Holm for all pairs. The smallest p of n seeds is 2 / 2ⁿ.'
    )
    head = ('pair', 'area, points', 'p', 'p (Holm)', 'seeds')
    sentence, title = Note(f'{said[:1].upper()}{said[1:]}.'), 'Pairwise tests'
    if not lines:
        return section(title, sentence)
    table: Block = Table(head, lines, 'tests of all pairs')
    if len(lines) > _MOST_PAIRS:
        table = Fold(f'All {len(lines)} pairs', [table])
    return section(title, sentence, table, Note(note))


def facts(data: ActiveData) -> Section:
    """List what was asked for."""
    plan = data.plan
    known = {
        'config': plan.config,
        'data set': plan.dataset,
        'strategies': ', '.join(plan.strategies),
        'seeds': ', '.join(map(str, plan.seeds)),
        'rounds': str(plan.rounds),
        'labels of a round': plan.budget,
        'regions': plan.regions and f'{plan.regions} of {plan.size} pixels',
        'start of a round': 'the weights of the round before' if plan.warm_start else 'afresh',
        'options': ' '.join(plan.options),
        'largest share': _largest_share(data),
    }
    return section('The rounds', Facts({name: text for name, text in known.items() if text}))


def _largest_share(data: ActiveData) -> str:
    points = [p for s in data.plan.strategies for found in data.points(s).values() for p in found]
    if not points:
        return ''
    _, labelled, share, _ = max(points, key=lambda point: point[2])
    return f'{labelled} {data.kind}, {percent(share)} of the pool'
