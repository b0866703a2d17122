"""Prepare one run of a table, a row with one seed: its config, options, weights and start."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from mmengine.config import Config

from ..cli.arguments import parse_options
from ..run.config import load_config
from ..run.folder import RunFolder
from ..run.launch import Launch
from ..run.switches import check_switches
from ..userdata.starts import row_start
from .folders import row_folder
from .rows import Row, Table, find_config


@dataclass(frozen=True)
class Settings:
    """How the rows of a table are run.

    Args:
        launch: How the tools are started.
        work_dirs: Folder of all runs.
        seeds: Seeds of the training runs.
        options: ``--cfg-options`` of every row, as typed.
        dataset: File that describes the user's data.
        amp: Use mixed precision.
        deterministic: Use only reproducible algorithms.
        switches: Words of the command line that only the trainings get, from ``switch_words``.
    """

    launch: Launch
    work_dirs: Path
    seeds: tuple[int, ...]
    options: tuple[str, ...] = ()
    dataset: Optional[str] = None
    amp: bool = False
    deterministic: bool = False
    switches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One row with one seed, ready to run.

    Args:
        row: The row.
        seed: Seed of the training.
        cfg: Config of the row with merged options; ``work_dir`` is the folder of this run.
        options: ``--cfg-options`` of the row, then those of the user.
        weights: Folder of another row's training if this row tests that row's weights, else None.
        start: Folder of the run whose last checkpoint this training starts from, or None.
    """

    row: Row
    seed: int
    cfg: Config
    options: tuple[str, ...]
    weights: Optional[RunFolder] = None
    start: Optional[RunFolder] = None

    @property
    def folder(self) -> RunFolder:
        """Return the folder of this run."""
        return RunFolder.of(self.cfg)

    @property
    def title(self) -> str:
        """Return the name of the job for display."""
        return f'{self.row.label}, seed {self.seed}'


def make_job(table: Table, row: Row, seed: int, settings: Settings) -> Job:
    """Load the config of a row as the tools do, and find the runs that it needs. Writes nothing.

    Raises:
        ValueError: If the config, an option or the data set file is wrong, a switch does not fit
            the config, or the row has ``weights_of`` in a table with folds.
        FileNotFoundError: If the data are missing.
    """
    weights = None
    if row.weights_of is not None:
        if table.protocol.folds is not None:
            raise ValueError(f'row {row.label!r}: weights_of does not go with folds')
        source = next(other for other in table.rows if other.label == row.weights_of)
        weights = row_folder(table, source, seed, settings.work_dirs)
    options = all_options(row, settings.options)
    folder = row_folder(table, row, seed, settings.work_dirs)
    cfg = load_row(row, options, dataset=settings.dataset, work_dir=folder)
    if settings.switches:
        with _no_messages():
            check_switches(cfg, settings.switches)
    start = None
    name = None if _names_start(settings.options) else _start_config(table, row, cfg)
    if name is not None:
        start = row_folder(table, Row('', name), seed, settings.work_dirs)
    others = [None if path is None else RunFolder.of(cfg, path) for path in (weights, start)]
    return Job(row, seed, cfg, options, *others)


def _names_start(options: Sequence[str]) -> bool:
    return any(option.startswith('load_from=') for option in options)


def _start_config(table: Table, row: Row, cfg: Config) -> Optional[str]:
    """Return the name of the config whose run this one starts from, if the package has it."""
    start = row_start(cfg, table.dataset)
    if start is None or row.path is None:
        return None
    found = find_config(start.config, row.path.parent.name, row.path.parent.parent)
    return start.config if found else None


def all_options(row: Row, options: Sequence[str]) -> tuple[str, ...]:
    """Return the settings of the row, then those of the user, which override them."""
    return (*(f'{key}={value}' for key, value in row.options.items()), *options)


def load_row(
    row: Row,
    options: Sequence[str] = (),
    *,
    dataset: Optional[str] = None,
    work_dir: Optional[Path] = None,
) -> Config:
    """Load the config of a row with options as typed, on the user's data if given.

    Nothing is logged, because a table loads the config once per row and seed. The log of the row's
    training lists what the options and the user's data changed.
    """
    with _no_messages():
        return load_config(
            str(row.path), options=parse_options(options), work_dir=work_dir, dataset=dataset
        )


@contextlib.contextmanager
def _no_messages() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
