"""The pixels of a TIFF file, whatever its depth, channels, order of bytes and compression.

Pillow reads the usual kinds, LZW, JPEG and fax compression among them. It cuts 16-bit colors to 8
bits and does not know further channels: these are read by tifffile, which needs a package of its
own for some compressions (OpenCV helps out with 16 bits), and fills up what a damaged file lacks,
so that is looked for before.
Shape letters: H row, W column, C channel.
"""

import contextlib
import io
import logging
from typing import Any

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from .headers import Header, turned

logging.getLogger('tifffile').setLevel(logging.CRITICAL)  # errors are raised here, and named


def read_tiff(data: bytes, header: Header, *, indices: bool = False) -> np.ndarray:
    """Read a TIFF file, upright.

    Args:
        data: The file.
        header: What it says of itself.
        indices: Take the indices of a palette instead of its colors.

    Returns:
        ``(H, W)`` or ``(H, W, C)``, colors as RGB; one bit as bool with ``indices``, else as 0
        and 255. Grey pages are channels.

    Raises:
        Exception: What a decoder raises at a damaged file; the caller names it.
    """
    plain = header.dtype in ('bool', 'uint8') and header.pages == 1
    extra = header.channels - (3 if header.color == 'rgb' else 1) - header.alpha
    if plain and (extra == 0 or header.color not in ('grey', 'rgb', 'palette')):
        with contextlib.suppress(UnidentifiedImageError):  # BigTIFF of the other order of bytes
            return _by_pillow(data, header, indices)
    return _by_tifffile(data, header)


def _by_pillow(data: bytes, header: Header, indices: bool) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        image.load()  # which turns it as its tag says
        if header.color == 'palette' and not indices:
            return np.array(image.convert('RGB'))
        if header.color not in ('grey', 'rgb', 'palette'):
            return np.array(image.convert('RGB'))
        pixels = np.array(image)
    return pixels * np.uint8(255) if pixels.dtype == bool and not indices else pixels


def _by_tifffile(data: bytes, header: Header) -> np.ndarray:
    import tifffile  # only who has such files waits for it

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        series = file.series[0]
        _refuse_other_pages(series, header)
        _refuse_gaps(file, len(data))
        try:
            image = series.asarray()
        except ValueError as error:
            if 'imagecodecs' not in str(error):
                raise
            image = _by_opencv(data, header, error)
        axes = series.axes
    if image.ndim == 3 and axes[-1] == 'X':  # channels or pages come first
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


def _refuse_gaps(file: Any, size: int) -> None:
    """Tifffile reads zeros where a damaged file has lost its pixels."""
    for page in file.pages:
        places = zip(page.dataoffsets, page.databytecounts)
        if any(count == 0 or offset + count > size for offset, count in places):
            raise ValueError('the file is cut short')


def _by_opencv(data: bytes, header: Header, error: Exception) -> np.ndarray:
    """Help out where tifffile lacks a codec: OpenCV reads grey pages and three colors rightly."""
    known = header.channels == 1 or (header.color == 'rgb' and header.channels == 3)
    if not known or header.orientation != 1:  # which OpenCV would obey, unlike tifffile
        raise error
    done, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if not done or len(pages) != header.pages:
        raise ValueError('OpenCV finds no complete image in it')
    if len(pages) > 1:
        return np.stack(pages)
    return pages[0][..., ::-1] if pages[0].ndim == 3 else pages[0]
