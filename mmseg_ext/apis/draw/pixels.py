"""Pictures of label maps: colors, overlays, errors and grids.

Pictures are ``(H, W, 3)`` uint8 in RGB, and label maps are ``(H, W)`` integers.
Shape letters: H row, W column.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np
from PIL import Image

from ...core.labels import IGNORE
from ...core.reading import read_shown

VOID = (224, 224, 224)  # pixels without a label
WRONG = (214, 39, 40)
_STRIP = 1 << 20  # number of pixels that are painted at once

Palette = Sequence[Sequence[int]]


def read_rgb(path: Union[str, Path]) -> np.ndarray:
    """Read an image for display, as training sees it if possible.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        ValueError: If the file cannot be decoded.
    """
    return to_display(read_shown(str(path)))


def to_display(image: np.ndarray) -> np.ndarray:
    """Turn any loaded image into a picture for a screen.

    Args:
        image: ``(H, W)`` or ``(H, W, C)``, any number type. The first three channels are taken for
            BGR, the order of OpenCV and of mmseg's loaders; others are not shown. Of fewer than
            three channels, the first is shown as grey.

    Returns:
        ``(H, W, 3)`` uint8 RGB. Other types than uint8 are scaled from their smallest and largest
        value to 0 and 255.
    """
    if image.ndim == 2:
        image = image[..., None]
    if image.shape[2] < 3:
        image = np.repeat(image[..., :1], 3, axis=2)
    image = image[..., 2::-1]
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    values = image.astype(np.float64)
    low, high = np.nanmin(values), np.nanmax(values)
    scaled = (values - low) / max(high - low, np.finfo(np.float64).tiny)
    return np.nan_to_num(scaled * 255).round().astype(np.uint8)


def colorize(label: np.ndarray, palette: Palette) -> np.ndarray:
    """Paint a label map in the colors of its classes.

    The ignored index 255 and other indices without a color become light grey.
    """
    size = max(256, len(palette), int(label.max(initial=0)) + 1)
    table = np.full((size, 3), VOID, np.uint8)
    table[: len(palette)] = np.asarray(palette, np.uint8).reshape(-1, 3)
    return table[label]


def overlay(
    picture: np.ndarray,
    label: np.ndarray,
    palette: Palette,
    *,
    opacity: float = 0.55,
    clear: Optional[int] = None,
) -> np.ndarray:
    """Paint a label map over its image.

    Args:
        picture: The image.
        label: Label map of the same height and width.
        palette: One RGB color per class.
        opacity: Weight of the color, between 0 and 1.
        clear: Class that is not painted, such as the background.
    """
    tables = _blends(int(label.max(initial=0)) + 1, palette, opacity, clear)
    painted = np.empty(picture.shape, np.uint8)
    height = max(1, _STRIP // max(1, label.shape[1]))
    for top in range(0, len(label), height):  # all at once takes 100 times the memory of labels
        strip = slice(top, top + height)
        first = label[strip].astype(np.int64) * 256
        for channel, table in enumerate(tables):
            painted[strip, :, channel] = table[first + picture[strip, :, channel]]
    return painted


def _blends(
    labels: int, palette: Palette, opacity: float, clear: Optional[int]
) -> Sequence[np.ndarray]:
    """What each label makes of each value: for each channel, ``(labels * 256,)`` uint8."""
    weight = np.full((labels, 1, 1), opacity)
    if clear is not None:
        weight[clear : clear + 1] = 0
    color = colorize(np.arange(labels), palette)[:, :, None]
    blended = np.arange(256) * (1 - weight) + color * weight  # label, channel, value
    return blended.round().astype(np.uint8).swapaxes(0, 1).reshape(3, -1)


def error_picture(picture: np.ndarray, label: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Paint wrong pixels red on a faded grey image; pixels without a label are light grey."""
    grey = picture.mean(axis=2, keepdims=True) * 0.45 + 255 * 0.55
    shown = np.repeat(grey, 3, axis=2)
    shown[(label != truth) & (truth != IGNORE)] = WRONG
    shown[truth == IGNORE] = VOID
    return shown.round().astype(np.uint8)


def encode(
    picture: np.ndarray, *, file_format: str = 'PNG', quality: int = 85, level: int = 9
) -> bytes:
    """Encode an RGB picture.

    Args:
        picture: The picture.
        file_format: ``'PNG'`` or ``'JPEG'``.
        quality: Of JPEG.
        level: Of PNG's compression. 1 makes a photograph a quarter larger than 9, thirty times as
            fast.
    """
    buffer = io.BytesIO()
    options = dict(quality=quality) if file_format == 'JPEG' else dict(compress_level=level)
    Image.fromarray(picture).save(buffer, format=file_format, **options)
    return buffer.getvalue()


def encode_flat(picture: np.ndarray, clear: Optional[np.ndarray] = None) -> bytes:
    """Encode a picture of few colors as PNG, with a palette if there are at most 256 colors.

    Args:
        picture: The picture.
        clear: True where the picture is transparent, ``(H, W)``.
    """
    shown = np.full(picture.shape[:2] + (4,), 255, np.uint8)
    shown[..., :3] = picture
    if clear is not None:
        shown[clear] = 0
    colors, places = np.unique(shown.view(np.uint32)[..., 0], return_inverse=True)
    buffer = io.BytesIO()
    if len(colors) > 256:
        Image.fromarray(shown).save(buffer, format='PNG', optimize=True)
        return buffer.getvalue()
    table = colors[:, None].view(np.uint8)
    image = Image.fromarray(places.reshape(shown.shape[:2]).astype(np.uint8))
    image.putpalette(table[:, :3].tobytes())
    image.save(buffer, format='PNG', optimize=True, transparency=table[:, 3].tobytes())
    return buffer.getvalue()


def shrink(picture: np.ndarray, width: int, *, smooth: bool) -> np.ndarray:
    """Scale a picture down to a width in pixels; narrower pictures stay as they are.

    Args:
        picture: Picture or label map.
        width: Largest width.
        smooth: Interpolate between pixels. Label maps and flat colors must not be smoothed.
    """
    if picture.shape[1] <= width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize((width, height), method))


def picture_grid(
    rows: Sequence[Sequence[np.ndarray]], *, cell: int = 160, gap: int = 4
) -> np.ndarray:
    """Lay pictures out as a grid on white.

    Args:
        rows: One list of pictures per row, all of the same length.
        cell: Width of a picture in pixels. The first picture of a row sets the height of the row.
        gap: White pixels between neighbours.

    Raises:
        ValueError: If there are no pictures, or the rows have different lengths.
    """
    if not rows or len({len(row) for row in rows}) != 1 or not rows[0]:
        raise ValueError(
            'picture_grid needs at least one row, and rows of equal length, got '
            f'{[len(row) for row in rows]}'
        )
    strips = []
    for row in rows:
        height = max(1, round(cell * row[0].shape[0] / row[0].shape[1]))
        cells = []
        for picture in row:
            image = Image.fromarray(picture).resize((cell, height), Image.Resampling.BILINEAR)
            cells += [np.asarray(image), np.full((height, gap, 3), 255, np.uint8)]
        strip = np.concatenate(cells[:-1], axis=1)
        strips += [strip, np.full((gap, strip.shape[1], 3), 255, np.uint8)]
    return np.concatenate(strips[:-1])


def encode_below(picture: np.ndarray, max_bytes: int) -> bytes:
    """Encode a picture as JPEG, at the highest quality that stays below a number of bytes.

    Raises:
        ValueError: If the picture is too large even at quality 20.
    """
    for quality in (92, 88, 84, 80, 75, 70, 60, 50, 40, 30, 20):
        content = encode(picture, file_format='JPEG', quality=quality)
        if len(content) < max_bytes:
            return content
    raise ValueError(
        f'a picture of {picture.shape[1]}x{picture.shape[0]} does not fit into '
        f'{max_bytes} bytes: use smaller cells or fewer rows'
    )
