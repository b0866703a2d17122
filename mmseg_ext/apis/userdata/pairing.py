"""Which image of a split belongs to which mask, and to which group."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from ...core.files import PathLike
from ...datasets.folder import read_list
from ...datasets.groups import read_groups
from ...datasets.stem_files import files_by_stem
from .file import DataFile


class Pair(NamedTuple):
    """Files of an image and its mask, and their stem as in a list."""

    stem: str
    image: str
    mask: str


class Paired(NamedTuple):
    """Files of a split: pairs, stems of images without a mask, and of masks without an image."""

    pairs: list[Pair]
    no_mask: list[str]
    no_image: list[str]


def pair_files(data: DataFile, part: str) -> Paired:
    """List the images of a split with their masks.

    Raises:
        FileNotFoundError: If a folder or the list is absent, or the list names a missing file.
        ValueError: If the split is empty, or two files have the same stem.
    """
    where = data.part(part)
    folders = {key: data.root / where[key] for key in ('images', 'masks')}
    for key, folder in folders.items():
        if not folder.is_dir():
            raise FileNotFoundError(
                f'{folder}: no such folder, which {data.path} names as {part}.{key}: correct it, '
                f'or root, which is {data.root}'
            )
    images = files_by_stem(str(folders['images']), data.image_suffix)
    masks = files_by_stem(str(folders['masks']), data.mask_suffix)
    stems = _listed(data, part, images) if where.get('list') else sorted(images)
    if not stems:
        listed = where.get('list')
        found = f'{listed} names no image' if listed else (
            f'{folders["images"]} holds no file ending in {", ".join(data.image_suffix)}'
        )  # fmt: skip
        raise ValueError(f'{data.path}: the split {part} is empty: {found}')
    pairs = [Pair(stem, images[stem], masks[stem]) for stem in stems if stem in masks]
    spare = [] if where.get('list') else sorted(set(masks) - set(images))
    return Paired(pairs, [stem for stem in stems if stem not in masks], spare)


def image_files(data: DataFile, folder: PathLike) -> dict[str, str]:
    """Map stems to images of any folder; masks of the data set that lie among them are left out.

    Raises:
        ValueError: If two files have the same stem.
    """
    masks: set[str] = set()
    for part in data.parts:
        where = {key: str(data.root / data.part(part)[key]) for key in ('images', 'masks')}
        images = files_by_stem(where['images'], data.image_suffix)
        found = files_by_stem(where['masks'], data.mask_suffix)
        masks.update(os.path.abspath(found[stem]) for stem in found.keys() & images.keys())
    return {
        stem: path
        for stem, path in files_by_stem(str(folder), data.image_suffix).items()
        if os.path.abspath(path) not in masks
    }


def _listed(data: DataFile, part: str, images: dict[str, str]) -> list[str]:
    path = data.path.parent / data.part(part)['list']
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such list, which {data.path} names as {part}.list: correct it, or leave '
            'it out to take the whole folder'
        )
    stems = read_list(path)
    absent = [stem for stem in stems if stem not in images]
    if absent:
        folder = data.root / data.part(part)['images']
        raise FileNotFoundError(
            f'{path} names {absent[0]!r}{and_more(absent)}, and {folder} '
            f'has no such file ending in {", ".join(data.image_suffix)}: a line is the path below '
            'that folder without the ending'
        )
    return stems


def read_group_file(data: DataFile) -> dict[str, str]:
    """Read the group file as stem -> group; empty if there is none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a CSV file of stem,group.
    """
    if not data.group_file:
        return {}
    path = data.root / data.group_file
    if not path.is_file():
        what = 'a folder' if path.is_dir() else 'no such file'
        raise FileNotFoundError(
            f'{path}: {what}, which {data.path} names as group_file: give a CSV file of stem,group'
        )
    return read_groups(str(path))


def and_more(items: Sequence) -> str:
    """How many there are beside the first, which was named; nothing if there are none."""
    return f' and {len(items) - 1} more' if len(items) > 1 else ''
