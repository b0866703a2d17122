"""The area of each class in each predicted image.

Shape letters: K class, H row, W column.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ...core.files import PathLike, write_csv
from .geotiff import Tag, square_metres, tags_of

AREAS = 'areas.csv'
_HEAD = ('image', 'class', 'pixels', 'share', 'square_metres')


class Area(NamedTuple):
    """The area of a class in an image.

    Args:
        pixels: Its number of pixels.
        share: Of the pixels of the image, from 0 to 1.
        square_metres: ``None`` if the image does not say how large a pixel is.
    """

    pixels: int
    share: float
    square_metres: Optional[float]


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


def areas_of(label: np.ndarray, path: Path, classes: Sequence[str]) -> dict[str, Area]:
    """Return the area of each class in the labels ``(H, W)`` of an image file."""
    entry = area_of(count_pixels(label, len(classes)), tags_of(path))
    return dict(zip(classes, _areas(entry)))


def _areas(entry: dict) -> list[Area]:
    """Return the areas that an entry of the listing holds, in the order of the classes."""
    total, size = max(1, sum(entry['pixels'])), entry.get('pixel_area')
    return [
        Area(count, count / total, None if size is None else count * size)
        for count in entry['pixels']
    ]


def write_areas(path: PathLike, entries: Iterable[dict], classes: Sequence[str]) -> None:
    """Write a CSV file with a line for each image and class.

    Args:
        path: File to write.
        entries: Of the listing.
        classes: Names of the classes.
    """
    write_csv(path, _HEAD, _rows(entries, classes))


def _rows(entries: Iterable[dict], classes: Sequence[str]) -> Iterator[tuple]:
    for entry in entries:
        for name, area in zip(classes, _areas(entry)):
            metres = '' if area.square_metres is None else f'{area.square_metres:.10g}'
            yield (entry['image'], name, area.pixels, f'{area.share:.6f}', metres)
