"""The papers' tables: the rows, and the folders of their runs.

``configs/<paper>/tables.yml`` is the only place for printed numbers. Its keys are those of
:class:`Protocol`, :class:`Row` and :class:`Table`. Scores are in per cent, as printed, under the
names of our metrics. ``folders.py`` names the folders of runs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Optional

import yaml

from ...core.files import PathLike
from ...core.words import unknown
from ..config.written import configs_folder
from ..userdata.read import read_data_file

MANIFEST = 'tables.yml'


@dataclass(frozen=True)
class Protocol:
    """How the paper measured its numbers, as far as it can be compared with runs.

    Args:
        dataset: Dataset class of the test set, such as ``VOCDataset``. With ``split`` and
            ``images`` it decides whether a run is on the paper's data.
        split: Name of the test split; ``None`` is not compared.
        images: Number of test images, over all folds; ``None`` is not compared.
        folds: Number of folds of a cross validation; ``None``: the split of the config.
        seeds: Seeds of the training runs.
        checkpoint: Checkpoint to test: ``'best'`` on the validation images, or ``'last'``.
        note: Facts that the paper does not state.
    """

    dataset: Optional[str] = None
    split: Optional[str] = None
    images: Optional[int] = None
    folds: Optional[int] = None
    seeds: tuple[int, ...] = (0,)
    checkpoint: str = 'best'
    note: str = ''


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        label: Name of the row as printed.
        config: Base name of its config; if the package has none, it is empty and ``note`` says why.
        printed: Printed number of each metric; ``parameters`` is a count.
        best_epoch: Printed number of each metric where the best epoch was chosen on the images that
            it is scored on. They are shown beside ``printed`` and compared with nothing.
        tolerance: Allowed difference of a mean, in percentage points.
        unstated: Metrics whose printed number measures something else than its name says, and why.
            They are shown without a verdict.
        options: Settings that the row changes in its config, as in ``--cfg-options``.
        weights_of: Label of the row whose trained weights this row tests in another way.
        note: Contradictions in the paper, and deviations from it.
        path: File of the config, or ``None``.
        runs: Folders of tested runs by seed and fold.
    """

    label: str
    config: str
    printed: dict[str, float] = field(default_factory=dict)
    best_epoch: dict[str, float] = field(default_factory=dict)
    tolerance: float = 1.0
    unstated: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    weights_of: Optional[str] = None
    note: str = ''
    path: Optional[Path] = None
    runs: tuple[Path, ...] = ()

    @property
    def run_name(self) -> str:
        """Return the prefix of the row's folders: config, and label if it changes settings."""
        return f'{self.config}_{slug(self.label)}' if self.options else self.config


@dataclass(frozen=True)
class Table:
    """A table with its existing runs.

    Args:
        paper: Folder of ``configs``.
        table: Number or name of the table.
        caption: What it compares.
        rows: In printed order.
        metrics: Scores to show, in order; the first is the main one.
        baseline: Label of the row to compare with where there are no printed numbers; default: the
            first row.
        protocol: How the printed numbers were measured.
        dataset: Name of the user's data set, if the runs use one.
        chart: Score that the paper's card also shows as a chart of bars, if any.
    """

    paper: str
    table: str
    caption: str
    rows: tuple[Row, ...]
    metrics: tuple[str, ...] = ('mIoU',)
    baseline: str = ''
    protocol: Protocol = Protocol()
    dataset: Optional[str] = None
    chart: str = ''


def slug(label: str) -> str:
    """Convert a label to a part of a file name."""
    return re.sub(r'[^a-z0-9]+', '_', label.lower()).strip('_')


def papers(configs: PathLike) -> list[str]:
    """Return the names of all papers with tables."""
    return sorted(path.parent.name for path in Path(configs).glob(f'*/{MANIFEST}'))


def read_tables(paper: str, configs: Optional[PathLike] = None) -> dict[str, Table]:
    """Read a paper's tables, without runs.

    Args:
        paper: Folder of ``configs``.
        configs: The ``configs`` folder; default: the package's own.

    Returns:
        Each table by its number or name.

    Raises:
        ValueError: If there is no such paper, or its ``tables.yml`` has an unknown key.
    """
    root = Path(configs) if configs is not None else configs_folder()
    if paper not in papers(root):
        raise ValueError(unknown('paper with tables', paper, papers(root)))
    path = root / paper / MANIFEST
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
        _check_keys(content, ('protocol', 'tables', 'collections'), 'the file')
        shared = content.get('protocol') or {}
        return {
            str(name): _table(paper, str(name), dict(entry), shared, root)
            for name, entry in content['tables'].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise ValueError(f'{path}: {error}') from error


def _check_keys(entry: dict, known: Sequence[str], where: str) -> None:
    for key in entry:
        if key not in known:
            raise ValueError(f'{where}: {unknown("key", str(key), known)}')


def _names(kind: Any, *hidden: str) -> list[str]:
    return [item.name for item in fields(kind) if item.name not in hidden]


def _table(paper: str, name: str, entry: dict, shared: dict, root: Path) -> Table:
    _check_keys(entry, _names(Table, 'paper', 'table', 'dataset'), f'table {name}')
    _check_kinds(entry, f'table {name}')
    protocol = dict(shared, **entry.pop('protocol', {}))
    _check_kinds(protocol, f'protocol of table {name}')
    _check_keys(protocol, _names(Protocol), f'protocol of table {name}')
    protocol['seeds'] = tuple(protocol.get('seeds', (0,)))
    rows = tuple(_row(dict(row), paper, name, root) for row in entry.pop('rows'))
    labels = [row.label for row in rows]
    if len(set(labels)) < len(labels) or any(',' in label for label in labels):
        raise ValueError(f'table {name}: labels must be unique and without a comma: {labels}')
    for label in [row.weights_of for row in rows] + [entry.get('baseline')]:
        if label and label not in labels:
            raise ValueError(f'table {name}: {unknown("row", label, labels)}')
    entry['metrics'] = tuple(entry.get('metrics', ('mIoU',)))
    entry.setdefault('baseline', labels[0])
    if entry.get('chart') and entry['chart'] not in entry['metrics']:
        raise ValueError(f'table {name}: {unknown("metric", entry["chart"], entry["metrics"])}')
    return Table(paper, name, rows=rows, protocol=Protocol(**protocol), **entry)


_KINDS: dict[str, Any] = {
    **dict.fromkeys(('label', 'config', 'note', 'weights_of', 'caption', 'baseline', 'chart'), str),
    **dict.fromkeys(('printed', 'best_epoch', 'unstated', 'options'), dict),
    **dict.fromkeys(('metrics', 'seeds'), (list, tuple)),
    'tolerance': (int, float),
}


def _check_kinds(entry: dict, where: str) -> None:
    for key, kind in _KINDS.items():
        value = entry.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            raise ValueError(f'{where}: {key} is {value!r}, which is of another kind')
    for key in ('printed', 'best_epoch'):
        for metric, number in (entry.get(key) or {}).items():
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                raise ValueError(f'{where}: {key}.{metric} is {number!r}, which is no number')


def _row(entry: dict, paper: str, table: str, root: Path) -> Row:
    _check_keys(entry, _names(Row, 'path', 'runs'), f'table {table}, {entry.get("label")}')
    _check_kinds(entry, f'table {table}, {entry.get("label")}')
    row = Row(**{'config': '', **entry})
    return replace(row, path=find_config(row.config, paper, root))


def find_config(name: str, paper: str, configs: PathLike) -> Optional[Path]:
    """Find a config by its base name, in the paper's folder or another."""
    if not name:
        return None
    own = Path(configs) / paper / f'{name}.py'
    if own.is_file():
        return own
    return next(iter(sorted(Path(configs).glob(f'*/{name}.py'))), None)


def choose_table(tables: dict[str, Table], name: str) -> Table:
    """Choose a table.

    Raises:
        ValueError: If there is no table of that name; the message suggests the nearest one.
    """
    if name not in tables:
        raise ValueError(unknown('table', name, tables))
    return tables[name]


def choose_rows(table: Table, names: Optional[Sequence[str]]) -> Table:
    """Keep some rows of a table in its order, and the rows whose weights they test.

    If the baseline is not among them, the first row becomes the baseline.

    Args:
        table: The whole table.
        names: Labels or configs in any letter case; default: all rows.

    Raises:
        ValueError: If there is no such row; the message suggests the nearest one.
    """
    if names is None:
        return table
    wanted = set()
    for name in names:
        found = [row.label for row in table.rows
                 if name.lower() in (row.label.lower(), row.config.lower())]  # fmt: skip
        if not found:
            known = [*(row.label for row in table.rows), *(row.config for row in table.rows)]
            raise ValueError(unknown(f'row of table {table.table}', name, filter(None, known)))
        wanted.update(found)
    wanted.update(row.weights_of for row in table.rows if row.label in wanted and row.weights_of)
    rows = tuple(row for row in table.rows if row.label in wanted)
    return replace(
        table, rows=rows, baseline=table.baseline if table.baseline in wanted else rows[0].label
    )


def select(
    table: Table,
    *,
    rows: Optional[Sequence[str]] = None,
    folds: Optional[int] = None,
    checkpoint: Optional[str] = None,
    dataset: Optional[PathLike] = None,
) -> Table:
    """Change a table by the arguments of ``tools/table.py``; without an argument nothing changes.

    Args:
        table: The whole table.
        rows: See :func:`choose_rows`.
        folds: Number of folds instead of the protocol's; 0 and 1 mean no cross validation.
        checkpoint: ``'best'`` or ``'last'``.
        dataset: File that describes the user's data.

    Raises:
        ValueError: If there is no such row, or the data set file is wrong.
    """
    protocol = table.protocol
    if folds is not None:
        protocol = replace(protocol, folds=folds if folds > 1 else None)
    if checkpoint is not None:
        protocol = replace(protocol, checkpoint=checkpoint)
    name = None
    if dataset is not None:
        name = read_data_file(dataset).name
    names = None if rows is None else [row.strip() for row in rows]
    return replace(choose_rows(table, names), protocol=protocol, dataset=name)
