"""Compare how fast rows of a paper converge: validation mIoU over training, several seeds each.

Reads records of ``tools/card.py --collect``. Only rows that ran with two seeds or more on one data
set for one number of iterations are compared, and only if there are two of them: one curve says
nothing about convergence, one seed little about a loss, and a schedule follows the length.
"""

import io
from collections.abc import Mapping, Sequence
from statistics import mean

from ..draw.curves import COLORS, STYLE
from ..draw.markdown import markdown_table
from ..tables.rows import slug
from ..tables.values import spread

Rows = list[list[dict]]
_NOTE = (
    'Validation mIoU in per cent after so many iterations, mean ± standard deviation over the '
    'seeds, by the weights of that moment.'
)


def compared(rows: Sequence[Sequence[dict]]) -> dict[str, Rows]:
    """Choose what can be compared.

    Args:
        rows: Records that differ in their seed only, row by row.

    Returns:
        Data set, with the length where several are compared on it, to its rows, in the order given;
        each kept record has ``validation_miou``.
    """
    found: dict[tuple[str, int], Rows] = {}
    for runs in rows:
        runs = [run for run in runs if len(run.get('validation_miou') or ()) > 1]
        if len(runs) > 1:
            name = (runs[0].get('dataset') or {}).get('name') or '–'
            found.setdefault((name, _length(runs[0])), []).append(runs)
    kept = {key: chosen for key, chosen in found.items() if len(chosen) > 1}
    names = [name for name, _ in kept]
    return {
        name if names.count(name) == 1 else f'{name}, {length} iterations': chosen
        for (name, length), chosen in kept.items()
    }


def _length(run: dict) -> int:
    return int(run.get('max_iters') or max(map(int, run['validation_miou'])))


def picture_name(dataset: str, paper: str) -> str:
    """Name the picture of a data set's comparison."""
    return f'{paper}_convergence_{slug(dataset)}.png'


def at_iterations(runs: Sequence[dict]) -> dict[int, list[float]]:
    """Collect the seeds' scores of each validation, in per cent, by iteration."""
    scores: dict[int, list[float]] = {}
    for run in runs:
        for iteration, value in run['validation_miou'].items():
            scores.setdefault(int(iteration), []).append(100 * value)
    return dict(sorted(scores.items()))


def _cell(values: Sequence[float]) -> str:
    middle, sd = spread(values)
    if middle is None:
        return '–'
    return f'{middle:.1f}' if sd is None else f'{middle:.1f} ± {sd:.1f}'


def section(
    rows: Sequence[Sequence[dict]], paper: str, place: str = '../../docs/results/'
) -> list[str]:
    """Write table and picture of each comparison, as lines of Markdown; none is an empty list.

    Args:
        rows: As for :func:`compared`.
        paper: Name of the folder of its configs.
        place: Where the pictures are, as seen from the page.
    """
    lines: list[str] = []
    for dataset, chosen in compared(rows).items():
        scores = [at_iterations(runs) for runs in chosen]
        steps = sorted({step for row in scores for step in row})
        lines += [f'### Convergence on {dataset}', '']
        table = []
        for runs, row in zip(chosen, scores):
            cells = [f'`{runs[0]["config"]}`', ', '.join(str(run['seed']) for run in runs)]
            cells += [_cell(row.get(step, [])) for step in steps]
            table.append(cells)
        lines += markdown_table(['config', 'seeds', *map(str, steps)], table)
        title = f'{dataset}: validation mIoU over training; band: lowest and highest seed'
        lines += ['', _NOTE, '']
        lines += [f'![{title}]({place}{picture_name(dataset, paper)})', '']
    return lines


def draw(rows: Sequence[Sequence[dict]]) -> bytes:
    """Draw one comparison: each row's mean over its seeds, in a band from lowest to highest.

    Args:
        rows: The rows of one data set, from :func:`compared`.

    Returns:
        A PNG file.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout='constrained')
        axes = figure.add_subplot()
        for index, runs in enumerate(rows):
            color, dashes = COLORS[index % len(COLORS)], ('-', '--', ':')[index // len(COLORS)]
            scores = at_iterations(runs)
            steps = list(scores)
            low, high = ([end(scores[step]) for step in steps] for end in (min, max))
            axes.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0)
            label = f'{runs[0]["config"]} ({len(runs)} seeds)'
            axes.plot(steps, [mean(scores[step]) for step in steps], dashes, color=color,
                      label=label, linewidth=1.4, marker='o', markersize=3.5)  # fmt: skip
        axes.set(xlabel='iteration', ylabel='validation mIoU in %')
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8)
        buffer = io.BytesIO()
        figure.savefig(buffer, format='png', dpi=110)
        return buffer.getvalue()


def pictures(rows: Sequence[Sequence[dict]], paper: str) -> Mapping[str, bytes]:
    """Draw all comparisons: file name to content."""
    return {picture_name(name, paper): draw(chosen) for name, chosen in compared(rows).items()}
