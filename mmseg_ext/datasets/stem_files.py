"""The files of a folder by their stems, in a few bytes for each: a data set may have millions."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Union

import numpy as np

_PIECE = 4096  # names at a time: those of a whole folder, as text, would take most of the memory
# Folders of copies and thumbnails that macOS, network drives and Windows leave behind.
_SYSTEM = ('__MACOSX', '@eaDir', '$RECYCLE.BIN', 'System Volume Information', 'lost+found')


class StemFiles(Mapping[str, str]):
    """Stem -> file, sorted by stem; a file takes as many bytes as the longest stem has.

    The stem is the path below ``folder`` without suffix. Hidden files are left out. Broken links
    and pipes are included; reading them reports the error.

    Args:
        folder: Folder to search, including subfolders.
        suffixes: Suffixes in lower case; files may also have them in upper case.

    Raises:
        ValueError: If two files have the same stem.
        PermissionError: If a folder may not be read.
    """

    def __init__(self, folder: Union[str, Path], suffixes: Sequence[str]) -> None:
        self._home = str(Path(folder))
        self._top = os.path.join(self._home, '')
        known: dict[str, int] = {}  # ending as in the name of the file -> its number
        stems, numbers = [np.zeros(0, 'S1')], [np.zeros(0, np.int32)]
        for place, names in _walk(self._home):
            found = list(self._split(place, names, suffixes))
            if found:
                stems.append(np.array([as_bytes(stem) for stem, _ in found]))
                numbers.append(
                    np.array(
                        [known.setdefault(ending, len(known)) for _, ending in found], np.int32
                    )
                )
        self._endings = list(known)
        self._stems = _joined(stems)
        self._numbers = _joined(numbers)
        self._sort()

    def _split(
        self, place: str, names: list[str], suffixes: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        """Yield stem and ending of the names with one of the suffixes."""
        top, start = os.path.join(place, ''), len(self._top)
        for name in names:
            path = top + name
            low = path.lower()
            size = next((len(s) for s in suffixes if low.endswith(s)), 0)
            if size and not name.startswith('.'):
                yield path[start:-size].replace(os.sep, '/'), path[-size:]

    def _sort(self) -> None:
        if len(self._endings) < 2:  # in place, and nothing can be there twice
            self._stems.sort()
            return
        order = np.argsort(self._stems, kind='stable')
        self._stems, self._numbers = self._stems[order], self._numbers[order]
        twice = np.flatnonzero(self._stems[1:] == self._stems[:-1])
        if len(twice):
            files = [sorted(map(self.file_at, (i, i + 1)), key=self._parts) for i in twice.tolist()]
            first, second = min(files, key=lambda pair: self._parts(pair[1]))
            raise ValueError(
                f'{first} and {second} have the same stem: remove one, or narrow the suffixes'
            )

    def _parts(self, path: str) -> list[str]:
        below = path if self._home == os.curdir else path[len(self._top) :]
        return below.split(os.sep)

    def __len__(self) -> int:
        return len(self._stems)

    def __iter__(self) -> Iterator[str]:
        return map(self.stem_at, range(len(self)))

    def __getitem__(self, stem: str) -> str:
        place = int(self.places([stem])[0])
        if place < 0:
            raise KeyError(stem)
        return self.file_at(place)

    def stem_at(self, place: int) -> str:
        """Return a stem by its place in the order."""
        return as_text(self._stems[place])

    def file_at(self, place: int) -> str:
        """Return the path of a file by the place of its stem."""
        ending = self._endings[self._numbers[place]]
        top = '' if self._home == os.curdir else self._top
        return top + self.stem_at(place).replace('/', os.sep) + ending

    def places(self, stems: Sequence[str]) -> np.ndarray:
        """Find many stems at once: int64 ``(n,)``, -1 for those that are not there."""
        found = np.full(len(stems), -1, np.int64)
        for start in range(0, len(stems) if len(self) else 0, _PIECE):
            keys = [as_bytes(stem) for stem in stems[start : start + _PIECE]]
            fits = np.array([len(key) <= self._stems.itemsize for key in keys])
            wanted = np.array(keys, self._stems.dtype)  # another type would copy all stems
            at = np.searchsorted(self._stems, wanted)
            at[at == len(self)] = 0
            there = fits & (self._stems[at] == wanted)
            found[start : start + len(keys)][there] = at[there]
        return found

    def absent_from(self, other: 'StemFiles') -> list[str]:
        """Return the stems that others do not have, sorted."""
        absent: list[str] = []
        for start in range(0, len(self), _PIECE):
            some = [self.stem_at(p) for p in range(start, min(start + _PIECE, len(self)))]
            absent += itertools.compress(some, (other.places(some) < 0).tolist())
        return absent

    def by_path(self) -> dict[str, str]:
        """Return a plain dict in the order of the paths, folder by folder."""
        return dict(sorted(self.items(), key=lambda pair: self._parts(pair[1])))


def as_bytes(text: str) -> bytes:
    """Encode a name of a file, of any bytes, so that bytes sort as text does."""
    return text.encode('utf-8', 'surrogatepass')


def as_text(name: Union[bytes, bytearray]) -> str:
    """Undo :func:`as_bytes`."""
    return name.decode('utf-8', 'surrogatepass')


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    whole = np.concatenate(pieces)
    pieces.clear()
    return whole


def files_by_stem(folder: Union[str, Path], suffixes: Sequence[str]) -> dict[str, str]:
    """Map stems to files as :class:`StemFiles` does, in the order of the paths."""
    return StemFiles(folder, suffixes).by_path()


def walk_files(folder: Union[str, Path]) -> Iterator[Path]:
    """Yield all files below a folder, also in linked folders but not in hidden ones.

    Folders that operating systems make (``__MACOSX``, ``@eaDir``) are left out, too. A link to a
    folder that contains the link is not followed.

    Raises:
        PermissionError: If a folder may not be read: its files would be missing without a word.
    """
    for place, pieces in itertools.groupby(_walk(str(folder)), itemgetter(0)):
        names = sorted(name for _, piece in pieces for name in piece)
        yield from (Path(place, name) for name in names)


def _walk(place: str, above: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder with some of its files at a time, in no order; see :func:`walk_files`."""
    above = above or frozenset({os.path.realpath(place)})  # it and its parents
    folders: list[str] = []
    names: list[str] = []
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                (folders if _is_folder(entry) else names).append(entry.name)
                if len(names) == _PIECE:
                    yield place, names
                    names = []
    except PermissionError as error:
        raise PermissionError(
            f'{error.filename}: this folder may not be read: allow it, or move it away'
        ) from error
    except OSError:  # no such folder: no files
        return
    yield place, names
    for name in sorted(folders):
        inner = os.path.join(place, name)
        real = os.path.realpath(inner)
        if not (name.startswith('.') or name in _SYSTEM or real in above):
            yield from _walk(inner, above | {real})


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a broken link
        return False
