"""Masks as tiled TIFF files, which keep where on earth the image of a GeoTIFF lies.

Source: the GeoTIFF standard, https://docs.ogc.org/is/19-008r4/19-008r4.html. The coordinate
reference system and the transform are tags of the file, which are copied as they are, so that no
library of geography is needed. The value that marks missing pixels of the image is not copied: in
a mask it would be a class.
Shape letters: H row, W column.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Optional, Union

import numpy as np

from ...core.tiff import read_tags

_SIDE = 512  # of a tile
_SCALE, _TIE, _MATRIX, _KEYS = 33550, 33922, 34264, 34735
_TAGS = (_SCALE, _TIE, _MATRIX, _KEYS, 34736, 34737)
_UNITS, _METRE = 3076, 9001  # of a projection: the key and the value
_BIG = 1 << 31  # bytes; beyond, offsets of TIFF files have 64 bits

Tag = tuple[int, Any, int, Any, bool]  # code, type, count, value, written once


def tags_of(path: Path) -> list[Tag]:
    """Return the tags of an image that say where it lies; none if its file is no GeoTIFF."""
    if path.suffix.lower() not in ('.tif', '.tiff') or not path.is_file():
        return []
    return [(*tag, True) for tag in read_tags(path, _TAGS)]


def square_metres(tags: Sequence[Tag]) -> Optional[float]:
    """Return the area of a pixel; ``None`` if the tags do not say it in metres."""
    values = {tag[0]: tag[3] for tag in tags}
    keys = [int(number) for number in values.get(_KEYS, ())]
    entries = {keys[i]: keys[i + 1 : i + 4] for i in range(4, len(keys) - 3, 4)}
    if entries.get(_UNITS, [0, 0, 0])[2] != _METRE:
        return None
    if _SCALE in values:
        return abs(float(values[_SCALE][0]) * float(values[_SCALE][1]))
    if _MATRIX in values:
        a, b, _, _, c, d = (float(number) for number in values[_MATRIX][:6])
        return abs(a * d - b * c)
    return None


def write_tiff(
    path: Union[Path, BinaryIO],
    strips: Iterable[np.ndarray],
    size: tuple[int, int],
    dtype: Any,
    *,
    palette: Sequence[Sequence[int]],
    tags: Sequence[Tag] = (),
) -> None:
    """Write a mask of class indices as tiled TIFF; one of 8 bits has the colors of the classes.

    Args:
        path: File to write, or one that is open.
        strips: The mask from the top to the bottom, ``(h, W)`` each.
        size: H and W.
        dtype: ``uint8`` or ``uint16``.
        palette: RGB color of each class.
        tags: From :func:`tags_of`.
    """
    import tifffile  # a slow import, needed for TIFF files only

    depth = np.dtype(dtype).itemsize
    colors = np.zeros((3, 256), np.uint16)
    color: dict[str, Any] = dict(photometric='minisblack')
    if depth == 1:
        colors[:, : len(palette)] = np.asarray(palette, np.uint16).T * 257
        color = dict(photometric='palette', colormap=colors)
    with tifffile.TiffWriter(path, bigtiff=size[0] * size[1] * depth > _BIG) as file:
        file.write(
            _tiles(strips, dtype),
            shape=size,
            dtype=dtype,
            tile=(_SIDE, _SIDE),
            compression='zlib',
            extratags=list(tags),
            metadata=None,
            maxworkers=1,
            **color,
        )


def _tiles(strips: Iterable[np.ndarray], dtype: Any) -> Iterator[np.ndarray]:
    """Cut strips of any height into tiles, from the left to the right; fill the edges with 0."""
    for rows in _rows_of_tiles(strips):
        for left in range(0, rows.shape[1], _SIDE):
            tile = np.zeros((_SIDE, _SIDE), dtype)
            part = rows[:, left : left + _SIDE]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def _rows_of_tiles(strips: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    waiting: list[np.ndarray] = []
    for strip in strips:
        waiting.append(strip)
        if sum(map(len, waiting)) < _SIDE:
            continue
        rows = np.concatenate(waiting)
        whole = len(rows) // _SIDE * _SIDE
        yield from (rows[top : top + _SIDE] for top in range(0, whole, _SIDE))
        waiting = [rows[whole:]]
    rest = np.concatenate(waiting)
    if len(rest):
        yield rest
