"""Read the pixels of a TIFF file of any depth, number of channels, byte order and compression.

Pillow reads the usual files, also with LZW, JPEG or fax compression. But it cuts 16-bit colors to 8
bits and knows no extra channels, so tifffile reads such files. Tifffile has two weaknesses. It
needs another package for some compressions; without that package OpenCV is tried. It also fills
the gaps of a damaged file with zeros, so gaps are looked for first.
Shape letters: H row, W column, C channel.
"""

import contextlib
import io
import logging
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from .files import PathLike
from .headers import TIFF_STARTS, Header, turned

logging.getLogger('tifffile').setLevel(logging.CRITICAL)  # the errors raised here name the file


def read_tiff(data: bytes, header: Header, *, indices: bool = False) -> np.ndarray:
    """Read a TIFF file, upright.

    Args:
        data: The bytes of the file.
        header: The file's header.
        indices: Return the indices of a palette instead of its colors.

    Returns:
        ``(H, W)`` or ``(H, W, C)``, colors as RGB. Samples of one bit are bool with ``indices``,
        else 0 and 255. Grey pages become channels.

    Raises:
        Exception: Whatever a decoder raises for a damaged file; the caller names the file.
    """
    plain = header.dtype in ('bool', 'uint8') and header.pages == 1
    extra = header.channels - (3 if header.color == 'rgb' else 1) - header.alpha
    if plain and (extra == 0 or header.color not in ('grey', 'rgb', 'palette')):
        with contextlib.suppress(UnidentifiedImageError):  # Pillow opens no big-endian BigTIFF
            return _by_pillow(data, header, indices)
    return _by_tifffile(data, header)


def is_tiff(path: PathLike) -> bool:
    """Whether a file is a TIFF file, by its first bytes."""
    with open(path, 'rb') as file:
        return file.read(4) in TIFF_STARTS


def read_tags(path: PathLike, codes: Sequence[int]) -> list[tuple[int, Any, int, Any]]:
    """Return those of the tags that a file's first page has: code, type, count and value each.

    A file that is no TIFF file has none.
    """
    import tifffile  # a slow import, needed for few files

    if not is_tiff(path):
        return []
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages.first
        found = [page.tags[code] for code in codes if code in page.tags]
        return [(tag.code, tag.dtype, tag.count, tag.value) for tag in found]


def _by_pillow(data: bytes, header: Header, indices: bool) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        image.load()  # also turns it upright, as its tag says
        if header.color == 'palette' and not indices:
            return np.array(image.convert('RGB'))
        if header.color not in ('grey', 'rgb', 'palette'):
            return np.array(image.convert('RGB'))
        pixels = np.array(image)
    return pixels * np.uint8(255) if pixels.dtype == bool and not indices else pixels


def _by_tifffile(data: bytes, header: Header) -> np.ndarray:
    import tifffile  # a slow import, needed for few files

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        series = file.series[0]
        _refuse_other_pages(series, header)
        refuse_gaps(file, len(data))
        try:
            image = series.asarray()
        except ValueError as error:
            if 'imagecodecs' not in str(error):
                raise
            image = _by_opencv(data, header, error)
        axes = series.axes
    if image.ndim == 3 and axes[-1] == 'X':  # channels or pages are the first axis
        image = image.transpose(1, 2, 0)
    if image.ndim not in (2, 3):
        raise ValueError(f'its {image.ndim} axes {axes} are not rows, columns and channels')
    if header.inverted and header.dtype.startswith('uint'):
        image = np.iinfo(image.dtype).max - image
    return turned(image, header.orientation)


def _refuse_other_pages(series: Any, header: Header) -> None:
    sizes = zip(series.axes, series.shape)
    pages = int(np.prod([size for axis, size in sizes if axis not in 'YXS'] or [1]))
    if pages != header.pages:
        raise ValueError(f'it has {header.pages} pages of different sizes or kinds')


def refuse_gaps(file: Any, size: int) -> None:
    """Refuse a file of ``size`` bytes that has lost pixels, which tifffile would replace by 0."""
    for page in file.pages:
        places = zip(page.dataoffsets, page.databytecounts)
        if any(count == 0 or offset + count > size for offset, count in places):
            raise ValueError('the file is cut short')


def _by_opencv(data: bytes, header: Header, error: Exception) -> np.ndarray:
    """Decode with OpenCV where tifffile lacks a codec, if the file is grey or has three colors."""
    known = header.channels == 1 or (header.color == 'rgb' and header.channels == 3)
    if not known or header.orientation != 1:  # OpenCV turns the image, tifffile does not
        raise error
    done, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if not done or len(pages) != header.pages:
        raise ValueError('OpenCV finds no complete image in it')
    if len(pages) > 1:
        return np.stack(pages)
    return pages[0][..., ::-1] if pages[0].ndim == 3 else pages[0]
