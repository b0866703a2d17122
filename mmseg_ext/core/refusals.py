"""Explain in one line what the system refused: which file, why, and what the user can do.

Examples are a full disk, a read-only file system, a used-up quota and a name that is too long.
"""

import errno
import io
import os
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

_TEXTS = {
    'ENOSPC': 'free some space there, or write to another disk',
    'EDQUOT': 'your share of this disk is used up: remove files, or write to another disk',
    'EROFS': 'nothing can be written there: write to another folder',
    'EFBIG': 'files may not be so large here (see ulimit -f): raise the limit',
    'EIO': 'the disk or the network does not answer: look after it (dmesg), then run again',
    'ESTALE': 'the network file system has lost the file: mount it again, then run again',
    'ENAMETOOLONG': 'the name is too long: give a shorter one',
    'EACCES': 'see its rights (ls -l), or write to another folder',
    'EPERM': 'see its rights (ls -l, lsattr), or write to another folder',
    'EMFILE': 'too many files are open: raise ulimit -n',
    'ENFILE': 'too many files are open on this machine',
    'EISDIR': 'it is a folder: name a file',
    'ENOTDIR': 'a part of the path is a file: name a folder',
    'ELOOP': 'its symbolic links lead in a circle',
    'EEXIST': 'it is there already: give another name',
}
_REMEDIES = {getattr(errno, name, -1): text for name, text in _TEXTS.items()}
# These are bugs of the program, which no user can mend.
_MISTAKES = (errno.EBADF, errno.EFAULT, errno.ECHILD, errno.ESRCH)
_OF_THE_DISK = {
    getattr(errno, name, -1) for name in ('ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'ESTALE', 'EMFILE')
}
# Parts of the messages of torch when it cannot write. They lack the system's reason.
_OF_TORCH = ('PytorchStreamWriter failed', 'inline_container.cc', 'basic_ios::clear')


def is_refused_write(error: BaseException) -> bool:
    """Whether an error is torch's ``RuntimeError`` for a file that it could not write."""
    return isinstance(error, RuntimeError) and any(part in str(error) for part in _OF_TORCH)


def is_mistake(error: BaseException) -> bool:
    """Whether an error of the system shows a bug of the program, which no user can mend."""
    return isinstance(error, OSError) and error.errno in _MISTAKES


def is_of_the_disk(error: BaseException) -> bool:
    """Whether an error concerns the whole disk or process, and not only this one file."""
    return isinstance(error, OSError) and error.errno in _OF_THE_DISK


def as_refusal(error: BaseException, path: Optional[Path] = None) -> BaseException:
    """Add the file's name and the system's reason to an error, if the system refused something.

    Args:
        error: Any error. If it is no refusal of the system, it is returned as it is.
        path: The file that was written to, if known.

    Returns:
        An ``OSError`` with number, reason and file name, or ``error`` itself.
    """
    if is_refused_write(error):
        path = path or _file_of(error.__traceback__)
        number = _reason(path) if path is not None else errno.EIO
        return OSError(number, os.strerror(number), str(path or '')).with_traceback(
            error.__traceback__
        )
    if not isinstance(error, OSError) or error.errno is None:
        return error
    unfinished = str(error.filename or '').endswith('.part')  # a name that the user does not know
    if error.filename and not (unfinished and path):
        return error
    path = path or _file_of(error.__traceback__)
    named = OSError(error.errno, error.strerror, str(path)) if path else error
    return named.with_traceback(error.__traceback__)


def describe(error: OSError) -> str:
    """Say in one line what the system refused: the file, the reason, the remedy."""
    reason = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0, '')
    name = error.filename if isinstance(error.filename, (str, os.PathLike)) else ''
    if isinstance(error.filename, bytes):
        name = os.fsdecode(error.filename)
    return ': '.join(part for part in (str(name), reason, remedy) if part)


def _reason(path: Path) -> int:
    """Find out why a file could not be written, by writing into its folder."""
    probe = path.with_name(f'.{os.getpid()}.probe')
    try:
        size = path.stat().st_size if path.exists() else 0
        with probe.open('wb') as stream:
            stream.seek(size)
            stream.write(bytes(1 << 20))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        return error.errno or errno.EIO
    finally:
        probe.unlink(missing_ok=True)
    return errno.EIO


def _file_of(trace: Optional[TracebackType]) -> Optional[Path]:
    """Find the file that was open for writing where an error arose; a failed write names none."""
    for frame, _ in reversed(list(traceback.walk_tb(trace))):
        names = [_name_of(value) for value in list(frame.f_locals.values())]
        if frame.f_code.co_filename.endswith('serialization.py'):  # torch opens it out of sight
            names.append(frame.f_locals.get('f'))
        for name in names:
            if isinstance(name, (str, os.PathLike)):
                return Path(name)
    return None


def _name_of(value: Any) -> Optional[str]:
    """Name of a file object that is open for writing, else ``None``."""
    if not isinstance(value, io.IOBase):
        return None
    try:
        name = getattr(value, 'name', None)
        return name if isinstance(name, str) and name[:1] != '<' and value.writable() else None
    except ValueError:  # closed in the meantime: its buffer could not be written
        return name if isinstance(name, str) and name[:1] != '<' else None
