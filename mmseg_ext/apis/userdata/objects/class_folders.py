"""A folder of masks for each class.

These are ``images/a.jpg`` with ``masks/road/a.png`` and ``masks/car/a.png``, with folders of splits
anywhere, and ``road/a.png`` and ``car/a.png`` beside ``images``.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Optional

from ..find.folders import Tree, kind_of, read_name
from .owned import Images, Owned, Piece, Place, owned, place_of


def in_class_folders(tree: Tree) -> Optional[Owned]:
    """Find a folder of masks for each class; ``None`` for other layouts."""
    by_role: dict[str, list[str]] = {'mask': [], 'image': [], '': [], 'other': []}
    for folder in tree.files:
        by_role[kind_of(folder).role].append(folder)
    inside = bool(by_role['mask'])
    images, masks = by_role['image'], by_role['mask'] or by_role['']
    images = images or by_role[''] * inside
    read = [_read(folder, inside=inside) for folder in masks]
    known = [entry for entry in read if entry is not None]
    if not images or len(known) < len(read) or len({entry[0] for entry in known}) != 1:
        return None
    return _by_class(tree, Images(tree, images), dict(zip(masks, known)), inside=inside)


def _read(folder: str, *, inside: bool) -> Optional[tuple[tuple[str, ...], str, Place]]:
    """Return the folder of masks, the class that a folder in it names, and its place without it.

    Args:
        folder: A path below the root.
        inside: Whether folders of classes lie in one of masks; else they lie anywhere.
    """
    parts = PurePosixPath(folder).parts
    read = [read_name(part) for part in parts]
    start = next((i + 1 for i, (role, *_) in enumerate(read) if role == 'mask'), 0)
    for index in range(start if inside else 0, len(parts)):
        role, split, rest = read[index]
        if role:
            return None
        if rest or not split:
            base = tuple(rest for *_, rest in read[:start] if rest)
            own = parts[index]
            name = re.sub(r'^\d+[_\-. ]+(?=.*[^\W\d])', '', own)  # '1. Vessels'
            return base, name, place_of((*parts[:index], *parts[index + 1 :]))
    return None


def _by_class(
    tree: Tree,
    images: Images,
    folders: dict[str, tuple[tuple[str, ...], str, Place]],
    *,
    inside: bool,
) -> Optional[Owned]:
    """Find the image of each file in folders of classes."""
    pieces: dict[str, list[Piece]] = {image: [] for image in images.splits}
    lost = []
    for folder, (_, name, place) in folders.items():
        for file in tree.files[folder]:
            image = images.owner(place, PurePosixPath(file).stem)
            if image:
                pieces[image].append(Piece(f'{folder}/{file}', name))
            else:
                lost.append(f'{folder}/{file}')
    classes = sorted({piece.name for own in pieces.values() for piece in own})
    # Folders of patients hold each image once.
    most = max(len({piece.name for piece in own}) for own in pieces.values())
    found = owned(pieces, images.splits, lost, inside and len(classes) > 1)
    if found.number <= len(lost) or most < min(2, len(classes)) or len(classes) < 2 - inside:
        return None
    found.notes += [f'each folder of masks is a class: {", ".join(classes)}']
    found.notes += _lacking(found, classes)
    return found


def _lacking(found: Owned, classes: Sequence[str]) -> list[str]:
    """Say which classes have no file for some images."""
    own = [{piece.name for piece in files} for files in found.pieces.values()]
    numbers = {name: sum(name not in names for names in own) for name in classes}
    shown = ', '.join(f'{name} ({number} images)' for name, number in numbers.items() if number)
    return [f'without a file, an image is taken as without the class: {shown}'] if shown else []
