"""Read masks: the same rules for every tool that opens one.

A mask holds one value or one color per pixel. If it has a palette, its indices are read, or its
colors on request. It is turned upright as images are. Opacity is dropped. A mask is refused if it
has content in its opacity only, several pages, extra channels (one per class), or fractions.

A file that is refused or damaged raises a ``ValueError`` of one line with the file and the remedy.
Shape letters: H row, W column.
"""

import io
from typing import Any, NamedTuple, Optional

import cv2
import numpy as np
from PIL import Image

from .headers import Header, read_bytes, read_header, turned
from .reading import PLAIN, by_opencv, naming
from .tiff import read_tiff


class StoredMask(NamedTuple):
    """A mask as stored in its file, but upright.

    Args:
        values: Integers, ``(H, W)``, or ``(H, W, 3)`` in RGB order if the file holds colors.
        palette: Colors of the values, ``(256, 3)`` RGB; ``None`` without a palette.
        orientation: EXIF orientation in the file, before the mask was turned; 1 is upright.
    """

    values: np.ndarray
    palette: Optional[np.ndarray] = None
    orientation: int = 1

    def in_colors(self) -> np.ndarray:
        """Show the mask in colors, ``(H, W, 3)`` RGB; values without a palette become greys."""
        if self.palette is not None:
            return self.palette[self.values]
        return self.values if self.values.ndim == 3 else np.repeat(self.values[..., None], 3, 2)

    def used_palette(self) -> dict[int, tuple[int, int, int]]:
        """Map each value that occurs to its palette color; empty if each is its own grey."""
        if self.palette is None:
            return {}
        used = {int(v): tuple(self.palette[v].tolist()) for v in np.unique(self.values)}
        return {} if all(color == (v, v, v) for v, color in used.items()) else used


def read_mask(
    path: str, *, colors: bool = False, backend_args: Optional[dict] = None
) -> np.ndarray:
    """Read the values of a mask, upright.

    Args:
        path: File of the mask.
        colors: Return colors: those of the palette, or greys.
        backend_args: Arguments of mmengine's file backend.

    Returns:
        Integers, ``(H, W)``; or ``(H, W, 3)`` in RGB order if the file holds colors or
        ``colors`` is set.

    Raises:
        ValueError: If the file cannot be decoded, or is no mask.
    """
    stored = read_stored_mask(path, backend_args=backend_args)
    return stored.in_colors() if colors else stored.values


def read_stored_mask(path: str, *, backend_args: Optional[dict] = None) -> StoredMask:
    """As :func:`read_mask`, with the palette and the orientation."""
    data = read_bytes(path, backend_args=backend_args)
    with naming(path, 'a mask'):
        header = read_header(data)
    _refuse_no_mask(path, header)
    with naming(path, 'a mask'):
        stored = _decode_mask(data, header)
    values = stored.values
    if values.ndim == 3 and header.alpha:
        values = _without_opacity(path, values)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    # Drawing programs often save a grey mask as RGB: it holds class indices, not colors.
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    return StoredMask(_whole_numbers(path, values), stored.palette, header.orientation)


def _refuse_no_mask(path: str, header: Header) -> None:
    """Refuse a file whose header shows that it is no mask."""
    if header.pages > 1:
        raise ValueError(
            f'{path}: the mask has {header.pages} pages, and only one could be read: save one page '
            'of class ids (of one page for each class, the number of the page that is set)'
        )
    if header.color not in PLAIN:
        raise ValueError(
            f'{path}: a mask in {header.color} holds no class ids and no colors that can be '
            'compared: save class ids, or RGB'
        )
    plain = PLAIN[header.color] + header.alpha
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
    if header.dtype == 'uint16' and header.channels > 1:  # Pillow would cut it to 8 bits
        image = by_opencv(data, cv2.IMREAD_UNCHANGED)
        image = image[..., [2, 1, 0, *range(3, image.shape[2])]]
        return StoredMask(_narrowed(turned(image, header.orientation)))
    with Image.open(io.BytesIO(data)) as file:
        values = np.array(file)
        palette = _full_palette(file) if header.color == 'palette' else None
    return StoredMask(turned(values, header.orientation), palette)


def _narrowed(image: np.ndarray) -> np.ndarray:
    """Turn 16-bit colors that are stretched 8-bit colors back into these; leave class ids alone."""
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
    """Turn the values of a mask into integers in the computer's own byte order.

    Raises:
        ValueError: If a value is no whole number.
    """
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
