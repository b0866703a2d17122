"""The tables of a paper's own runs and cross validations, as Markdown.

Fractions come in, per cent go out.
"""

import json
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any, Optional

from ...evaluation.intervals import NONE, brackets
from ...evaluation.units import OLD_METHOD, units_warnings
from ..draw.markdown import markdown_table
from ..run.outcome.results import converted_note
from . import convergence, figure
from .results_csv import Record, is_folds, length_of

_HEAD = (
    'config',
    'data, split (images)',
    'initialisation',
    'iterations',
    'seeds',
    'parameters',
    'aAcc',
    'mPA',
    'mIoU',
    'mDice',
    'constant',
    'hardware',
    'commit',
)
# Columns that only some papers have, and their place.
_BEFORE_EXTRA = _HEAD.index('constant')
_EXTRA = (('BF', 'BF'), ('before_crf/mIoU', 'mIoU before the CRF'))
_NOTES = {
    'BF': 'BF: boundary F1, mean over classes and images.',
    'before_crf/mIoU': 'Before the CRF: the same predictions, not refined.',
}
_FOLDS_HEAD = (
    'config',
    'data, pool (images)',
    'initialisation',
    'iterations',
    'folds',
    'seeds',
    'mIoU, folds',
    'mDice, folds',
    'mIoU, pooled',
    'mDice, pooled',
    'hardware',
    'commit',
)
_FOLDS_NOTE = (
    'Per cent, on images that were held out. Folds: mean ± standard deviation over the folds. '
    'Pooled: one confusion matrix of all held-out images, value [95 % interval over groups such as '
    'patients where folds keep them together (GroupKFold), else over images], and in brackets the '
    'Dice of the second of two classes.'
)
_NOTE = (
    'Per cent. mIoU and mDice of one seed: value [95 % interval over the test images]; '
    'of several seeds: mean ± standard deviation over the seeds [95 % interval of the mean, '
    "Student's t]. Of two classes, the second one's "
    'Dice stands in brackets. "constant" is the mIoU of the most frequent class predicted '
    'everywhere. A commit with a plus had local changes. All else is in '
    '[results.csv]({}); `tools/train.py CONFIG --seed SEED OPTIONS` and '
    '`tools/test.py CONFIG` repeat a row.'
)
_STAR = ' \\*'
_OLD = ' †'
_OLD_NOTE = (
    f'{_OLD.strip()} Interval of an older method ({OLD_METHOD}), whose counts of images were not '
    'kept: it is too narrow for few images, and leans where a class is rare.'
)


def group(records: Sequence[Record]) -> list[list[Record]]:
    """Put runs that differ in their seed only into one row."""
    rows: dict[tuple, list[Record]] = {}
    for record in records:
        dataset = record.get('dataset') or {}
        key = (
            dataset.get('name'),
            dataset.get('split'),
            dataset.get('num_images'),
            record['config'],
            record.get('init'),
            length_of(record),  # that of the best checkpoint differs by seed
            record['parameters'],
            json.dumps(record.get('converted'), sort_keys=True),
        )
        rows.setdefault(key, []).append(record)
    return [rows[key] for key in sorted(rows, key=lambda key: [str(part) for part in key])]


def rows_of(records: Sequence[Record]) -> list[list[Record]]:
    """Group the runs, without cross validations."""
    return group([record for record in records if not is_folds(record)])


def score(runs: Sequence[Record], name: str, *, interval: bool = False) -> str:
    """Write a metric: with its interval for one seed, with the spread of several."""
    entries = [run['metrics'].get(name) or {} for run in runs]
    values = [100 * entry['value'] for entry in entries if entry.get('value') is not None]
    if not values:
        return '–'
    if len(runs) > 1:
        missing = '' if len(values) == len(runs) else f' ({len(values)} of {len(runs)})'
        if len(values) == 1:
            return f'{values[0]:.1f}{missing}'
        reach = ' [{:.1f}, {:.1f}]'.format(*seeds_interval(values)) if interval else ''
        return f'{mean(values):.1f} ± {stdev(values):.1f}{reach}{missing}'
    ends = (entries[0].get('low'), entries[0].get('high')) if interval else NONE
    between = brackets(ends, digits=1)
    return f'{values[0]:.1f}{between}{_OLD if between and runs[0].get("old_interval") else ""}'


def seeds_interval(values: Sequence[float]) -> tuple[float, float]:
    """Compute the 95 % interval of a mean over seeds, by Student's t.

    Args:
        values: One score a seed, two at least; they are taken for normal.
    """
    from scipy.stats import t

    reach = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return mean(values) - reach, mean(values) + reach


def _distinct(values: Sequence[Optional[str]]) -> str:
    return ', '.join(dict.fromkeys(str(value) for value in values if value is not None)) or '–'


def _iterations(runs: Sequence[Record]) -> str:
    """Write the iteration of the tested weights, and of how many if training went on."""
    tested, length = _distinct([run.get('iterations') for run in runs]), runs[0].get('max_iters')
    return tested if length is None or tested == str(length) else f'{tested} of {length}'


def _commit(run: dict) -> Optional[str]:
    commit = run.get('commit')
    return None if commit is None else commit[:7] + ('+' if run.get('dirty') else '')


def _starred(record: dict, part: str) -> str:
    """Mark weights, or the start of a training, that others trained."""
    converted = _of_folds(record, 'converted')
    return _STAR if any(given and given['part'] == part for given in converted) else ''


def _star_note(records: Sequence[Record]) -> list[str]:
    notes = [converted_note(c) for record in records for c in _of_folds(record, 'converted')]
    if not any(notes):
        return []
    return [
        f'{_STAR.strip()} Weights converted from {"; ".join(filter(None, dict.fromkeys(notes)))}.',
        '',
    ]


def _interval_notes(rows: Sequence[Sequence[str]], records: Sequence[Record]) -> list[str]:
    """Say what to beware of in the intervals of a table, once for records that agree.

    Args:
        rows: Cells of the table.
        records: Runs, or summaries of folds.
    """
    notes = [_OLD_NOTE] if any(_OLD in cell for row in rows for cell in row) else []
    for record in records:
        notes += [
            f'{_tested_on(record)}: {warning}' for warning in units_warnings(record['intervals'])
        ]
    return [line for note in dict.fromkeys(notes) for line in (note, '')]


def _tested_on(record: Record) -> str:
    """Name the data of a run or of folds, as the table does."""
    data = record.get('dataset') or {}
    split = record.get('pool') if is_folds(record) else data.get('split')
    return f'{data.get("name") or "–"}, {split or "–"}'


def _row(runs: Sequence[Record], extra: Sequence[str] = ()) -> list[str]:
    first = runs[0]
    dataset = first.get('dataset') or {}
    constants = [run['constant_miou'] for run in runs if run.get('constant_miou') is not None]
    return [
        f'`{first["config"]}`{_starred(first, "model")}',
        f'{_tested_on(first)} ({dataset.get("num_images") or "–"})',
        str(first.get('init') or '–') + _starred(first, 'start'),
        _iterations(runs),
        _distinct([run.get('seed') for run in runs]),
        f'{first["parameters"]:,}',
        score(runs, 'aAcc'),
        score(runs, 'mPA'),
        score(runs, 'mIoU', interval=True),
        score(runs, 'mDice', interval=True) + _foreground(runs),
        *(score(runs, name) for name in extra),
        f'{100 * mean(constants):.1f}' if constants else '–',
        _distinct([run.get('hardware') for run in runs]),
        _distinct([_commit(run) for run in runs]),
    ]


def _of_folds(record: dict, key: str) -> list[Any]:
    """One value for each fold; it stands once in the record if all folds share it, as in a run."""
    value = record.get(key)
    return value if isinstance(value, list) else [value] * len(record.get('folds') or [0])


def _folds_done(record: dict) -> str:
    done, count = len(record['folds']), record['num_folds']
    best = any(str(name).startswith('best') for name in record.get('checkpoints') or ())
    return (
        f'{count if done == count else f"{done} of {count}"} '
        f'({record.get("splitter")}, split seed {record.get("split_seed")}'
        f'{", optimistic: best checkpoints" if best else ""})'
    )


def _folds_row(record: Record) -> list[str]:
    folds = {
        name: [dict(metrics={name: dict(value=value)}) for value in record['per_fold'][name]]
        for name in ('mIoU', 'mDice')
    }
    commits = zip(_of_folds(record, 'commit'), _of_folds(record, 'dirty'))
    return [
        f'`{record["config"]}`{_starred(record, "model")}',
        f'{_tested_on(record)} ({sum(record["num_images"])})',
        _distinct(_of_folds(record, 'init')) + _starred(record, 'start'),
        _distinct(_of_folds(record, 'iterations')),
        _folds_done(record),
        _distinct(_of_folds(record, 'seed')),
        *(score(folds[name], name) for name in ('mIoU', 'mDice')),
        score([record], 'mIoU', interval=True),
        score([record], 'mDice', interval=True) + _foreground([record]),
        _distinct(_of_folds(record, 'hardware')),
        _distinct([_commit(dict(commit=commit, dirty=dirty)) for commit, dirty in commits]),
    ]


def _foreground(runs: Sequence[Record]) -> str:
    """Write the Dice of the second of two classes, whose mean hides it."""
    values = [run['foreground_Dice'] for run in runs if 'foreground_Dice' in run]
    return (
        f' ({runs[0]["foreground"]} {100 * mean(values):.1f})' if len(values) == len(runs) else ''
    )


def results_section(records: Sequence[Record], paper: str) -> str:
    """Write the section, without the markers.

    Args:
        records: Runs and cross validations.
        paper: Name of the folder of its configs.
    """
    if not records:
        return 'Nothing has been run yet.'
    rows = rows_of(records)
    pictures = convergence.section(rows, paper) + figure.section(rows, paper)
    return '\n'.join([*runs_lines(records), *pictures]).rstrip()


def runs_lines(records: Sequence[Record], results: str = 'results.csv') -> list[str]:
    """Write a row for each config, start and length, and one for each cross validation.

    Args:
        records: Runs and cross validations.
        results: Where a link to all else leads.
    """
    rows = rows_of(records)
    folds = [record for record in records if is_folds(record)]
    lines = []
    if rows:
        extra = [
            column for column in _EXTRA if any(column[0] in run['metrics'] for run in sum(rows, []))
        ]
        head = [*_HEAD[:_BEFORE_EXTRA], *(title for _, title in extra), *_HEAD[_BEFORE_EXTRA:]]
        cells = [_row(runs, [name for name, _ in extra]) for runs in rows]
        note = _NOTE.format(results) + ''.join(f' {_NOTES[name]}' for name, _ in extra)
        lines += _table(head, cells, note, sum(rows, []))
    if folds:
        lines += ['### Cross validation', '']
        lines += _table(_FOLDS_HEAD, [_folds_row(record) for record in folds], _FOLDS_NOTE, folds)
    return lines


def warning_lines(records: Sequence[Record]) -> list[str]:
    """Say what to beware of in the intervals, as below a table of the runs."""
    return _interval_notes([], records)


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], note: str, records: Sequence[Record]
) -> list[str]:
    """Write a table and its notes."""
    return [
        *markdown_table(head, rows),
        '',
        note,
        '',
        *_interval_notes(rows, records),
        *_star_note(records),
    ]
