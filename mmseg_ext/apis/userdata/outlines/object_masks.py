"""Objects whose masks lie in a file each, in a folder for each image.

These are ``a/images/a.png`` with ``a/masks/*.png``, as in the Data Science Bowl of 2018, and
``images/a.png`` with ``masks/a/*.png``. What a file is called, without numbers, is its class.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Optional

import numpy as np

from ....core.masks import read_mask
from ..find.folders import Tree, kind_of, read_name
from .drawn import Drawing, Drawn, Region, Size, split_of

_NUMBER = re.compile(r'[0-9a-f]{16,}|[\d_\-. ]+')  # a checksum, or digits
_WORDS = {'mask', 'object', 'instance', 'label', 'obj', 'cell'}
_MOST = 64  # more names than classes anyone has


def find_object_masks(tree: Tree) -> Optional[Drawn]:
    """Return the objects of masks in a file each; ``None`` for any other layout."""
    owners = _owners(tree)
    if not owners or all(len(files) == 1 for files in owners.values()):
        return None
    names = {_name(file, image) for image, files in owners.items() for file in files}
    named = len(names) <= _MOST
    drawings = [
        Drawing(
            image,
            None,
            split_of(str(PurePosixPath(image).parent)),
            [
                Region(_name(file, image) if named else 'object', _painter(f'{tree.root}/{file}'))
                for file in files
            ],
        )
        for image, files in sorted(owners.items())
    ]
    number = sum(len(files) for files in owners.values())
    notes = [f'{number} masks are objects of {len(drawings)} images; their names are their classes']
    return Drawn(drawings, sorted(names) if named else ['object'], notes)


def _owners(tree: Tree) -> dict[str, list[str]]:
    """Map images to the files in the folder of their masks; empty if a folder has no image."""
    by_stem, by_case = _images(tree)
    found = {}
    for folder, names in tree.files.items():
        if kind_of(folder).role != 'mask':
            continue
        place = PurePosixPath(folder)
        own = by_case.get(str(place.parent), []) if _is_plain(place.name) else []
        own = own or by_stem.get(place.name, [])
        if len(own) != 1:
            return {}
        found[own[0]] = [f'{folder}/{name}' for name in names]
    return found


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


def _name(path: str, image: str) -> str:
    stem = PurePosixPath(path).stem.removeprefix(PurePosixPath(image).stem)
    name = _NUMBER.sub(' ', stem).strip()
    return 'object' if name.lower().rstrip('s') in {'', *_WORDS} else name


def _painter(path: str) -> Callable[[Size], np.ndarray]:
    def paint(size: Size) -> np.ndarray:
        mask = read_mask(path)
        values = np.unique(mask)
        if mask.ndim != 2 or len(values) > 2 or (len(values) == 2 and values[0] != 0):
            raise ValueError(
                f'{path}: the mask of an object is 0 where it is not, and one other value where '
                f'it is; it holds {values[:4].tolist()}'
            )
        if mask.shape != size:
            raise ValueError(f'{path} is {mask.shape}, and its image {size} (height, width)')
        return mask > 0

    return paint
