"""One folder, one run: a lock that goes with its process, and is shared with its children.

Who starts a run takes the lock alone, then shares it with its own children only, whom the
environment tells. So a training that outlives the table that started it keeps others out.
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
_OURS = 'MMSEG_EXT_LOCKED'  # folders that this process or its parent holds
_PATIENCE_S = 2.0
_UNABLE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

_held: list[int] = []


def held() -> tuple[int, ...]:
    """File descriptors of the locks, which children keep open."""
    return tuple(_held)


@contextlib.contextmanager
def locked(folder: PathLike, *, shared: bool = False) -> Iterator[bool]:
    """Keep other runs out of a work folder, which is made.

    A process may lock a folder that it or its parent has locked. The lock's file goes when nobody
    needs it any more, and with it a folder that was made here and has got no content.

    Args:
        folder: Of the run.
        shared: Only keep runs from starting: of a test, beside a training or other tests.

    Yields:
        Whether the folder was made here.

    Raises:
        ValueError: If another process has it.
    """
    folder = Path(folder).absolute()
    made = _make(folder)
    names = os.environ.get(_OURS)
    shared = shared or str(folder) in (names or '').split(os.pathsep)
    stream = None if fcntl is None else _take(folder, shared)
    if stream is not None and not shared:
        sweep(folder)  # nobody else writes here
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
    """Make a folder; the folders that were made, the innermost first."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def _take(folder: Path, shared: bool) -> Optional[IO[Any]]:
    """Lock a folder; ``None`` where its file system has no locks."""
    until = time.monotonic() + (_PATIENCE_S if shared else 0)
    while True:
        _make(folder)  # again: a run that failed may just have removed what it had made
        stream = (folder / LOCK_FILE).open('a')
        try:
            # alone first, and only then shared: a second run must not get in
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
    """Whether a locked file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), (folder / LOCK_FILE).stat())
    except FileNotFoundError:
        return False


def _release(folder: Path, stream: IO[Any], made: list[Path]) -> None:
    _held.remove(stream.fileno())
    with stream, contextlib.suppress(OSError):  # others share it, or the folder is not empty
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_there(folder, stream):
            (folder / LOCK_FILE).unlink()
        for path in made:
            path.rmdir()
