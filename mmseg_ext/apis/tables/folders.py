"""The names of the run folders of tables, and the search for their tested runs."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Optional, Union

from ...core.files import PathLike
from ..run.folder import RunFolder
from .rows import Row, Table


def run_folder(
    row: Row,
    seed: Union[int, str],
    work_dirs: PathLike,
    *,
    folds: Optional[int] = None,
    dataset: Optional[str] = None,
) -> Path:
    """Return the folder of a row's run: ``<config>[-<data set>][_kfold<K>]_seed<seed>``.

    Args:
        row: A row with a config.
        seed: Seed of the training; ``'*'`` gives a pattern.
        work_dirs: Folder of all runs.
        folds: Number K of folds of a cross validation. The folds are in its subfolders ``fold0``,
            ``fold1``, ...
        dataset: Name of the user's data set.
    """
    name = f'{row.run_name}-{dataset}' if dataset else row.run_name
    split = f'_kfold{folds}' if folds else ''
    return Path(work_dirs) / f'{name}{split}_seed{seed}'


def find_runs(table: Table, work_dirs: PathLike, *, seeds: Optional[Sequence[int]] = None) -> Table:
    """Find the tested runs of a table. Writes nothing.

    Args:
        table: From :func:`read_tables`.
        work_dirs: Folder of all runs.
        seeds: Seeds to look for; default: the seeds of all existing folders.

    Returns:
        The table with the ``runs`` of each row.
    """
    rows = []
    for row in table.rows:
        runs: list[Path] = []
        if row.config:
            for folder in _seed_folders(table, row, work_dirs, seeds):
                runs += _tested(RunFolder(folder), folds=bool(table.protocol.folds))
        rows.append(replace(row, runs=tuple(runs)))
    return replace(table, rows=tuple(rows))


def _tested(folder: RunFolder, *, folds: bool) -> list[Path]:
    if folds:
        return [fold.path for fold in folder.tested_folds()]
    return [folder.path] if folder.results_file().is_file() else []


def row_folder(table: Table, row: Row, seed: Union[int, str], work_dirs: PathLike) -> Path:
    """Return the :func:`run_folder` of a row with the settings of its table."""
    return run_folder(row, seed, work_dirs, folds=table.protocol.folds, dataset=table.dataset)


def _seed_folders(
    table: Table, row: Row, work_dirs: PathLike, seeds: Optional[Sequence[int]]
) -> list[Path]:
    if seeds is not None:
        return [row_folder(table, row, seed, work_dirs) for seed in seeds]
    pattern = row_folder(table, row, '*', work_dirs)
    start = pattern.name.removesuffix('*')
    found = [path for path in pattern.parent.glob(pattern.name)
             if path.name.removeprefix(start).isdigit()]  # fmt: skip
    return sorted(found, key=_by_number)


def _by_number(path: Path) -> int:
    return int(re.findall(r'\d+', path.name)[-1])
