"""One figure for each data set of a paper: mIoU of the measured rows, seed by seed.

Drawn from ``results.csv``, so that a figure and its table cannot differ.
"""

import re
from collections.abc import Mapping, Sequence
from statistics import mean

from ..draw.curves import COLORS, save_figure
from ..draw.figures import open_axes
from .results_csv import Record, length_of

Rows = Sequence[Sequence[Record]]
_MOST = 30  # rows that a figure can hold


def by_data(rows: Rows) -> dict[str, list[Sequence[Record]]]:
    """Sort rows, each the runs that differ in their seed only, by what they were tested on.

    Returns:
        Data set and split to its rows, of the longest trainings first, and of one length the best
        first; only those with two rows or more.
    """
    found: dict[str, list[Sequence[Record]]] = {}
    for runs in rows:
        data = runs[0].get('dataset') or {}
        found.setdefault(f'{data.get("name")} {data.get("split")}', []).append(runs)
    ordered = {name: sorted(some, key=_place, reverse=True) for name, some in found.items()}
    return {name: some for name, some in ordered.items() if len(some) > 1}


def _scores(runs: Sequence[Record]) -> list[float]:
    return [100 * run['metrics']['mIoU']['value'] for run in runs]


def _place(runs: Sequence[Record]) -> tuple[int, float]:
    return length_of(runs[0]), mean(_scores(runs))


def figure_name(data: str, paper: str) -> str:
    """Name the figure of a data set."""
    return f'{paper}_{re.sub("[^a-z0-9]+", "_", data.lower()).strip("_")}.svg'


def draw(rows: Rows) -> bytes:
    """Draw rows below each other: each seed a ring, the mean a point, an interval a line.

    A line divides trainings of different lengths, whose scores do not compare.

    Args:
        rows: Of one data set; the interval is that of a single run, over its test images.

    Returns:
        An SVG file.
    """
    rows = rows[:_MOST]
    with open_axes((7.2, 0.7 + 0.27 * len(rows))) as axes:
        for place, runs in enumerate(rows):
            scores = _scores(runs)
            axes.plot(scores, [place] * len(scores), 'o', color=COLORS[0], markersize=4, mfc='none')
            axes.plot([mean(scores)], [place], 'o', color=COLORS[0], markersize=5)
            ends = [runs[0]['metrics']['mIoU'].get(end) for end in ('low', 'high')]
            if len(runs) == 1 and None not in ends:
                axes.plot([100 * end for end in ends], [place, place], color=COLORS[0])
            if place and length_of(runs[0]) != length_of(rows[place - 1][0]):
                axes.axhline(place - 0.5, color='0.6', linewidth=0.8)
        names = [f'{runs[0]["config"]} ({length_of(runs[0])} it.)' for runs in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel('mIoU in %')
        return save_figure(axes.figure)


def section(rows: Rows, paper: str) -> list[str]:
    """Show the figures, as lines of Markdown."""
    lines: list[str] = []
    for data in by_data(rows):
        title = f'{data}: mIoU of each seed, their mean; a line is the interval of one seed'
        lines += [f'![{title}](../../docs/results/{figure_name(data, paper)})', '']
    return lines


def pictures(rows: Rows, paper: str) -> Mapping[str, bytes]:
    """Draw all figures: file name to content."""
    return {figure_name(data, paper): draw(some) for data, some in by_data(rows).items()}
