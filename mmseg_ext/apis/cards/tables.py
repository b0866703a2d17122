"""A printed table on a card, a line a row, from the JSON that ``tools/table.py --write`` keeps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.files import PathLike, read_json
from ..draw.markdown import markdown_table
from ..tables.text import (
    PUBLISHED,
    TABLE_FILES,
    facts_lines,
    number_text,
    published,
    remarks_lines,
    title_text,
)
from ..tables.values import COUNTS
from .chart import chart_line
from .separation import separation_line


def tables_section(folder: PathLike) -> list[str]:
    """Lines of a card with the tables that were written, none if there are none.

    Args:
        folder: ``configs/<paper>``.
    """
    lines: list[str] = []
    for path in sorted((Path(folder) / 'results').glob(TABLE_FILES)):
        # what holds for several tables is said below the first
        lines += [line for line in table_lines(read_json(path)) if not line or line not in lines]
    return [line for line, before in zip(lines, ['', *lines]) if line or before]


def table_lines(data: Mapping[str, Any]) -> list[str]:
    """Write a table with one line a row: the paper's score, ours, and what to make of it.

    Args:
        data: From :func:`~..tables.text.as_data`.
    """
    metrics = list(dict.fromkeys(line['metric'] for row in data['rows'] for line in row['lines']))
    shown = published(data)
    head = ['row']
    for metric in metrics:
        scored = metric not in COUNTS
        head += [f'{metric}, {PUBLISHED[key]}' for key in shown] + [metric]
        head += [f'{metric}, difference'] if scored else []
    cells = [_cells(row, metrics, shown) for row in data['rows']]
    lines = [f'### {title_text(data)}', '', *markdown_table([*head, 'runs', 'verdict'], cells), '']
    lines += chart_line(data)
    said = [separation_line(data), *remarks_lines(data), _facts(data)]
    said += [f'{row["label"]}: {row["note"]}' for row in data['rows'] if row['note']]
    for text in said:
        lines += [text.replace('<', '&lt;'), ''] if text else []
    return [*lines, f'`{data["command"]}`', ''] if data['command'] else lines


def _facts(data: Mapping[str, Any]) -> str:
    """The facts of the runs; which run has which is in ``results.csv``."""
    return '; '.join(facts_lines(data, brief=True))


def _cells(row: Mapping[str, Any], metrics: list[str], shown: list[str]) -> list[str]:
    """Cells of one row."""
    lines = {line['metric']: line for line in row['lines']}
    cells = [row['label'] + (' *' if row['starred'] else '')]
    verdicts: list[str] = []
    runs = 0
    for metric in metrics:
        line = lines.get(metric) or dict(mean=None, sd=None, difference=None)
        spread = '' if line['sd'] is None else f' ± {line["sd"]:.2f}'
        cells += [number_text(line.get(key), metric) for key in shown]
        cells.append(number_text(line['mean'], metric) + spread)
        if metric not in COUNTS:
            cells.append(number_text(line['difference'], metric, sign=True))
        if line.get('verdict'):
            remark = f' ({line["remark"]})' if line.get('remark') else ''
            verdicts += [line['verdict'] + remark] if metric not in COUNTS or shown else []
            runs = max(runs, len(line['values'] or ()) if metric not in COUNTS else 0)
    said = '; '.join(dict.fromkeys(verdicts))
    return [*cells, str(runs or ''), f'{said}, {row["incomplete"]}' if row['incomplete'] else said]
