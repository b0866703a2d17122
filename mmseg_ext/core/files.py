"""Write files so that a crash of the process or the machine never leaves half a file.

New content is written to a file beside the old one, flushed to the disk, and then renamed to
replace the old file in one step.
"""

import contextlib
import csv
import json
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Union

from .refusals import as_refusal

PathLike = Union[str, Path]

# What is unfinished; of a video with the ending of its container. Folders that were replaced by
# half, which end with -old, are nobody's to remove.
_LEFT = re.compile(r'\.(?P<name>.+)\.(?P<process>\d+)\.part(\.\w+)?', re.DOTALL)


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """Yield a path to write to; when the block ends, that file replaces ``path`` in one step.

    The folder is made. If the block raises, ``path`` stays as it was and the unfinished file is
    removed.

    Args:
        path: File to replace or create.

    Yields:
        A path in the same folder that no other process uses.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _unfinished(path)
    try:
        yield unfinished
        _flush(unfinished)
        os.replace(unfinished, path)
    except BaseException as error:
        named = as_refusal(error, path)  # before the unfinished file is removed, which frees space
        with contextlib.suppress(OSError):
            unfinished.unlink()
        if named is not error:
            raise named from error
        raise
    _flush(path.parent)  # the new name, too, must survive a crash of the machine


def _unfinished(path: Path) -> Path:
    """Name what is written before it is renamed to ``path``."""
    return path.with_name(f'.{_cut(path.name)}.{os.getpid()}.part')


def _cut(name: str) -> str:
    """Cut a name: the longest that the file system allows leaves no room for an ending."""
    return name.encode(errors='surrogateescape')[:200].decode(errors='ignore')


@contextlib.contextmanager
def replacing_folder(path: PathLike) -> Iterator[Path]:
    """Yield an empty folder to fill; when the block ends, it replaces the folder ``path``.

    If the block raises, ``path`` stays as it was and the unfinished folder is removed.

    Args:
        path: Folder to replace or create; its parent folder is made.

    Yields:
        An empty folder beside ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _unfinished(path)
    shutil.rmtree(unfinished, ignore_errors=True)  # of an earlier process of the same number
    unfinished.mkdir()
    old = unfinished.with_name(f'{unfinished.name}-old')
    try:
        yield unfinished
        if path.exists():
            path.rename(old)
        try:
            unfinished.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    if path.is_dir() and os.name == 'nt':  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if path.is_file():  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(handle)


def write_bytes(path: PathLike, content: bytes) -> Path:
    """Write a file whole or not at all, and make its folder."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)
    return Path(path)


def write_lines(path: PathLike, lines: Iterable[str]) -> Path:
    """Write a text file whole or not at all; names in another encoding keep their bytes."""
    text = ''.join(f'{line}\n' for line in lines)
    return write_bytes(path, text.encode(errors='surrogateescape'))


def write_csv(path: PathLike, head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a CSV file row by row, whole or not at all; ``None`` is an empty cell."""
    with replacing(path) as unfinished:
        options: dict = dict(encoding='utf-8', errors='surrogateescape', newline='')
        with unfinished.open('w', **options) as stream:
            table = csv.writer(stream, lineterminator='\n')
            table.writerow(head)
            table.writerows(rows)
    return Path(path)


def write_json(path: PathLike, data: Any, **options: Any) -> Path:
    """Write plain data as JSON, whole or not at all.

    Args:
        path: File to write.
        data: Dicts, lists, text, numbers.
        options: Arguments of ``json.dumps``, such as ``ensure_ascii=False`` for a file that people
            read.

    Raises:
        ValueError: If the data hold NaN or an infinity, which JSON does not know.
    """
    text = json.dumps(data, indent=1, allow_nan=False, **options)
    return write_bytes(path, f'{text}\n'.encode())


def short_path(path: object) -> Path:
    """Shorten a path below the current folder to what a user would type; leave others as given."""
    relative = os.path.relpath(str(path))
    return Path(str(path) if relative.startswith('..') else relative)


def path_below(path: PathLike, folder: PathLike) -> str:
    """Make a path relative to a folder, with ``/`` on every system, as it is stored in files."""
    return os.path.relpath(path, folder).replace(os.sep, '/')


def name_below(path: PathLike, folders: Iterable[PathLike]) -> str:
    """Make a path relative to the first of the folders that it is in, or else to its own."""
    names = (path_below(path, folder) for folder in folders)
    return next((name for name in names if not name.startswith('../')), Path(path).name)


def stem_below(path: PathLike, folder: PathLike, suffixes: Union[str, Sequence[str]]) -> str:
    """As :func:`path_below`, without the first of ``suffixes`` that fits; case is ignored."""
    name = path_below(path, folder)
    every = (suffixes,) if isinstance(suffixes, str) else suffixes
    ending = next((suffix for suffix in every if name.lower().endswith(suffix.lower())), '')
    return name[: len(name) - len(ending)]


def read_json(path: PathLike) -> Any:
    """Read a JSON file that a run has written; each of these holds an object with named values.

    Raises:
        ValueError: If the file is damaged or holds no object; the message names the file.
    """
    try:
        text = Path(path).read_text(encoding='utf-8')
        content = json.loads(text, parse_float=_finite, parse_constant=_finite)
        if not isinstance(content, dict):
            raise ValueError('it holds no names')
        return content
    except (ValueError, RecursionError) as error:  # the decoder does not know the file's name
        raise ValueError(f'{path} is damaged ({error}): remove it and run again') from error


def read_foreign_json(path: PathLike) -> Any:
    """Read a JSON file that we did not write, in UTF-8 or 16; ``None`` if it is no JSON."""
    try:
        return json.loads(Path(path).read_bytes())
    except (ValueError, OSError, RecursionError):
        return None


def _finite(text: str) -> float:
    """Read a number, but no NaN or infinity: these are no JSON and could not be written again."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f'{text} is no number')
    return value


def sweep(folder: PathLike) -> None:
    """Remove unfinished files of processes that no longer run; the caller must own the folder."""
    for path in Path(folder).glob('.*.part'):
        number = path.name.split('.')[-2]
        if number.isdigit() and not _is_running(int(number)):
            _remove(path)


def sweep_outputs(outputs: Iterable[PathLike]) -> None:
    """Remove what killed processes left unfinished of files and folders that are written now.

    Others' are left alone: a process on another machine may write into the same folder.

    Args:
        outputs: Paths; what has the same name with any suffix counts, too.
    """
    wanted: dict[Path, set[str]] = {}
    for path in map(Path, outputs):
        wanted.setdefault(path.parent, set()).add(_cut(path.name))
    for folder, names in wanted.items():
        for path in folder.glob('.*.part*'):
            found = _LEFT.fullmatch(path.name)
            known = found and (found['name'] in names or Path(found['name']).stem in names)
            if found and known and not _is_running(int(found['process'])):
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether another process with this id runs; on Windows always true.

    This process's own id does not count: an earlier process that had the same id left the file.
    """
    if os.name == 'nt' or process == os.getpid():
        return os.name == 'nt'
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs under another user
        return True
    with contextlib.suppress(OSError):  # Linux: Z, it has ended but was not waited for
        return Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    return True


def placed(path: PathLike) -> Path:
    """Return the absolute path of a file, without ``..`` on it."""
    path = Path(path).absolute()
    return path.parent.resolve() / path.name if '..' in path.parts else path


def output_names(images: Sequence[Path]) -> list[Path]:
    """Name the output of each image: its path below their common folder, without the suffix.

    If two names would be the same (``a.jpg`` and ``a.png``), both keep their suffix. A third image
    whose name is then taken (``a.jpg.png``) keeps its suffix, too.
    """
    if not images:
        return []
    places = [placed(path) for path in images]
    root = os.path.commonpath([place.parent for place in places])
    whole = [Path(os.path.relpath(place, root)) for place in places]
    names = [path.with_suffix('') for path in whole]
    while True:
        times = Counter(names)
        longer = [name if times[name] == 1 else path for name, path in zip(names, whole)]
        if longer == names:
            return names
        names = longer
