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
_SCALE, _TIE, _MATRIX, _KEYS, _DOUBLES = 33550, 33922, 34264, 34735, 34736
_TAGS = (_SCALE, _TIE, _MATRIX, _KEYS, _DOUBLES, 34737)
_PROJECTION, _METHOD, _UNIT, _UNIT_SIZE = 3072, 3075, 3076, 3077  # GeoKeys of a projection
_METRES = {9001: 1.0, 9002: 0.3048, 9003: 1200 / 3937, 9036: 1000.0}  # EPSG's unit -> metres
# EPSG's projections in metres, for files that do not repeat the unit: UTM (WGS 84 and 72, ETRS89,
# NAD83), MGA (GDA94, GDA2020), and the grids of Europe and of some of its countries
_IN_METRES = (
    range(32601, 32661), range(32701, 32761), range(32201, 32261), range(32301, 32361),
    range(25828, 25839), range(26901, 26924), range(28348, 28359), range(7846, 7860),
    range(31466, 31470), range(31254, 31260),
    (2056, 2154, 2180, 3034, 3035, 5514, 21781, 27700, 28992, 31370),
)  # fmt: skip
_MERCATOR = {3395, 3785, 3832, 3857}  # its metres are true at the equator alone
_MERCATOR_METHOD = 7
_BIG = 1 << 31  # bytes; beyond, offsets of TIFF files have 64 bits

Tag = tuple[int, Any, int, Any, bool]  # code, type, count, value, written once


def tags_of(path: Path) -> list[Tag]:
    """Return the tags of an image that say where it lies; none if its file is no GeoTIFF."""
    if path.suffix.lower() not in ('.tif', '.tiff') or not path.is_file():
        return []
    return [(*tag, True) for tag in read_tags(path, _TAGS)]


def square_metres(tags: Sequence[Tag]) -> Optional[float]:
    """Return the area of a pixel; ``None`` if the tags do not say it in a unit of length.

    Nor do they say it in Mercator projections, whose metres are longer than those of the ground.
    """
    values = {tag[0]: tag[3] for tag in tags}
    unit = _metres_of(values)
    if unit is None:
        return None
    if _SCALE in values:
        return abs(float(values[_SCALE][0]) * float(values[_SCALE][1])) * unit**2
    if _MATRIX in values:
        a, b, _, _, c, d = (float(number) for number in values[_MATRIX][:6])
        return abs(a * d - b * c) * unit**2
    return None


def _metres_of(values: dict[int, Any]) -> Optional[float]:
    """Return the metres in the unit of a projection."""
    keys = _geo_keys(values)
    code = keys.get(_PROJECTION)
    if code in _MERCATOR or keys.get(_METHOD) == _MERCATOR_METHOD:
        return None
    if _UNIT_SIZE in keys:
        return float(keys[_UNIT_SIZE])
    if _UNIT in keys:
        return _METRES.get(keys[_UNIT])
    return 1.0 if any(code in codes for codes in _IN_METRES) else None


def _geo_keys(values: dict[int, Any]) -> dict[int, Any]:
    """Read the GeoKeys: entries of a key, the tag of its value or 0, how many, and the value."""
    numbers = [int(number) for number in values.get(_KEYS, ())]
    found: dict[int, Any] = {}
    for start in range(4, len(numbers) - 3, 4):
        key, place, _, value = numbers[start : start + 4]
        if place == 0:
            found[key] = value
        elif place == _DOUBLES and value < len(values.get(_DOUBLES, ())):
            found[key] = values[_DOUBLES][value]
    return found


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
