"""Lock the folder of a run, so that no two runs write to it at the same time.

The process that starts a run first takes an exclusive lock, then turns it into a shared one. Its
child processes read in an environment variable that they may share the lock. The system drops a
lock when its process ends. If a table's process dies, the training that it started still holds
the shared lock and keeps other runs out.
"""

import contextlib
import errno
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Optional

from .files import PathLike, sweep

try:
    import fcntl
except ImportError:  # Windows: no such locks
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = '.lock'
_OURS = 'MMSEG_EXT_LOCKED'  # variable: folders that this process or its parent locked
_PATIENCE_S = 2.0  # how long a shared lock is tried for
# errors of file systems that have no locks
_UNABLE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

_held: list[int] = []


def held() -> tuple[int, ...]:
    """File descriptors of the locks that this process holds; its children must inherit them."""
    return tuple(_held)


@contextlib.contextmanager
def locked(folder: PathLike, *, shared: bool = False) -> Iterator[bool]:
    """Keep other runs out of a work folder until the block ends; make the folder if needed.

    A process may lock a folder again that it or its parent has locked. The last process to leave
    removes the lock file. Folders that were made here and are still empty are removed, too.

    Args:
        folder: Work folder of the run.
        shared: Take a shared lock, as a test does: other tests may work in the folder at the same
            time, but no new run may start in it.

    Yields:
        Whether the folder was made here.

    Raises:
        ValueError: If another process has locked the folder.
    """
    folder = Path(folder).absolute()
    made = _make(folder)
    names = os.environ.get(_OURS)
    shared = shared or str(folder) in (names or '').split(os.pathsep)
    stream = None if fcntl is None else _take(folder, shared)
    if stream is not None and not shared:
        sweep(folder)  # safe: nobody else writes here
    os.environ[_OURS] = f'{names or ""}{os.pathsep}{folder}'
    try:
        yield bool(made)
    finally:
        os.environ.pop(_OURS, None)
        if names is not None:
            os.environ[_OURS] = names
        if stream is not None:
            _release(folder, stream, made)


def _make(folder: Path) -> list[Path]:
    """Make a folder; return it and the parents that had to be made, the innermost first."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def _take(folder: Path, shared: bool) -> Optional[IO[Any]]:
    """Lock a folder; return the open lock file, or ``None`` if the file system has no locks."""
    until = time.monotonic() + (_PATIENCE_S if shared else 0)
    while True:
        _make(folder)  # again: a run that failed may just have removed the folder
        stream = (folder / LOCK_FILE).open('a')
        try:
            # first exclusive, so that a second run cannot get in; only then shared
            for kind in [fcntl.LOCK_SH] if shared else [fcntl.LOCK_EX, fcntl.LOCK_SH]:
                fcntl.flock(stream, kind | fcntl.LOCK_NB)
            if _is_there(folder, stream):
                _held.append(stream.fileno())
                return stream
        except OSError as error:
            stream.close()
            if error.errno in _UNABLE:
                warnings.warn(
                    f'{folder} is on a file system without locks ({error.strerror}): see to it '
                    'that no two runs use it'
                )
                return None
            if time.monotonic() >= until:
                raise ValueError(
                    f'{folder} is in use by another process: let it finish, or give another folder'
                ) from error
            time.sleep(0.05)
        stream.close()


def _is_there(folder: Path, stream: IO[Any]) -> bool:
    """Whether the lock file that was opened is still the one in the folder."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), (folder / LOCK_FILE).stat())
    except FileNotFoundError:
        return False


def _release(folder: Path, stream: IO[Any], made: list[Path]) -> None:
    _held.remove(stream.fileno())
    with stream, contextlib.suppress(OSError):  # others share the lock, or a folder is not empty
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_there(folder, stream):
            (folder / LOCK_FILE).unlink()
        for path in made:
            path.rmdir()
