"""Lock the folder of a training or a test, and clean up after a run that fails at its start.

Nothing is written before the folder is locked, so every file that appears later is from this run.
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

# The environment variable in which each launcher gives the rank of a process. It is read here
# because mmengine starts its process group later.
_RANKS = {'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}


class Traces:
    """Removes what a run wrote if it fails before its first training step or result.

    Args:
        dumped: Name of the file to which the Runner writes the config.
        folders: Each folder that the run writes to, and whether this run made it. A folder that
            was there before loses only what the Runner adds to it: a folder named by the time, and
            the dumped config. If that file was there before, it gets its old content back.
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
                with contextlib.suppress(OSError):  # the lock file is in it: unlocking removes both
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
    """Lock a run's work folder, handle signals, and clean up if the run fails at its start.

    If there are several processes, the first one locks and cleans up for all.

    Args:
        cfg: Config of the run; its ``work_dir`` is locked.
        others: Other folders that the run writes to.
        shared: Whether a training or other tests may already run in the folder.
        dumped: Name of the file to which the Runner writes the config; by default the config's own
            name.

    Yields:
        The traces of the run. Set their ``keep`` to true as soon as the run must not be removed.

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
    """Say whether this process is the launcher's first one, or the only one."""
    return launcher == 'none' or os.environ.get(_RANKS.get(launcher, 'RANK'), '0') == '0'


def _entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _close_logs(folder: Path) -> None:
    """Close the log files inside a folder that is about to be cleaned."""
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            if (
                isinstance(handler, logging.FileHandler)
                and folder.resolve() in Path(handler.baseFilename).resolve().parents
            ):
                handler.close()
                logger.removeHandler(handler)
