"""Conversion of outlined objects to masks of class ids.

Where objects overlap, the one of the highest layer wins, and of one layer the smallest. Pixels
without an object are background, id 0.
Shape letters: H row, W column.
"""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ....core.files import write_bytes
from ....core.headers import shown_size
from ....core.labels import IGNORE
from ..made import made
from .drawn import IGNORED, Drawing, Drawn, Region, Size, find_names


class Painted(NamedTuple):
    """A mask that was painted.

    Args:
        labels: Class ids, ``(H, W)`` uint8.
        covered: How many of its pixels are of objects.
        shared: How many of its pixels are of several classes.
        hidden: Objects that those of other classes cover wholly.
        empty: Objects that cover no pixel of the image.
    """

    labels: np.ndarray
    covered: int
    shared: int
    hidden: list[Region]
    empty: list[Region]


def paint_masks(drawn: Drawn, root: Path, folder: Path) -> list[str]:
    """Write a PNG mask of class ids for each image, at the image's path below ``folder``.

    Args:
        drawn: The annotations.
        root: Folder of the images.
        folder: Folder of the masks.

    Returns:
        Notes on objects of different classes that overlap, and on those of which nothing is seen.

    Raises:
        ValueError: If no object covers any pixel, or one cannot be painted.
    """
    names, _ = find_names(drawn)
    ids = {name: index for index, name in enumerate(names)}
    done: Done = []
    with made(folder):
        for drawing in drawn.drawings:
            painted = paint_all(drawing, shown_size(root / drawing.image), ids)
            stream = io.BytesIO()
            Image.fromarray(painted.labels).save(stream, 'png')
            write_bytes((folder / drawing.image).with_suffix('.png'), stream.getvalue())
            done.append((drawing.image, painted._replace(labels=np.empty(0))))
        _refuse_nothing(done, sum(len(drawing.regions) for drawing in drawn.drawings))
    return _notes(done)


Done = list[tuple[str, Painted]]  # images with what was painted, without the masks


def _refuse_nothing(done: Done, objects: int) -> None:
    if objects and objects == sum(len(painted.empty) for _, painted in done):
        raise ValueError(
            f'none of the {objects} objects covers a pixel of its image, such as '
            f'{done[0][0]}: are their corners in pixels?'
        )


def _notes(done: Done) -> list[str]:
    notes = []
    shared = [painted.shared for _, painted in done]
    if any(shared):
        share = 100 * sum(shared) / sum(painted.covered for _, painted in done)
        notes.append(
            f'objects of different classes overlap in {np.count_nonzero(shared)} of {len(shared)} '
            f'images, in {share:.3g} % of the pixels of objects: one class is kept there'
        )
    for text, found in (
        ('lie wholly under others and are lost', [(i, r) for i, p in done for r in p.hidden]),
        ('cover no pixel and are lost', [(i, r) for i, p in done for r in p.empty]),
    ):
        if found:
            image, region = found[0]
            notes.append(f'{len(found)} objects {text}, such as a {region.name} of {image}')
    return notes


def paint(drawing: Drawing, size: Size, ids: dict[str, int]) -> np.ndarray:
    """Return the mask of an image, ``(H, W)`` uint8."""
    return paint_all(drawing, size, ids).labels


def paint_all(drawing: Drawing, size: Size, ids: dict[str, int]) -> Painted:
    """Paint the objects of an image.

    Args:
        drawing: The image with its objects.
        size: H and W.
        ids: Class name -> id.
    """
    labels = np.zeros(size, np.uint8)
    owners = np.zeros(size, np.uint32)  # number of the object that is seen, from 1
    shared = np.zeros(size, bool)
    pairs = [(region.paint(size), region) for region in drawing.regions]
    pairs.sort(key=lambda pair: (pair[1].layer, -int(pair[0].sum())))
    numbers = [IGNORE if r.name == IGNORED else ids.get(r.name, 0) for _, r in pairs]
    for index, ((pixels, _), own) in enumerate(zip(pairs, numbers), 1):
        if own != IGNORE:
            shared |= pixels & (owners > 0) & ~np.isin(labels, [own, IGNORE])
        labels[pixels], owners[pixels] = own, index
    covered = (owners > 0) & (labels != IGNORE)
    seen = set(np.unique(owners).tolist())
    unseen = [
        (pixels, region, own)
        for index, ((pixels, region), own) in enumerate(zip(pairs, numbers), 1)
        if index not in seen and own != IGNORE
    ]
    return Painted(
        labels,
        int(covered.sum()),
        int(shared.sum()),
        [region for pixels, region, own in unseen if (labels[pixels] != own).any()],
        [region for pixels, region, _ in unseen if not pixels.any()],
    )
