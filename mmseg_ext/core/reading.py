"""The one place that decides what an image and a mask are, for every tool that opens one.

Images of the rows, 8-bit BGR (``read_color``):

- JPEG, PNG, WebP, BMP, GIF and what else OpenCV knows give the pixels that mmcv's loader gives. An
  orientation tag is obeyed, in any format; opacity is dropped; a palette gives its colors, CMYK
  becomes RGB, one bit black and white.
- 16 bits give the upper eight. Where these hold next to nothing (12-bit data arrive as 0 to 15),
  the file is refused, as are signed, 32-bit and floating-point files, and channels beyond color
  and opacity: they are for ``LoadImage``.
- Several pages, or frames, are no image.

Images of any depth (``read_image``, for ``LoadImage``): the same files, with all channels and bits;
the grey pages of a TIFF are channels. Pixels that are no numbers are refused.

Masks (``read_mask``): one value, or one color, a pixel. A palette gives its indices, or, where
colors are asked for, its colors; the orientation tag is obeyed as for images; opacity is dropped,
and a mask that holds nothing else is refused, as are several pages, further channels (one per
class) and fractions.

What is refused, or damaged, raises a ``ValueError`` of one line that names the file and the remedy.
Shape letters: H row, W column, C channel.
"""

import contextlib
import io
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from .headers import Header, read_bytes, read_header, turned
from .tiff import read_tiff

_REPLACE = 'replace the file, or take it out of the split'
_CUSTOM = 'in the pipeline of a config of your own'
_DARK = 4096  # 12 bits stored in 16
_FEW = 0.001  # share of the pixels
_PLAIN = {'grey': 1, 'palette': 1, 'rgb': 3}  # channels without opacity

with contextlib.suppress(AttributeError):  # what goes wrong is said by the errors raised here
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class UnfitImageError(ValueError):
    """The file is in order, and yet no 8-bit image without a loss that matters."""


class Picture(NamedTuple):
    """An image as read.

    Args:
        pixels: ``(H, W, C)``, upright.
        header: What its file says of itself.
    """

    pixels: np.ndarray
    header: Header


class StoredMask(NamedTuple):
    """A mask as stored.

    Args:
        values: Integers, ``(H, W)``, or ``(H, W, 3)`` in RGB order if the file holds colors.
        palette: Colors of the values, ``(256, 3)`` RGB; ``None`` without a palette.
        orientation: By which the file says that it is to be turned, as it was; 1 is upright.
    """

    values: np.ndarray
    palette: Optional[np.ndarray] = None
    orientation: int = 1

    def in_colors(self) -> np.ndarray:
        """The colors of the mask, ``(H, W, 3)`` RGB, greys included."""
        if self.palette is not None:
            return self.palette[self.values]
        return self.values if self.values.ndim == 3 else np.repeat(self.values[..., None], 3, 2)

    def used_palette(self) -> dict[int, tuple[int, int, int]]:
        """The palette's color of each value that occurs; none, if each is its own grey."""
        if self.palette is None:
            return {}
        used = {int(v): tuple(self.palette[v].tolist()) for v in np.unique(self.values)}
        return {} if all(color == (v, v, v) for v, color in used.items()) else used


@contextlib.contextmanager
def _naming(path: str, what: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one line that names the file."""
    try:
        yield
    except UnfitImageError:
        raise
    except Exception as error:  # decoders raise anything at a damaged file
        reason = ' '.join(str(error).split()) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):  # whose text is a place in memory
            reason = 'no known format'
        remedy = 'pip install imagecodecs' if 'imagecodecs' in reason else _REPLACE
        raise ValueError(f'{path}: cannot be decoded as {what} ({reason}); {remedy}') from error


# ------------------------------------------------------------------------------- images


def read_color(path: str, *, backend_args: Optional[dict] = None) -> np.ndarray:
    """Read an image as the rows see it, ``(H, W, 3)`` uint8 BGR, upright.

    Raises:
        UnfitImageError: If it is more than 8-bit grey or color.
        ValueError: If the file cannot be decoded.
    """
    return read_color_picture(path, backend_args=backend_args).pixels


def read_color_picture(path: str, *, backend_args: Optional[dict] = None) -> Picture:
    """As :func:`read_color`, with what the file says of itself."""
    data = read_bytes(path, backend_args=backend_args)
    with _naming(path, 'an image'):
        header = read_header(data)
        _refuse_unfit(path, header)
        if header.dtype == 'uint16':
            deep = _decode(data, header)
            _refuse_dark(path, deep[..., :-1] if header.alpha else deep)
        if header.format == 'TIFF':
            pixels = _color_of(path, _decode(data, header), header)
        else:
            pixels = _by_opencv(data, cv2.IMREAD_COLOR)
    return Picture(pixels, header)


def _refuse_unfit(path: str, header: Header) -> None:
    """Refuse what a header shows to be no 8-bit image."""
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
    most = _PLAIN.get(header.color, 4) + 1
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


def _refuse_dark(path: str, image: np.ndarray) -> None:
    """Refuse 16 bits of which the upper eight, which the rows read, hold next to nothing."""
    largest = int(image.max())
    bright = largest >= 2**15 and (image >= _DARK).mean() >= _FEW
    if largest and not bright:
        bits = next(bits for bits in (8, 10, 12, 14, 16) if largest < 2**bits)
        others = ' (65535 if others use all 16 bits)' if bits < 16 else ''
        raise UnfitImageError(
            f'{path}: the image has 16 bits and values up to {largest}, of which the rows, which '
            f'read the upper 8 bits, would see 0 to {largest >> 8}: use '
            f'LoadImage(max_value={2**bits - 1}) {_CUSTOM}, image_max_value: {2**bits - 1} in a '
            f'data set file{others}, or convert it to 8 bits'
        )


def _color_of(path: str, image: np.ndarray, header: Header) -> np.ndarray:
    """Make ``(H, W, 3)`` uint8 of what a TIFF holds."""
    plain = _PLAIN.get(header.color, 3) if header.color != 'palette' else 3
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
        ``(H, W, C)`` in the dtype of the file, one bit as 0 and 255. What the file calls red,
        green, blue (and alpha) comes in OpenCV's order, blue first; channels without a name keep
        the file's order. The grey pages of a TIFF are taken as channels.

    Raises:
        ValueError: If the file cannot be decoded, or a pixel is NaN or infinite.
    """
    return read_picture(path, backend_args=backend_args).pixels


def read_picture(path: str, *, backend_args: Optional[dict] = None) -> Picture:
    """As :func:`read_image`, with what the file says of itself."""
    data = read_bytes(path, backend_args=backend_args)
    with _naming(path, 'an image'):
        header = read_header(data)
        if header.pages > 1 and (header.channels > 1 or header.format != 'TIFF'):
            raise ValueError(
                f'it has {header.pages} pages or frames, an image has one, or grey ones of a TIFF'
            )
        image = _decode(data, header)
    if image.dtype.kind == 'f':
        _refuse_not_finite(path, image)
    return Picture(image, header)


def read_shown(path: str) -> np.ndarray:
    """Read an image to be looked at: as the rows see it, or, where they cannot, in full.

    Returns:
        ``(H, W, 3)`` uint8 BGR, or what :func:`read_image` gives.

    Raises:
        ValueError: If the file cannot be decoded.
    """
    try:
        return read_color(path)
    except UnfitImageError:
        return read_image(path)


def _refuse_not_finite(path: str, image: np.ndarray) -> None:
    wrong = np.argwhere(~np.isfinite(image).all(axis=2))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise ValueError(
            f'{path}: {len(wrong)} pixels are NaN or infinite, the first in row {row}, column '
            f'{column}: a single one makes every loss NaN; put a number there, or take the image '
            'out of the split'
        )


def _decode(data: bytes, header: Header) -> np.ndarray:
    """Decode with all channels and bits, ``(H, W, C)``, colors as BGR."""
    if header.format == 'TIFF':
        image = read_tiff(data, header)
        image = image if image.ndim == 3 else image[..., None]
        if header.color != 'grey' and image.shape[2] >= 3 and header.pages == 1:
            image = image[..., [2, 1, 0, *range(3, image.shape[2])]]
    else:
        image = turned(_by_opencv(data, cv2.IMREAD_UNCHANGED), header.orientation)
        image = image if image.ndim == 3 else image[..., None]
    return np.ascontiguousarray(image)


def _by_opencv(data: bytes, flag: int) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if image is None:
        raise ValueError('OpenCV finds no complete image in it')
    return image


# -------------------------------------------------------------------------------- masks


def read_mask(
    path: str, *, colors: bool = False, backend_args: Optional[dict] = None
) -> np.ndarray:
    """Read a mask as stored, upright.

    Args:
        path: Its file.
        colors: Take the colors of a palette instead of its indices.
        backend_args: Arguments of mmengine's file backend.

    Returns:
        Integers, ``(H, W)``, or ``(H, W, 3)`` in RGB order if the file holds colors, or
        ``colors`` asks for them.

    Raises:
        ValueError: If the file cannot be decoded, or is no mask.
    """
    stored = read_stored_mask(path, backend_args=backend_args)
    return stored.in_colors() if colors else stored.values


def read_stored_mask(path: str, *, backend_args: Optional[dict] = None) -> StoredMask:
    """As :func:`read_mask`, with the palette if there is one."""
    data = read_bytes(path, backend_args=backend_args)
    with _naming(path, 'a mask'):
        header = read_header(data)
    _refuse_no_mask(path, header)
    with _naming(path, 'a mask'):
        stored = _decode_mask(data, header)
    values = stored.values
    if values.ndim == 3 and header.alpha:
        values = _without_opacity(path, values)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    # A grey mask saved as RGB, common with drawing programs, is an index mask after all.
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    return StoredMask(_whole_numbers(path, values), stored.palette, header.orientation)


def _refuse_no_mask(path: str, header: Header) -> None:
    """Refuse what a header shows to be no mask."""
    if header.pages > 1:
        raise ValueError(
            f'{path}: the mask has {header.pages} pages, and only one could be read: save one page '
            'of class ids (of one page for each class, the number of the page that is set)'
        )
    if header.color not in _PLAIN:
        raise ValueError(
            f'{path}: a mask in {header.color} holds no class ids and no colors that can be '
            'compared: save class ids, or RGB'
        )
    plain = _PLAIN[header.color] + header.alpha
    if header.channels != plain:
        raise ValueError(
            f'{path}: the mask has {header.channels} channels, where one value, or one color, a '
            'pixel is expected: save one channel of class ids (of one channel for each class, the '
            'number of the channel that is set)'
        )


def _decode_mask(data: bytes, header: Header) -> StoredMask:
    if header.format == 'TIFF':
        palette = _palette_of(data) if header.color == 'palette' else None
        return StoredMask(read_tiff(data, header, indices=True), palette)
    if header.dtype == 'uint16' and header.channels > 1:  # which Pillow would cut to 8 bits
        image = _by_opencv(data, cv2.IMREAD_UNCHANGED)
        image = image[..., [2, 1, 0, *range(3, image.shape[2])]]
        return StoredMask(_narrowed(turned(image, header.orientation)))
    with Image.open(io.BytesIO(data)) as file:
        values = np.array(file)
        palette = _full_palette(file) if header.color == 'palette' else None
    return StoredMask(turned(values, header.orientation), palette)


def _narrowed(image: np.ndarray) -> np.ndarray:
    """Colors of 16 bits that are those of 8 bits stretched, as 8 bits; ids stay as they are."""
    colors = image[..., :3]
    if (colors == colors[..., :1]).all() or (image % 257).any():
        return image
    return (image // 257).astype(np.uint8)


def _palette_of(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return _full_palette(image)


def _full_palette(image: Any) -> np.ndarray:
    flat = image.getpalette('RGB') or []
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(flat) // 3] = np.array(flat, np.uint8).reshape(-1, 3)
    return palette


def _without_opacity(path: str, values: np.ndarray) -> np.ndarray:
    opacity, rest = values[..., -1], values[..., :-1]
    if (opacity != opacity[0, 0]).any() and (rest == rest[:1, :1]).all():
        raise ValueError(
            f'{path}: the mask is of one color, and its content is in the opacity (alpha), which '
            'is not read: save the alpha channel as a grey image'
        )
    return rest


def _whole_numbers(path: str, mask: np.ndarray) -> np.ndarray:
    """Make integers of the computer's own byte order of what a mask holds."""
    if mask.dtype == bool:
        return mask.astype(np.uint8)
    if mask.dtype.kind not in 'iuf':
        raise ValueError(f'{path}: a mask of type {mask.dtype}: save class ids')
    if mask.dtype.kind != 'f':
        return np.ascontiguousarray(mask, mask.dtype.newbyteorder('='))
    odd = mask[~np.isfinite(mask) | (mask != np.round(mask))]
    if odd.size:
        shown = ', '.join(f'{value:g}' for value in np.unique(odd)[:4])
        raise ValueError(
            f'{path}: a mask of fractions, of {odd.size} pixels ({shown}...): save class ids'
        )
    return mask.astype(np.int64)
