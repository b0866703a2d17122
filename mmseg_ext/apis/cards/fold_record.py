"""Turn a finished cross validation into what is committed: a row of ``results.csv``.

It holds no patients' names. Its options are those that ``tools/kfold.py`` kept, as they were typed.
"""

import shlex

from ...core.files import PathLike, read_json
from ..config.renamed import today_config
from ..run.folder import RunFolder
from ..run.outcome.results import RUN_FACTS
from .record import PRIVATE, collect, find_written_config, foreground
from .results_csv import Record, add_record

_KEPT = (
    *RUN_FACTS,
    'num_folds',
    'folds',
    'split_seed',
    'pool',
    'splitter',
    'checkpoints',
    'num_images',
)


def collect_all(work_dir: PathLike, folder: PathLike) -> list[Record]:
    """Put the run, the cross validation, or both that a work folder holds into ``results.csv``.

    Args:
        work_dir: Of a tested run, or of ``tools/kfold.py``.
        folder: ``configs/<paper>``.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: As :func:`collect` and :func:`collect_folds`.
        ValueError: As :func:`collect_folds`.
    """
    run = RunFolder(work_dir)
    if not run.folds_file.is_file():
        return [collect(work_dir, folder)]
    written = [collect_folds(work_dir, folder)]
    return [*written, collect(work_dir, folder)] if run.results_file().is_file() else written


def collect_folds(work_dir: PathLike, folder: PathLike) -> Record:
    """Put a cross validation into ``configs/<paper>/results.csv``.

    Args:
        work_dir: Folder of the folds, where ``tools/kfold.py`` left ``kfold.json``.
        folder: ``configs/<paper>``; must hold the config.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: If there is no such config, or nothing says how the folds were run.
        ValueError: If ``kfold.json`` lacks what a card prints.
    """
    run = RunFolder(work_dir)
    summary = read_json(run.folds_file)
    absent = [key for key in ('per_fold', 'pooled', 'num_folds', 'folds') if key not in summary]
    if absent:
        raise ValueError(
            f'{run.folds_file} lacks {", ".join(absent)}: write it again with '
            'tools/kfold.py CONFIG --num-folds K --report'
        )
    summary['config'] = today_config(summary.get('config'))
    find_written_config(work_dir, summary['config'], folder)
    if not run.plan_file.is_file():
        raise FileNotFoundError(
            f'{run.plan_file} does not exist, so that the command is unknown: run '
            'tools/kfold.py, which writes it and skips the folds that are finished'
        )
    pooled = summary['pooled']
    scored = (summary.get('per_unit') or {}).get('foreground_Dice') or {}
    number = scored.get('count', 0) + scored.get('undefined', 0)
    units = dict(unit=summary.get('unit', 'image'), units=number or sum(summary['num_images']))
    record: Record = dict(
        {key: summary.get(key) for key in _KEPT},
        dataset=dict(name=summary.get('dataset')),
        metrics=pooled['metrics'],
        **foreground(pooled['per_class']),
        intervals=pooled.get('intervals') or units,
        old_interval=not pooled.get('intervals'),
        per_fold={name: scores['values'] for name, scores in summary['per_fold'].items()},
        options=fold_options(read_json(run.plan_file), summary) or None,
    )
    add_record(record, folder)
    return record


def fold_options(plan: dict, summary: dict) -> str:
    """Write the arguments of a cross validation that no column of its own holds.

    Args:
        plan: Content of ``kfold_plan.json``.
        summary: Content of ``kfold.json``.
    """
    words = [f'--{flag}' for flag in ('stratify', 'amp', 'deterministic') if plan[flag]]
    words += ['--checkpoint', plan['checkpoint']] if plan['checkpoint'] != 'last' else []
    words += _lengths(summary)
    options = [o for o in plan['options'] if not set(o.split('=')[0].split('.')) & set(PRIVATE)]
    words += ['--cfg-options', *options] if options else []
    return shlex.join(map(str, words))


def _lengths(summary: dict) -> list:
    """What outlines were measured in, unless they were not measured or in pixels."""
    spacing, tolerance = summary.get('spacing'), summary.get('tolerance')
    if spacing is None or (spacing == [1, 1] and tolerance == 1):
        return []
    return ['--spacing', *spacing, '--tolerance', tolerance]
