"""Format a table for the screen, as Markdown, and as the small file for a README card.

Each score of each row has a line: paper, ours, difference, and a verdict of four possible words.
All three forms are written from the data of :func:`as_data`.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

from prettytable import PrettyTable

from ...core.files import PathLike, read_json, write_json
from ..draw.markdown import markdown_table
from .rows import Table
from .values import COUNTS, TableValues, table_values

TABLE_FILES = 'table_*.json'
# Columns of published numbers by their name in a line.
PUBLISHED = dict(printed='paper', best_epoch='paper, best epoch')
# Facts under the table and their labels.
_FACTS = {
    'dataset': 'data',
    'images': 'test images',
    'init': 'start',
    'seed': 'seeds',
    'iterations': 'iterations',
    'checkpoints': 'checkpoints',
    'commit': 'commit',
    'hardware': 'hardware',
    'date': 'date',
}
_OF_RUNS = ('seed', 'checkpoints', 'commit', 'hardware', 'date')
_LEGEND = (
    'Scores in per cent. Ours: mean ± standard deviation (ddof=1) over the runs: seeds, or folds '
    'times seeds. {difference} Within: no further from the paper than the tolerance of the row or '
    'than two standard deviations. Parameters and GFLOPs (a multiply-add is two) are those of '
    'the model that was built, for one image of the training size.'
)


def as_data(
    values: TableValues, *, command: str = '', models: Optional[Mapping[str, Any]] = None
) -> dict[str, Any]:
    """Describe a table completely as JSON data.

    Args:
        values: From ``table_values``.
        command: Command that printed the table.
        models: Facts of the built models, for remarks.
    """
    run = values.run
    rows = []
    for row in run.rows:
        lines = [asdict(line) for line in values.lines if line.label == row.label]
        model = dict((models or {}).get(row.label, {}))
        rows.append(
            dict(
                label=row.label,
                config=row.config,
                note=row.note if row.path is not None else '',
                starred=row.label in values.starred,
                optimistic=bool(model.get('selects_on_test')) and _best(values, row.label),
                incomplete=_incomplete(run, len(row.runs)),
                facts=values.facts.get(row.label),
                lines=lines,
            )
        )
    return dict(
        paper=run.paper,
        table=run.table,
        caption=run.caption,
        dataset=run.dataset,
        on_paper_data=values.on_paper_data,
        baseline=run.baseline,
        chart=run.chart,
        note=run.protocol.note,
        command=command,
        rows=rows,
    )


def _best(values: TableValues, label: str) -> bool:
    names = values.facts.get(label, {}).get('checkpoints', ())
    return any(str(name).startswith('best') for name in names)


def _incomplete(run: Table, runs: int) -> str:
    folds = run.protocol.folds
    return f'{runs % folds} of {folds} folds' if folds and runs % folds else ''


def number_text(value: Optional[float], metric: str, *, sign: bool = False) -> str:
    """Format a score, a count or a difference; ``None`` gives an empty string."""
    if value is None:
        return ''
    plus = '+' if sign and value > 0 else ''
    if metric == 'parameters':
        return f'{plus}{value:,.0f}'
    return f'{plus}{value:.1f}' if metric in COUNTS else f'{plus}{value:.2f}'


def published(data: Mapping[str, Any]) -> list[str]:
    """Return the keys of ``PUBLISHED`` of which a table has numbers."""
    lines = [line for row in data['rows'] for line in row['lines']]
    return [key for key in PUBLISHED if any(line.get(key) is not None for line in lines)]


def _columns(data: Mapping[str, Any]) -> list[str]:
    """Return the columns of published numbers: the paper's also where it has none."""
    return list(dict.fromkeys(['printed', *published(data)]))


def _head(data: Mapping[str, Any]) -> list[str]:
    names = [PUBLISHED[key] for key in _columns(data)]
    return ['row', 'score', *names, 'ours', 'runs', 'difference', 'verdict']


def _cells(data: Mapping[str, Any]) -> tuple[list[list[str]], list[str]]:
    """Return the cells of the table and its numbered notes."""
    cells, notes = [], []

    def number(note: str) -> str:
        if not note:
            return ''
        if note not in notes:
            notes.append(note)
        return f' [{notes.index(note) + 1}]'

    for row in data['rows']:
        mark = ' *' if row['starred'] else ''
        remarks = [row['note'], row['incomplete'] and f'INCOMPLETE: {row["incomplete"]}']
        label = row['label'] + mark + ''.join(number(note) for note in remarks if note)
        for line in row['lines']:
            metric, sd = line['metric'], line['sd']
            ours = number_text(line['mean'], metric)
            runs = '' if metric in COUNTS or not line['values'] else str(len(line['values']))
            cells.append(
                [
                    label,
                    metric,
                    *(number_text(line.get(key), metric) for key in _columns(data)),
                    f'{ours} ± {sd:.2f}' if sd is not None else ours,
                    runs,
                    number_text(line['difference'], metric, sign=True),
                    line['verdict'] + number(line['remark']),
                ]
            )
            label = ''
    return cells, notes


def facts_lines(data: Mapping[str, Any], *, brief: bool = False) -> list[str]:
    """Return the facts of the runs; what several rows share appears once.

    Args:
        data: From :func:`as_data`.
        brief: Of facts that differ from run to run, such as commits, give all and not whose.
    """
    found = {row['label']: row['facts'] for row in data['rows'] if row['facts']}
    lines = []
    for key, name in _FACTS.items():
        by_row = {label: _values(facts.get(key), key) for label, facts in found.items()}
        if brief and key in _OF_RUNS:
            by_row = {'': list(dict.fromkeys(sum(by_row.values(), [])))} if by_row else {}
        owners: dict[str, list[str]] = {}
        for label, values in by_row.items():
            between = ' and ' if key == 'hardware' else ', '  # its values have commas
            owners.setdefault(between.join(values), []).append(label)
        if len(owners) == 1:
            lines.append(f'{name}: {next(iter(owners))}')
        elif owners:
            said = [f'{value} ({", ".join(labels)})' for value, labels in owners.items()]
            lines.append(f'{name}: {"; ".join(said)}')
    return lines


def _values(value: Any, key: str) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [str(one)[:7] if key == 'commit' else str(one) for one in values]


def remarks_lines(data: Mapping[str, Any]) -> list[str]:
    """Return the sentences under the table, without the numbered notes."""
    to_paper = 'Difference: ours less the paper.'
    to_baseline = (
        f'Difference: to the row {data["baseline"]}, over the seeds and folds that both have; no '
        'number is printed for these data.'
    )
    lines = [_LEGEND.format(difference=to_paper if data['on_paper_data'] else to_baseline)]
    if data['note']:
        whose = 'Protocol of the paper, not of these runs' if data['dataset'] else 'Protocol'
        lines.append(f'{whose}: {data["note"]}')
    if 'best_epoch' in published(data):
        lines.append(
            'Best epoch: chosen on the images that it is scored on, hence compared with nothing.'
        )
    if any(row['starred'] for row in data['rows']):
        lines.append('* converted weights: training not reproduced')
    optimistic = [row['label'] for row in data['rows'] if row['optimistic']]
    if optimistic:
        lines.append(
            'OPTIMISTIC: the best checkpoint was chosen on the images that it is scored on '
            f'({", ".join(optimistic)})'
        )
    return lines


def title_text(data: Mapping[str, Any]) -> str:
    """Return the title of a table."""
    where = f'on {data["dataset"]}, rows of: ' if data['dataset'] else ''
    return f'{data["paper"]}, table {data["table"]}: {where}{data["caption"]}'


def format_text(data: Mapping[str, Any]) -> str:
    """Write a table for the screen."""
    cells, notes = _cells(data)
    table = PrettyTable(_head(data))
    table.align = 'r'
    for name in ('row', 'score', 'verdict'):
        table.align[name] = 'l'
    for place, row in enumerate(cells):
        last = place + 1 == len(cells) or bool(cells[place + 1][0])
        table.add_row(row, divider=last and place + 1 < len(cells))
    lines = [title_text(data), table.get_string()]
    lines += [f'[{place}] {note}' for place, note in enumerate(notes, start=1)]
    return '\n'.join([*lines, *remarks_lines(data), *facts_lines(data)])


def format_markdown(data: Mapping[str, Any], *, level: int = 3) -> str:
    """Write a table as Markdown, under a heading."""
    cells, notes = _cells(data)
    lines = [f'{"#" * level} {title_text(data)}', '', *markdown_table(_head(data), cells), '']
    for place, note in enumerate(notes, start=1):
        lines += [f'[{place}] {note}', '']
    for remark in [*remarks_lines(data), '; '.join(facts_lines(data))]:
        lines += [remark, ''] if remark else []
    # a label is plain text, but Markdown would take <...> for a tag
    lines = [re.sub(r'<(?=[A-Za-z/!?])', '&lt;', text) for text in lines]
    if data['command']:
        lines += ['```sh', data['command'], '```', '']
    return '\n'.join(lines)


def write_table(data: Mapping[str, Any], folder: PathLike) -> Path:
    """Write ``table_<name>.json``, the data for the README card.

    Args:
        data: From :func:`as_data`.
        folder: ``configs/<paper>/results``.

    Raises:
        ValueError: If there are no runs, or the file has runs that are not here; it is not changed.
    """
    path = Path(folder) / f'table_{data["table"]}.json'
    ran = {row['label'] for row in data['rows'] if row['facts']}
    if not ran:
        raise ValueError(f'no row of table {data["table"]} was run: nothing to write')
    if path.is_file():
        old = read_json(path)
        gone = [row['label'] for row in old['rows'] if row['facts'] and row['label'] not in ran]
        if gone:
            raise ValueError(
                f'{path} has runs of {", ".join(gone)}, which are not in the work folders: give '
                'their --work-dirs, or remove that file'
            )
    return write_json(path, data, ensure_ascii=False, default=str)


def report_table(
    run: Table, *, models: Optional[Mapping[str, Mapping[str, Any]]] = None, command: str = ''
) -> tuple[TableValues, dict[str, Any]]:
    """Read a table's runs and describe the table.

    Args:
        run: From ``find_runs``.
        models: From ``table_models``.
        command: Command that printed the table.
    """
    values = table_values(run, models)
    return values, as_data(values, command=command, models=models)
