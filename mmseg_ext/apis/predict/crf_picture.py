"""Picture of a dense CRF's effect: image, prediction before and after, and ground truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from ...core.files import PathLike
from ...core.masks import read_mask
from ..draw.pixels import colorize, picture_grid, read_rgb
from .crf import Item, read_listing


def draw(
    before: PathLike,
    after: PathLike,
    *,
    truth: Optional[PathLike] = None,
    names: Sequence[str] = (),
    rows: int = 4,
    cell: int = 220,
) -> np.ndarray:
    """Draw one row per image, with columns for image, before, after and ground truth.

    Args:
        before: Folder of ``tools/predict.py --prob``.
        after: Folder of ``tools/crf.py`` made from it.
        truth: Folder of label maps.
        names: Output names of the images to show; without any, the first ones.
        rows: Number of images without ``names``.
        cell: Width of a picture in pixels.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        ValueError: If a name is not among the predictions.
        FileNotFoundError: If a file is missing.
    """
    listing, items = read_listing(before, truth)
    pictures = []
    for item in _chosen(items, names, rows):
        row = [read_rgb(item.image)]
        files: list[Path] = [Path(f) / 'masks' / f'{item.name}.png' for f in (before, after)]
        for file in (*files, *([item.truth] if item.truth else [])):
            row.append(colorize(read_mask(str(file)), listing['palette']))
        pictures.append(row)
    return picture_grid(pictures, cell=cell)


def _chosen(items: Sequence[Item], names: Sequence[str], rows: int) -> list[Item]:
    if not names:
        return list(items[:rows])
    by_name = {item.name: item for item in items}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ValueError(f'no prediction is named {", ".join(unknown)}; there is {items[0].name}')
    return [by_name[name] for name in names]
