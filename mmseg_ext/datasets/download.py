"""Download of a data set: resumable transfer, checksum, and unpacking inside one folder only.

Nothing has its final name before it is complete: the archive is downloaded as ``.part``, and the
folder is unpacked in a temporary folder beside its final place.
"""

import bz2
import gzip
import hashlib
import http.client
import lzma
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ..core.progress import Line, track

_CHUNK = 1 << 20
_MEGA = 10**6  # bytes
_TIMEOUT_S = 60
_LONGEST = 1 << 24  # largest number of bytes to read at once
_FOLD = 100  # images never compress by this factor
_UNSUSPECTED = 64 << 20  # bytes
_BROKEN = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


@dataclass(frozen=True)
class Archive:
    """A tar file with a data set in it.

    Attributes:
        url: Address of the file.
        md5: MD5 checksum, hexadecimal.
        inner: The folder in the archive to unpack; it gets this path below the data folder.
        holds: Paths below ``inner`` that must exist.
    """

    url: str
    md5: str
    inner: str
    holds: tuple[str, ...]


ARCHIVES = {
    # The checksum is that of torchvision (datasets/voc.py) for this file.
    'voc2012': Archive(
        url='http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar',
        md5='6cd6e144f989b92b3379bac3b3de84fd',
        inner='VOCdevkit/VOC2012',
        holds=(
            'JPEGImages',
            'SegmentationClass',
            'ImageSets/Segmentation/train.txt',
            'ImageSets/Segmentation/val.txt',
            'ImageSets/Segmentation/trainval.txt',
        ),
    )
}


def fetch_dataset(
    archive: Archive, out: str, *, keep_archive: bool = False, progress: bool = True
) -> tuple[str, bool]:
    """Download, verify and unpack a data set, unless it is there already.

    Args:
        archive: What to fetch.
        out: The data folder.
        keep_archive: Keep the tar file in ``out``.
        progress: Whether to show progress bars.

    Returns:
        The folder of the data set, and whether it was downloaded now.

    Raises:
        OSError: If the download fails; the part that arrived stays for the next attempt.
        ValueError: If the checksum is wrong, or the archive has other or unsafe contents.
        FileExistsError: If an incomplete or foreign folder is in the way.
    """
    root = Path(out)
    target = root / archive.inner
    if target.exists():
        missing = [name for name in archive.holds if not (target / name).exists()]
        if missing:
            raise FileExistsError(
                f'{target} exists, but holds no {missing[0]}: move it away and run this again'
            )
        return str(target), False
    root.mkdir(parents=True, exist_ok=True)
    path = root / archive.url.rsplit('/', 1)[-1]
    if not path.exists():
        download(archive.url, path, progress=progress)
    verify(path, archive.md5)
    unpack(path, root, inner=archive.inner, holds=archive.holds, progress=progress)
    if not keep_archive:
        path.unlink()
    return str(target), True


def download(url: str, path: Path, *, attempts: int = 5, progress: bool = True) -> None:
    """Download to ``path``; continue where an earlier attempt stopped.

    Args:
        url: ``http`` or ``https``.
        path: The file to write; it is ``<path>.part`` until it is complete.
        attempts: How often in a row a connection may end without a new byte.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If the URL has another scheme.
        OSError: If the download cannot be completed now.
    """
    if not url.startswith(('http://', 'https://')):
        raise ValueError(f'{url}: only http and https addresses can be fetched')
    part = Path(f'{path}.part')
    failures, reason = 0, ''
    while failures < attempts:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _continue(url, part, before, progress):
                os.replace(part, path)
                return
            reason = 'the connection ended early'
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:  # a retry would not help
                raise OSError(f'{url}: the server answers {error.code} {error.reason}') from error
            reason = f'the server answers {error.code} {error.reason}'
        except _BROKEN as error:
            reason = str(error)
        came = part.exists() and part.stat().st_size > before
        failures = 0 if came else failures + 1
    size = part.stat().st_size if part.exists() else 0
    raise OSError(
        f'{url}: {reason}; {size} bytes are kept in {part}: run the same command again to go on, '
        'or give a mirror with --url'
    )


def _continue(url: str, part: Path, start: int, progress: bool) -> bool:
    """Append the missing bytes; return whether the file is complete."""
    request = urllib.request.Request(url, headers={'Range': f'bytes={start}-'} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # Nothing is left to send, or the file on the server differs: its stated length decides.
        stated = error.headers.get('Content-Range', '').rpartition('/')[2]
        if stated == str(start):
            return True
        part.unlink()
        return False
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            start = 0  # the server ignores the range and sends everything
        total = _total(response, start)
        _append(response, part, start, total, progress)
    return total is None or part.stat().st_size == total


def _total(response: http.client.HTTPResponse, start: int) -> Optional[int]:
    length = response.headers.get('Content-Length')
    return None if length is None else start + int(length)


def _append(
    response: http.client.HTTPResponse,
    part: Path,
    start: int,
    total: Optional[int],
    progress: bool,
) -> None:
    size = None if total is None else -(-total // _MEGA)
    bar = Line(part.stem, size, done=start / _MEGA, unit='MB', elsewhere=True, show=progress)
    with bar, open(part, 'ab' if start else 'wb') as file:
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.step(len(chunk) / _MEGA)


def verify(path: Path, md5: str) -> None:
    """Raise a ``ValueError`` and remove the file if its MD5 differs.

    MD5 only detects a broken transfer, not an attack, so unpacking trusts nothing.
    """
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != md5.lower():
        size = path.stat().st_size
        path.unlink()
        raise ValueError(
            f'{path}: the MD5 of its {size} bytes is {digest.hexdigest()}, expected {md5}: the '
            'file was damaged or is another one, and was removed; run the command again, or '
            'check --url'
        )


def unpack(
    path: Path, out: Path, *, inner: str, holds: tuple[str, ...] = (), progress: bool = True
) -> None:
    """Unpack ``inner`` of a tar file to ``out/inner``, completely or not at all.

    Only plain files and folders are accepted. Devices and paths that lead outside are errors, and
    so are links, through which a member could be written outside of the folder.

    Raises:
        ValueError: If the archive is damaged or unsafe, or lacks an expected path.
        OSError: If the disk is full.
    """
    target = Path(out) / inner
    with tempfile.TemporaryDirectory('', '.unpack-', out, ignore_cleanup_errors=True) as work:
        unpacked = Path(work, inner)
        _extract(path, Path(work), progress)
        missing = [part for part in ('', *holds) if not (unpacked / part).exists()]
        if missing:
            raise ValueError(f'{path}: holds no {inner}/{missing[0]}: it is another archive')
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(unpacked, target)


_OPENERS = {b'\x1f\x8b': gzip.open, b'BZh': bz2.open, b'\xfd7zXZ': lzma.open}
_DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class _Bounded:
    """A stream that limits the size of a read, as tarfile reads a header of any length at once."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.seek, self.tell = stream, stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST:
            raise tarfile.ReadError(f'a header of {size} bytes')
        return self.stream.read(size)


def _extract(path: Path, work: Path, progress: bool) -> None:
    with open(path, 'rb') as file:
        start = file.read(6)
    opener: Any = next((o for magic, o in _OPENERS.items() if start.startswith(magic)), open)
    limit = max(_UNSUSPECTED, _FOLD * path.stat().st_size)
    free = shutil.disk_usage(work).free
    try:
        with opener(path, 'rb') as stream:
            bounded: Any = _Bounded(stream)
            tar = tarfile.open(fileobj=bounded, mode='r:')
            needed, members = 0, []
            for member in tar:
                needed += member.size
                if needed > limit:
                    raise tarfile.ReadError(f'it unfolds to more than {_FOLD} times its size')
                if needed > free:
                    raise OSError(f'{path}: needs {needed} bytes or more, {work.parent} has {free}')
                members.append((_place(member), member))
            for place, member in track(members, 'unpack', unit='files', show=progress):
                _write(tar, member, work / place)
    except _DAMAGED as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f'{path}: not unpacked, it is no whole tar file ({first})') from error


def _place(member: tarfile.TarInfo) -> str:
    """Return the path of a member below the folder; an absolute path is made relative."""
    name = member.name.lstrip('/')
    if not (member.isreg() or member.isdir()):
        raise tarfile.ReadError(f'{member.name!r} is a link or a device')
    if '..' in name.split('/') or '\0' in name or '\\' in name or ':' in name.split('/')[0]:
        raise tarfile.ReadError(f'{member.name!r} would land outside')
    return name


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None  # true for a plain file
    with source, open(target, 'wb') as file:
        shutil.copyfileobj(source, file)
