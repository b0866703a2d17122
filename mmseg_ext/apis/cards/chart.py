"""A table's score as bars, for tables whose ``tables.yml`` names it with ``chart``.

Drawn from the JSON that ``tools/table.py --write`` keeps, so that a chart and its table cannot
differ.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from ...core.files import PathLike, read_json
from ..draw.curves import COLORS, save_figure
from ..draw.figures import open_axes
from ..tables.rows import slug
from ..tables.text import TABLE_FILES
from .results_table import seeds_interval


class Bar(NamedTuple):
    """A row: its label, its score in per cent, and that of each run."""

    label: str
    value: float
    runs: Sequence[float]


def chart_line(data: Mapping[str, Any]) -> list[str]:
    """Show a table's chart, as lines of Markdown; none if it has none, or no run yet."""
    if not bars_of(data):
        return []
    metric = data['chart']
    title = (
        f'{metric} in % of each row, best first; rings: its runs; line: 95 % interval of the mean'
    )
    return [f'![{title}](../../docs/results/{chart_name(data)})', '']


def chart_name(data: Mapping[str, Any]) -> str:
    """Name the file of a table's chart."""
    return f'{data["paper"]}_table_{slug(data["table"])}_{slug(data["chart"])}.svg'


def bars_of(data: Mapping[str, Any]) -> list[Bar]:
    """Rows with runs, best first."""
    bars = []
    for row in data['rows'] if data.get('chart') else ():
        for line in row['lines']:
            values = [value for value in line['values'] or () if value is not None]
            if line['metric'] == data['chart'] and values:
                bars.append(Bar(row['label'], mean(values), values))
    return sorted(bars, key=lambda bar: -bar.value)


def draw(bars: Sequence[Bar], metric: str) -> bytes:
    """Draw bars below each other, with a ring for each run and the interval of their mean.

    Args:
        bars: From :func:`bars_of`; the interval is Student's, over the runs, where there are two.
        metric: Name of the score.

    Returns:
        An SVG file.
    """
    with open_axes((7.2, 0.7 + 0.27 * len(bars))) as axes:
        places = range(len(bars))
        axes.barh(places, [bar.value for bar in bars], height=0.6, color=COLORS[0], alpha=0.45)
        for place, bar in zip(places, bars):
            axes.plot(bar.runs, [place] * len(bar.runs), 'o', color=COLORS[0], ms=4, mfc='none')
            if len(bar.runs) > 1:
                axes.plot(seeds_interval(bar.runs), [place, place], color='#222222', linewidth=1)
        axes.set_yticks(places, [bar.label for bar in bars])
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel(f'{metric} in %')
        return save_figure(axes.figure)


def pictures(folder: PathLike) -> dict[str, bytes]:
    """Draw the charts of a paper's tables: file name to content."""
    found = {}
    for path in sorted((Path(folder) / 'results').glob(TABLE_FILES)):
        data = read_json(path)
        if bars := bars_of(data):
            found[chart_name(data)] = draw(bars, data['chart'])
    return found
