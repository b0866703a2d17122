"""A folder of masks for each image.

These are ``a/images/a.png`` with ``a/masks/*.png``, as in the Data Science Bowl of 2018, and
``images/a.png`` with ``masks/a/*.png``.
"""

from collections import defaultdict
from pathlib import PurePosixPath
from typing import Optional

from ..find.folders import Tree, kind_of, read_name
from ..outlines.drawn import split_of
from .owned import Owned, Piece, class_of, owned


def in_image_folders(tree: Tree) -> Optional[Owned]:
    """Find a folder of masks for each image; ``None`` if a folder has no image."""
    by_stem, by_case = _images(tree)
    found: dict[str, list[Piece]] = {}
    for folder, names in tree.files.items():
        if kind_of(folder).role != 'mask':
            continue
        place = PurePosixPath(folder)
        own = by_case.get(str(place.parent), []) if _is_plain(place.name) else []
        own = own or by_stem.get(place.name, [])
        if len(own) != 1:
            return None
        stem = PurePosixPath(own[0]).stem
        found[own[0]] = [
            Piece(f'{folder}/{name}', class_of(PurePosixPath(name).stem.removeprefix(stem)))
            for name in names
        ]
    if all(len(own) == 1 for own in found.values()):
        return None
    splits = {image: split_of(str(PurePosixPath(image).parent)) for image in found}
    return owned(found, splits, (), True)


def _images(tree: Tree) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the images by their stems, and those alone in a folder ``images`` by its parent."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    by_case: dict[str, list[str]] = defaultdict(list)
    for folder, names in tree.files.items():
        place = PurePosixPath(folder)
        if kind_of(folder).role not in ('image', ''):
            continue
        for name in names:
            by_stem[PurePosixPath(name).stem].append((place / name).as_posix())
        if _is_plain(place.name) and _is_plain(place.parent.name) and len(names) == 1:
            by_case[str(place.parent)].append(f'{folder}/{names[0]}')
    return by_stem, by_case


def _is_plain(name: str) -> bool:
    """Tell whether a folder has a name that is not of a split; the root of all has none."""
    return bool(name) and not read_name(name)[1]
