"""``results.csv`` of a paper: one row for each run of ours that is committed.

Scores are fractions, each with the ends of its interval; an empty cell is what is not known. What
holds several values is JSON. A cross validation is one row: ``mIoU`` and its neighbours are those
of all held-out images, ``mIoU_folds`` has one value a fold.

In memory a run is a ``Record``: the nested dict that :func:`from_row` makes of a row and
:func:`to_row` takes apart, so that reading what was written gives the same.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...core.files import PathLike, write_bytes

RESULTS_FILE = 'results.csv'
Record = dict[str, Any]

_SCORES = ('mIoU', 'mDice', 'aAcc', 'mPA', 'mPrecision', 'mF1', 'FWIoU', 'BF', 'before_crf/mIoU')
_FOLD_SCORES = ('mIoU', 'mDice', 'HD95', 'surface_Dice')


def _read_flag(text: str) -> bool:
    if text not in ('yes', 'no'):
        raise ValueError('neither yes nor no')
    return text == 'yes'


def _one_or_list(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """A value that all folds share, or a list with one for each."""
    return lambda text: (json.loads if text.startswith('[') else kind)(text)


def _rounded(value: Any) -> Any:
    """Round to the six digits that are kept."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(inner) for inner in value]
    return float(f'{value:.6g}') if isinstance(value, float) else value


def _write_value(value: Any) -> str:
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, float):
        return f'{value:.6g}'
    if isinstance(value, (dict, list, tuple)) or (isinstance(value, str) and value[:1] == '['):
        return json.dumps(_rounded(value), ensure_ascii=False)
    return str(value)


# column -> where it is in the record, and how it is read; written by its kind
_COLUMNS: dict[str, tuple[tuple[str, ...], Callable[[str], Any]]] = {
    'config': (('config',), str),
    'data': (('dataset', 'name'), str),
    'split': (('dataset', 'split'), str),
    'images': (('dataset', 'num_images'), int),
    'start': (('init',), _one_or_list(str)),
    'converted': (('converted',), json.loads),
    'seed': (('seed',), _one_or_list(int)),
    'iterations': (('iterations',), _one_or_list(int)),
    'length': (('max_iters',), int),
    'options': (('options',), str),
    'num_folds': (('num_folds',), int),
    'folds': (('folds',), json.loads),
    'pool': (('pool',), str),
    'splitter': (('splitter',), str),
    'split_seed': (('split_seed',), int),
    'fold_images': (('num_images',), json.loads),
    'checkpoints': (('checkpoints',), json.loads),
    'parameters': (('parameters',), int),
    'flops': (('flops',), int),
    'unit': (('intervals', 'unit'), str),
    'units': (('intervals', 'units'), int),
    'interval_method': (('intervals', 'method'), str),
    'class_units': (('intervals', 'class_units'), json.loads),
    'videos': (('intervals', 'videos'), json.loads),
    'old_interval': (('old_interval',), _read_flag),
    'foreground': (('foreground',), str),
    'foreground_Dice': (('foreground_Dice',), float),
    'constant_mIoU': (('constant_miou',), float),
    'validation_mIoU': (('validation_miou',), json.loads),
    'hardware': (('hardware',), _one_or_list(str)),
    'torch': (('torch',), _one_or_list(str)),
    'stack': (('stack',), _one_or_list(str)),
    'commit': (('commit',), _one_or_list(str)),
    'dirty': (('dirty',), _one_or_list(_read_flag)),
    'date': (('date',), _one_or_list(str)),
}


def _score_columns() -> dict[str, tuple[tuple[str, ...], Callable[[str], Any]]]:
    found: dict[str, tuple[tuple[str, ...], Callable[[str], Any]]] = {}
    for name in _SCORES:
        for ending, key in (('', 'value'), ('_low', 'low'), ('_high', 'high')):
            found[name + ending] = (('metrics', name, key), float)
    for name in _FOLD_SCORES:
        found[f'{name}_folds'] = (('per_fold', name), json.loads)
    return found


COLUMNS = {**_COLUMNS, **_score_columns()}


def _get(record: Record, place: Sequence[str]) -> Any:
    value: Any = record
    for key in place:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def to_row(record: Record) -> dict[str, str]:
    """Write a record as the cells of a row."""
    row = {}
    for column, (place, _) in COLUMNS.items():
        value = _get(record, place)
        if value in (None, {}, []) or (isinstance(value, list) and set(value) == {None}):
            value = ''
        row[column] = _write_value(value)
    return row


def from_row(row: dict[str, str], where: str) -> Record:
    """Read a record from the cells of a row.

    Args:
        row: Column to cell.
        where: File and line, for messages.

    Raises:
        ValueError: If a cell is not what its column holds.
    """
    record: Record = {}
    for column, (place, read) in COLUMNS.items():
        if not row.get(column):
            continue
        try:
            value = read(row[column])
        except ValueError as error:
            raise ValueError(f'{where}, column {column}: {row[column]!r}: {error}') from error
        inner = record
        for key in place[:-1]:
            inner = inner.setdefault(key, {})
        inner[place[-1]] = value
    return record


def read_records(folder: PathLike) -> list[Record]:
    """Read the runs of a paper, in the order of the file; none where there is no file.

    Args:
        folder: ``configs/<paper>``.

    Raises:
        ValueError: If the file is not what ``tools/card.py --collect`` writes; it is named with
            line and column.
    """
    path = Path(folder) / RESULTS_FILE
    if not path.is_file():
        return []
    records = [from_row(row, f'{path}, line {line}') for line, row in _read_rows(path)]
    for record in records:
        _check(record, path)
    _refuse_twice(records, path)
    return records


def _read_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Read the rows with their lines, however a spreadsheet quotes them or marks its encoding."""
    try:
        text = path.read_bytes().decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is no UTF-8 ({error}): save it as such') from error
    reader = csv.DictReader(io.StringIO(text, newline=''))
    names = list(reader.fieldnames or ())
    unknown = sorted(set(names) - set(COLUMNS))
    if len(names) == 1 and unknown:
        raise ValueError(f'{path}: one column in all: separate cells with commas')
    if unknown or 'config' not in names:
        raise ValueError(
            f'{path}: {"no column " + unknown[0] if unknown else "its columns have no config"}'
            ': write rows with tools/card.py --collect'
        )
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise ValueError(f'{path}, line {reader.line_num}: {len(names)} cells are expected')
        rows.append((reader.line_num, row))
    return rows


def _refuse_twice(records: Sequence[Record], path: Path) -> None:
    """Refuse a run that stands there twice: it would count as two in a mean."""
    seen: set = set()
    for record in records:
        run = _identity(record)
        if run in seen:
            raise ValueError(
                f'{path}: the run of {record["config"]}, seed {record.get("seed")}, stands there '
                'twice: remove one of the rows'
            )
        seen.add(run)


def _check(record: Record, path: Path) -> None:
    needed = ('config', 'metrics') if is_folds(record) else ('config', 'metrics', 'parameters')
    absent = [key for key in needed if not record.get(key)]
    if absent:
        raise ValueError(f'{path}: the row of {record.get("config")} lacks {", ".join(absent)}')


def is_folds(record: Record) -> bool:
    """Whether a record is a cross validation."""
    return 'num_folds' in record


def length_of(record: Record) -> int:
    """Iterations of a run's training, else of the checkpoint that was tested, else 0."""
    return int(record.get('max_iters') or record.get('iterations') or 0)


def write_records(records: Sequence[Record], folder: PathLike) -> Path:
    """Write the runs of a paper, sorted; columns that no run fills are left out."""
    rows = sorted(map(to_row, records), key=lambda row: [row[key] for key in _ORDER])
    used = [column for column in COLUMNS if any(row[column] for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, used, extrasaction='ignore', lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return write_bytes(Path(folder) / RESULTS_FILE, text.getvalue().encode())


_ORDER = ('config', 'num_folds', 'split_seed', 'data', 'split', 'options', 'seed', 'date')
_SAME = ('config', 'data', 'split', 'seed', 'options', 'converted', 'num_folds', 'pool',
         'split_seed')  # fmt: skip


def _identity(record: Record) -> tuple[str, ...]:
    """What a run has in common with a repetition of it, and with no other."""
    row = to_row(record)
    return tuple(row[key] for key in _SAME)


def add_record(record: Record, folder: PathLike) -> Path:
    """Put a run into its paper's file, in place of an earlier run of the same."""
    mine = _identity(record)
    others = [other for other in read_records(folder) if _identity(other) != mine]
    return write_records([*others, record], folder)
