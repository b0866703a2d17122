"""Several files that are called like their image.

These are ``a.jpg`` with ``a_1.png`` and ``a_2.png``, or ``a_mask.png`` and ``a_mask_1.png``, or
``a_road.png`` and ``a_car.png``, beside it or in a folder of masks; and a folder for each image,
with ``image.png``, ``mask_1.png`` and ``mask_2.png``.
"""

import re
from pathlib import PurePosixPath
from typing import Optional

from ..find.folders import Tree, kind_of, read_name
from ..outlines.drawn import split_of
from .owned import Images, Owned, Piece, class_of, is_mask_word, longest_beginning, owned, place_of

_JPEG = ('.jpg', '.jpeg')  # no masks beside images

Files = dict[str, list[tuple[str, str]]]  # image -> files, and what follows the image's stem


def with_image_names(tree: Tree) -> Optional[Owned]:
    """Find several files that are called like their image; ``None`` if no image has them."""
    kinds = {folder: kind_of(folder) for folder in tree.files}
    masks = [folder for folder, kind in kinds.items() if kind.role == 'mask']
    images = [folder for folder, kind in kinds.items() if kind.role == 'image']
    plain = [folder for folder, kind in kinds.items() if kind.role == '']
    if len({kinds[folder].key for folder in masks}) > 1:
        return None
    if masks:
        found, splits, lost = _in_folders(tree, Images(tree, images or plain), masks)
    else:
        found, splits, lost = _beside(tree, images + plain), {}, []
        splits = {image: split_of(str(PurePosixPath(image).parent)) for image in found}
    number = sum(len(own) for own in found.values())
    if all(len(own) < 2 for own in found.values()) or number <= len(lost):
        return None
    return _owned(found, splits, lost, in_folder=bool(masks))


def _in_folders(
    tree: Tree, images: Images, masks: list[str]
) -> tuple[Files, dict[str, str], list[str]]:
    found: Files = {image: [] for image in images.splits}
    lost = []
    for folder in masks:
        place = place_of(PurePosixPath(folder).parts)
        for name in tree.files[folder]:
            stem = PurePosixPath(name).stem
            image = images.owner(place, stem)
            if image:
                end = stem.removeprefix(PurePosixPath(image).stem)
                found[image].append((f'{folder}/{name}', end))
            else:
                lost.append(f'{folder}/{name}')
    return found, images.splits, lost


def _beside(tree: Tree, folders: list[str]) -> Files:
    found: Files = {}
    for folder in folders:
        place = PurePosixPath(folder)
        for name, own in _beside_in(tree.files[folder]).items():
            found[(place / name).as_posix()] = [((place / f).as_posix(), end) for f, end in own]
    return found


def _beside_in(names: list[str]) -> Files:
    """Map the images in a folder to the files there that are called like them."""
    stems = {name: PurePosixPath(name).stem for name in names}
    able = [name for name in names if not name.lower().endswith(_JPEG)]
    images = {stems[name]: name for name in names if name.lower().endswith(_JPEG)}
    every = set(stems.values())
    for name in able:
        own = longest_beginning(stems[name], every, proper=True) is None
        if own and read_name(stems[name])[0] != 'mask':
            images.setdefault(stems[name], name)
    found: Files = {name: [] for name in images.values()}
    only = next(iter(images)) if len(images) == 1 else None  # image.png, mask_1.png, mask_2.png
    for name in able:
        stem = longest_beginning(stems[name], images)
        if stem is None and read_name(stems[name])[0] == 'mask':
            stem = only
        if stem is not None and images[stem] != name:
            found[images[stem]].append((name, stems[name].removeprefix(stem)))
    return found


def _owned(found: Files, splits: dict[str, str], lost: list[str], *, in_folder: bool) -> Owned:
    ends = {end for own in found.values() for _, end in own}
    kinds = {re.sub(r'[\d_\-. ()]+', '', end) for end in ends}
    alone = len(kinds) == 1  # files differ in numbers only
    pieces = {
        image: [Piece(file, class_of(end)) for file, end in own] for image, own in found.items()
    }
    certain = alone and (in_folder or is_mask_word(min(kinds)))
    result = owned(pieces, splits, lost, certain)
    if alone:
        result.notes.append(
            'files of an image that differ in a number are taken for objects of one class: if they '
            'are classes, name them by these, as in a_CLASS.png'
        )
    return result
