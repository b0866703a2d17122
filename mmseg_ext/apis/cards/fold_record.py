"""Turn a finished cross validation into what is committed: one small JSON file.

It holds what the README card prints, no arrays and no patients' names. The command in it is the one
that ``tools/kfold.py`` kept, options as they were typed.
"""

import shlex
from pathlib import Path

from ...core.files import PathLike, read_json
from ..run.folder import RunFolder
from ..run.results import RUN_FACTS
from .record import PRIVATE, collect, find_written_config, write_record

_KEPT = (
    *RUN_FACTS,
    'dataset',
    'num_folds',
    'folds',
    'missing',
    'split_seed',
    'pool',
    'splitter',
    'checkpoints',
    'num_images',
    'unit',
    'spacing',
    'tolerance',
    'per_fold',
    'per_unit',
)


def collect_all(work_dir: PathLike, folder: PathLike) -> list[Path]:
    """Copy the run, the cross validation, or both that a work folder holds into ``folder``.

    Returns:
        The files written.

    Raises:
        FileNotFoundError: As :func:`collect` and :func:`collect_folds`.
        ValueError: As :func:`collect_folds`.
    """
    run = RunFolder(work_dir)
    if not run.folds_file.is_file():
        return collect(work_dir, folder)
    written = collect_folds(work_dir, folder)
    if run.results_file().is_file():
        written += collect(work_dir, folder)
    return written


def collect_folds(work_dir: PathLike, folder: PathLike) -> list[Path]:
    """Copy a cross validation into ``configs/<paper>/results``.

    Args:
        work_dir: Folder of the folds, where ``tools/kfold.py`` left ``kfold.json``.
        folder: Where to; its parent must hold the config.

    Returns:
        The file written, ``NAME_kfold<K>_seed<S>.json``; a split seed other than 0 is in the name.

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
    config = find_written_config(work_dir, summary.get('config'), folder)
    if not run.plan_file.is_file():
        raise FileNotFoundError(
            f'{run.plan_file} does not exist, so that the command is unknown: run '
            'tools/kfold.py, which writes it and skips the folds that are finished'
        )
    plan = read_json(run.plan_file)
    record = {key: summary.get(key) for key in _KEPT}
    per_class = {score: summary['pooled']['per_class'][score] for score in ('IoU', 'Dice')}
    record['pooled'] = dict(metrics=summary['pooled']['metrics'], per_class=per_class)
    if summary['pooled'].get('intervals'):
        record['pooled']['intervals'] = summary['pooled']['intervals']
    record['commands'] = [fold_command(config, plan, summary)]
    split = f'_split{plan["split_seed"]}' if plan['split_seed'] else ''
    # Without --seed and a seed in the config every fold has its own.
    seed = f'_seed{summary["seed"]}' if isinstance(summary.get('seed'), int) else ''
    name = f'{config.stem}_kfold{plan["num_folds"]}{split}{seed}.json'
    return [write_record(record, Path(folder) / name)]


def fold_command(config: PathLike, plan: dict, summary: dict) -> str:
    """Write the command that repeats a cross validation, from the root of the repository.

    Args:
        config: The file in ``configs/<paper>``.
        plan: Content of ``kfold_plan.json``.
        summary: Content of ``kfold.json``.
    """
    name = Path(*Path(config).resolve().parts[-3:]).as_posix()
    words = ['python', 'tools/kfold.py', name, '--num-folds', plan['num_folds']]
    words += ['--pool', plan['pool']]
    words += ['--split-seed', plan['split_seed']] if plan['split_seed'] else []
    words += [] if plan['seed'] is None else ['--seed', plan['seed']]
    words += [f'--{flag}' for flag in ('stratify', 'amp', 'deterministic') if plan[flag]]
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
