"""What surrounds a training or a test: the lock of its folder, and its traces if it fails at once.

Nothing is written before the folder is locked, so what has come since then is of this run.
"""

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Optional

from mmengine.config import Config
from mmengine.logging import MMLogger

from ...core import signals
from ...core.files import write_bytes
from ...core.locks import LOCK_FILE, locked

# Where a launcher says which of its processes this is; mmengine's group starts later.
_RANKS = {'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}


class Traces:
    """Removes what a run wrote if it fails before its first training step or result.

    Args:
        dumped: Name of the file to which the Runner writes the config.
        folders: Where the run writes, and whether that folder was made for it; others lose only
            what the Runner itself adds: a folder named by the time and the dumped config, which
            becomes again what it was.
    """

    def __init__(self, dumped: str, folders: dict[Path, bool]) -> None:
        self.dumped = dumped
        self.folders = folders
        self.before = {folder: _entries(folder) for folder in folders}
        configs = [folder / self.dumped for folder in folders]
        self.configs = {path: path.read_bytes() for path in configs if path.is_file()}
        self.keep = False

    def __enter__(self) -> 'Traces':
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None or self.keep or (isinstance(error, signals.Stopped) and error.kept):
            return
        for path, content in self.configs.items():
            write_bytes(path, content)
        for folder, made in self.folders.items():
            _close_logs(folder)
            for name in _entries(folder) - self.before[folder] - {LOCK_FILE}:
                self._remove(folder / name, made)
            if made:
                with contextlib.suppress(OSError):  # locked: the folder goes with the lock
                    folder.rmdir()

    def _remove(self, path: Path, made: bool) -> None:
        if path.is_dir() and (made or re.fullmatch(r'\d{8}_\d{6}', path.name)):
            shutil.rmtree(path, ignore_errors=True)
        elif made or path.name == self.dumped:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def guarded(
    cfg: Config, *others: Optional[str], shared: bool = False, dumped: Optional[str] = None
) -> Iterator[Traces]:
    """Lock a run's work folder, end when asked to, and leave nothing of a false start.

    Of several processes the first locks and removes for all.

    Args:
        cfg: Of the run; its ``work_dir`` is locked.
        others: Other folders that it writes to.
        shared: Whether trainings and tests may be going on in it.
        dumped: Name of the file to which the Runner writes the config; its own without.

    Yields:
        Set its ``keep`` once there is something worth keeping.

    Raises:
        ValueError: If another process uses the folder.
    """
    dumped = dumped or Path(cfg.filename or 'config.py').name
    with contextlib.ExitStack() as stack:
        stack.enter_context(signals.handled())
        stack.callback(signals.wait_for_step, False)
        if not is_first(cfg.get('launcher', 'none')):
            yield Traces(dumped, {})
            return
        made = stack.enter_context(locked(cfg.work_dir, shared=shared))
        folders = {Path(folder): not Path(folder).is_dir() for folder in others if folder}
        yield stack.enter_context(Traces(dumped, {**folders, Path(cfg.work_dir): made}))


def is_first(launcher: str) -> bool:
    """Whether this is the first of a launcher's processes, or the only one."""
    return launcher == 'none' or os.environ.get(_RANKS.get(launcher, 'RANK'), '0') == '0'


def _entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _close_logs(folder: Path) -> None:
    """Close the log files inside a folder that is about to go."""
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            if (
                isinstance(handler, logging.FileHandler)
                and folder.resolve() in Path(handler.baseFilename).resolve().parents
            ):
                handler.close()
                logger.removeHandler(handler)
