"""The area of each class in each predicted image.

Shape letters: K class, H row, W column.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...core.files import PathLike, write_bytes
from .geotiff import Tag, square_metres

AREAS = 'areas.csv'
_HEAD = ('image', 'class', 'pixels', 'share', 'square_metres')


def count_pixels(label: np.ndarray, classes: int) -> np.ndarray:
    """Count the pixels of each class in labels ``(H, W)``, ``(K,)`` int64."""
    return np.bincount(label.ravel(), minlength=classes)[:classes]


def area_of(pixels: np.ndarray, tags: Sequence[Tag]) -> dict[str, Any]:
    """Return what the listing says of areas.

    Args:
        pixels: From :func:`count_pixels`.
        tags: From :func:`.geotiff.tags_of`.

    Returns:
        ``pixels`` of each class; ``pixel_area`` in square metres if the tags say it.
    """
    area = square_metres(tags)
    return dict(pixels=pixels.tolist(), **({} if area is None else dict(pixel_area=area)))


def write_areas(path: PathLike, entries: Iterable[dict], classes: Sequence[str]) -> None:
    """Write a CSV file with a line for each image and class.

    Args:
        path: File to write.
        entries: Of the listing.
        classes: Names of the classes.
    """
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator='\n')
    table.writerow(_HEAD)
    for entry in entries:
        total = max(1, sum(entry['pixels']))
        for name, count in zip(classes, entry['pixels']):
            area = f'{count * entry["pixel_area"]:.10g}' if 'pixel_area' in entry else ''
            table.writerow((entry['image'], name, count, f'{count / total:.6f}', area))
    write_bytes(path, buffer.getvalue().encode(errors='surrogateescape'))
