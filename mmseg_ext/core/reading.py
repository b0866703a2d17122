"""Read images: the same rules for every tool that opens one. ``masks.py`` has those for masks.

``read_color`` reads an image as the papers' configs (the rows of their tables) see it, 8-bit BGR:

- JPEG, PNG, WebP, BMP, GIF and all other formats of OpenCV give the same pixels as mmcv's loader.
  The image is turned upright if its file has an orientation tag. Opacity is dropped, a palette is
  replaced by its colors, CMYK becomes RGB, and one bit becomes black and white.
- Of 16 bits the upper eight are kept. A file is refused if these hold next to nothing, as with
  12-bit data, which would become 0 to 15. Signed, 32-bit and floating-point files are refused, and
  so are channels beyond color and opacity. ``LoadImage`` reads all of these.
- A file with several pages or frames is refused.

``read_image``, for ``LoadImage``, reads the same files with all their channels and bits. The grey
pages of a TIFF become channels. NaN and infinite pixels are refused.

A file that is refused or damaged raises a ``ValueError`` of one line with the file and the remedy.
Shape letters: H row, W column, C channel.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

import cv2
import numpy as np
from PIL import UnidentifiedImageError

from .headers import Header, read_bytes, read_header, turned
from .tiff import read_tiff

_REPLACE = 'replace the file, or take it out of the split'
_CUSTOM = 'in the pipeline of a config of your own'
_DARK = 4096  # values below it fit into 12 bits
_FEW = 0.001  # smallest share of brighter pixels
PLAIN = {'grey': 1, 'palette': 1, 'rgb': 3}  # number of channels without opacity

with contextlib.suppress(AttributeError):  # the errors raised here say what went wrong
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class UnfitImageError(ValueError):
    """The file is valid, but as an 8-bit image it would lose what matters."""


class Picture(NamedTuple):
    """An image as read.

    Args:
        pixels: ``(H, W, C)``, upright.
        header: Header of its file.
    """

    pixels: np.ndarray
    header: Header


@contextlib.contextmanager
def naming(path: str, what: str) -> Iterator[None]:
    """Turn any error of a decoder into a ``ValueError`` of one line that names the file."""
    try:
        yield
    except UnfitImageError:
        raise
    except Exception as error:  # decoders raise any kind of error for a damaged file
        reason = ' '.join(str(error).split()) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):  # its message holds only a memory address
            reason = 'no known format'
        remedy = 'pip install imagecodecs' if 'imagecodecs' in reason else _REPLACE
        raise ValueError(f'{path}: cannot be decoded as {what} ({reason}); {remedy}') from error


def read_color(path: str, *, backend_args: Optional[dict] = None) -> np.ndarray:
    """Read an image as the papers' configs see it, ``(H, W, 3)`` uint8 BGR, upright.

    Raises:
        UnfitImageError: If the file holds more than 8-bit grey or color can show.
        ValueError: If the file cannot be decoded.
    """
    return read_color_picture(path, backend_args=backend_args).pixels


def read_color_picture(
    path: str, *, backend_args: Optional[dict] = None, any_size: bool = False
) -> Picture:
    """As :func:`read_color`, with the header of the file.

    Args:
        path: The file.
        backend_args: Arguments of mmengine's file backend.
        any_size: As in :func:`.headers.read_header`.
    """
    data = read_bytes(path, backend_args=backend_args)
    with naming(path, 'an image'):
        header = read_header(data, any_size=any_size)
        refuse_unfit(path, header)
        if header.dtype == 'uint16':
            deep = _decode(data, header)
            refuse_dark(path, [deep[..., :-1] if header.alpha else deep])
        if header.format == 'TIFF':
            pixels = color_of(path, _decode(data, header), header)
        else:
            pixels = by_opencv(data, cv2.IMREAD_COLOR)
    return Picture(pixels, header)


def refuse_unfit(path: str, header: Header) -> None:
    """Raise an ``UnfitImageError`` if the header shows that the file is no 8-bit image."""
    if header.pages > 1:
        channels = header.pages if header.channels == 1 and header.format == 'TIFF' else 0
        also = f', or take them as channels, LoadImage(channels={channels}) {_CUSTOM}'
        raise UnfitImageError(
            f'{path}: the file has {header.pages} pages or frames, an image has one: save the one '
            f'that is meant{also if channels else ""}'
        )
    if header.dtype not in ('bool', 'uint8', 'uint16'):
        raise UnfitImageError(
            f'{path}: the image is {header.depth}, and the rows read 8-bit color or grey: use '
            f'LoadImage({_channels(header)}max_value=...) {_CUSTOM}, image_max_value in a data set '
            'file, or convert it to 8 bits'
        )
    most = PLAIN.get(header.color, 4) + 1
    if header.channels > most or (header.color == 'grey' and header.channels > 1 + header.alpha):
        raise UnfitImageError(_unfit_channels(path, header))


def _channels(header: Header) -> str:
    return '' if header.channels == 1 else f'channels={header.channels}, '


def _unfit_channels(path: str, header: Header) -> str:
    return (
        f'{path}: the image is {header.depth}, and the rows read 8-bit color or grey: use '
        f'LoadImage(channels={header.channels}) {_CUSTOM} (image_channels: {header.channels} in a '
        'data set file), or save the channels that are meant'
    )


def refuse_dark(path: str, strips: Iterable[np.ndarray]) -> None:
    """Refuse a 16-bit image if its upper eight bits, which alone are kept, hold next to nothing.

    Args:
        path: Its file.
        strips: The image in one or more parts.

    Raises:
        UnfitImageError: If they do.
    """
    largest = count = total = 0
    for strip in strips:
        largest = max(largest, int(strip.max()))
        count, total = count + int((strip >= _DARK).sum()), total + strip.size
    bright = largest >= 2**15 and count >= _FEW * total
    if largest and not bright:
        bits = next(bits for bits in (8, 10, 12, 14, 16) if largest < 2**bits)
        others = ' (65535 if others use all 16 bits)' if bits < 16 else ''
        raise UnfitImageError(
            f'{path}: the image has 16 bits and values up to {largest}, of which the rows, which '
            f'read the upper 8 bits, would see 0 to {largest >> 8}: use '
            f'LoadImage(max_value={2**bits - 1}) {_CUSTOM}, image_max_value: {2**bits - 1} in a '
            f'data set file{others}, or convert it to 8 bits'
        )


def color_of(path: str, image: np.ndarray, header: Header) -> np.ndarray:
    """Turn the pixels of a TIFF into ``(H, W, 3)`` uint8."""
    plain = PLAIN.get(header.color, 3) if header.color != 'palette' else 3
    spare = image[..., plain:]
    if not header.alpha and spare.size and (spare != spare[0, 0]).any():
        raise UnfitImageError(_unfit_channels(path, header))
    image = image[..., :plain]
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    return np.array(np.broadcast_to(image, (*image.shape[:2], 3)), order='C')  # writable


def read_image(path: str, *, backend_args: Optional[dict] = None) -> np.ndarray:
    """Read an image with all its channels and bits, upright.

    Returns:
        ``(H, W, C)`` in the dtype of the file; one bit becomes 0 and 255. Color channels (and
        alpha) are in OpenCV's order, blue first. Channels without a color keep the file's order.
        The grey pages of a TIFF become channels.

    Raises:
        ValueError: If the file cannot be decoded, or a pixel is NaN or infinite.
    """
    return read_picture(path, backend_args=backend_args).pixels


def read_picture(
    path: str, *, backend_args: Optional[dict] = None, any_size: bool = False
) -> Picture:
    """As :func:`read_image`, with the header of the file, of any size if that is asked for."""
    data = read_bytes(path, backend_args=backend_args)
    with naming(path, 'an image'):
        header = read_header(data, any_size=any_size)
        if header.pages > 1 and (header.channels > 1 or header.format != 'TIFF'):
            raise ValueError(
                f'it has {header.pages} pages or frames, an image has one, or grey ones of a TIFF'
            )
        image = _decode(data, header)
    if image.dtype.kind == 'f':
        refuse_not_finite(path, image)
    return Picture(image, header)


def read_shown(path: str) -> np.ndarray:
    """Read an image to show it: as the papers' configs see it, or in full if they refuse it.

    Returns:
        ``(H, W, 3)`` uint8 BGR, or the result of :func:`read_image`.

    Raises:
        ValueError: If the file cannot be decoded.
    """
    try:
        return read_color(path)
    except UnfitImageError:
        return read_image(path)


def refuse_not_finite(path: str, image: np.ndarray, top: int = 0) -> None:
    """Refuse pixels ``(H, W, C)`` that are NaN or infinite; they begin in row ``top``."""
    wrong = np.argwhere(~np.isfinite(image).all(axis=2))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise ValueError(
            f'{path}: {len(wrong)} pixels are NaN or infinite, the first in row {row + top}, '
            f'column {column}: a single one makes every loss NaN; put a number there, or take the '
            'image out of the split'
        )


def _decode(data: bytes, header: Header) -> np.ndarray:
    """Decode all channels and bits, ``(H, W, C)``, colors as BGR."""
    if header.format == 'TIFF':
        image = read_tiff(data, header)
        image = image if image.ndim == 3 else image[..., None]
        image = blue_first(image, header)
    else:
        image = turned(by_opencv(data, cv2.IMREAD_UNCHANGED), header.orientation)
        image = image if image.ndim == 3 else image[..., None]
    return np.ascontiguousarray(image)


def blue_first(image: np.ndarray, header: Header) -> np.ndarray:
    """Put the color channels of a TIFF's pixels ``(H, W, C)`` into OpenCV's order."""
    if header.color != 'grey' and image.shape[2] >= 3 and header.pages == 1:
        return image[..., [2, 1, 0, *range(3, image.shape[2])]]
    return image


def by_opencv(data: bytes, flag: int) -> np.ndarray:
    """Decode with OpenCV.

    Returns:
        ``(H, W)`` or ``(H, W, C)``.

    Raises:
        ValueError: If OpenCV cannot decode it.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if image is None:
        raise ValueError('OpenCV finds no complete image in it')
    return image
