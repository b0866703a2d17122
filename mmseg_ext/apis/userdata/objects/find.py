"""Masks of two values in several files for each image: a file for each object, or for each class.

What a file, or its folder, is called is its class.
Shape letters: H row, W column.
"""

from collections.abc import Callable, Sequence
from typing import Optional

import numpy as np

from ....core.labels import evenly
from ....core.masks import read_mask
from ..find.folders import Tree
from ..outlines.drawn import Drawing, Drawn, Region, Size
from .class_folders import in_class_folders
from .image_folders import in_image_folders
from .image_names import with_image_names
from .owned import Owned, Piece

_MOST = 64  # more names than classes anyone has
_LOOKED = 8  # images whose files are compared
_ALIKE, _SAME = 0.5, 0.95  # intersection over union of masks of one thing, and of the same mask


def find_object_masks(tree: Tree) -> Optional[Drawn]:
    """Return the objects of masks in several files for each image; ``None`` for other layouts.

    Raises:
        ValueError: If files show the same thing, so that they are no objects.
    """
    found = in_image_folders(tree) or in_class_folders(tree)
    if found is not None and (found.certain or _are_of_two(tree, found)):
        return _drawn(tree, found)
    found = with_image_names(tree)
    if found is None or not (found.certain or _are_of_two(tree, found)):
        return None
    return None if _are_the_same(tree, found) else _drawn(tree, found)


def _drawn(tree: Tree, found: Owned) -> Drawn:
    names = sorted({piece.name for own in found.pieces.values() for piece in own})
    named = len(names) <= _MOST
    drawings = []
    for image, own in sorted(found.pieces.items()):
        regions = [
            Region(piece.name if named else 'object', _painter(f'{tree.root}/{piece.file}'))
            for piece in own
        ]
        drawings.append(Drawing(image, None, found.splits[image], regions))
    notes = [
        f'{found.number} masks are objects of {len(drawings)} images; their names are their '
        'classes, and what none covers is background',
        *found.notes,
    ]
    return Drawn(drawings, names if named else ['object'], notes)


def _painter(path: str) -> Callable[[Size], np.ndarray]:
    def paint(size: Size) -> np.ndarray:
        mask = read_mask(path)
        if not _has_two(mask):
            raise ValueError(
                f'{path}: the mask of an object is 0 where it is not, and one other value where '
                f'it is; it holds {np.unique(mask)[:4].tolist()}'
            )
        if mask.shape != size:
            raise ValueError(f'{path} is {mask.shape}, and its image {size} (height, width)')
        return mask > 0

    return paint


# ------------------------------------------------------------------ what the files hold


def _has_two(mask: np.ndarray) -> bool:
    values = np.unique(mask)
    return mask.ndim == 2 and len(values) <= 2 and (len(values) < 2 or values[0] == 0)


def _are_of_two(tree: Tree, found: Owned) -> bool:
    """Tell whether some files of each class hold two values."""
    files: dict[str, list[str]] = {}
    for own in found.pieces.values():
        for piece in own:
            files.setdefault(piece.name, []).append(f'{tree.root}/{piece.file}')
    try:
        return all(_has_two(read_mask(p)) for paths in files.values() for p in evenly(paths, 3))
    except (OSError, ValueError):
        return False


def _are_the_same(tree: Tree, found: Owned) -> bool:
    """Tell whether the files of an image are its one mask, stored in several ways.

    Raises:
        ValueError: If those of most images nearly agree, as the masks of several people do, or are
            the same and are called like objects.
    """
    looked = evenly([own for own in found.pieces.values() if len(own) > 1], _LOOKED)
    shares = sorted((_likeness(tree, own), index) for index, own in enumerate(looked))
    share, index = shares[len(shares) // 2]
    if share > _SAME and not found.certain:
        return True
    if share > _ALIKE:
        one, two = looked[index][:2]
        raise ValueError(
            f'{tree.root / one.file} and {two.file} cover nearly the same pixels, and so do those '
            'of other images: if several people drew them, keep one for each image; if they are '
            'classes, put each into a folder with its name, as in masks/CLASS'
        )
    return False


def _likeness(tree: Tree, own: Sequence[Piece]) -> float:
    """Return the largest intersection over union of two masks of an image."""
    masks = [read_mask(f'{tree.root}/{piece.file}') > 0 for piece in own[:6]]
    pairs = [(a, b) for i, a in enumerate(masks) for b in masks[:i] if a.shape == b.shape]
    return max((float((a & b).sum() / max((a | b).sum(), 1)) for a, b in pairs), default=0.0)
