"""Which image of a split belongs to which mask, and to which group."""

import os
from collections.abc import Sequence
from typing import NamedTuple, Union, overload

import numpy as np

from ...core.files import PathLike
from ...datasets.folder import read_list
from ...datasets.groups import read_groups
from ...datasets.stem_files import StemFiles, files_by_stem
from .file import DataFile

_PIECE = 4096  # images at a time


class Pair(NamedTuple):
    """Files of an image and its mask, and their stem as in a list."""

    stem: str
    image: str
    mask: str


class Pairs(Sequence[Pair]):
    """Pairs of a split, each made when it is asked for: some 30 bytes each for short names.

    Args:
        images: Images by their stems.
        masks: Masks by theirs.
        places: Places of image and mask, ``(N, 2)``.
    """

    def __init__(self, images: StemFiles, masks: StemFiles, places: np.ndarray) -> None:
        self._images = images
        self._masks = masks
        self._places = places.astype(np.int32)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Pair: ...
    @overload
    def __getitem__(self, place: slice) -> 'Pairs': ...
    def __getitem__(self, place: Union[int, slice]) -> Union[Pair, 'Pairs']:
        if isinstance(place, slice):
            return Pairs(self._images, self._masks, self._places[place])
        image, mask = self._places[place].tolist()
        files = self._images.file_at(image), self._masks.file_at(mask)
        return Pair(self._images.stem_at(image), *files)


class Paired(NamedTuple):
    """Files of a split: pairs, stems of images without a mask, and of masks without an image."""

    pairs: Pairs
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
    images = StemFiles(str(folders['images']), data.image_suffix)
    masks = StemFiles(str(folders['masks']), data.mask_suffix)
    listed = where.get('list')
    places = _listed(data, part, images) if listed else np.arange(len(images))
    if not len(places):
        found = f'{listed} names no image' if listed else (
            f'{folders["images"]} holds no file ending in {", ".join(data.image_suffix)}'
        )  # fmt: skip
        raise ValueError(f'{data.path}: the split {part} is empty: {found}')
    own = _masks_of(images, places, masks)
    pairs = Pairs(images, masks, np.stack([places, own], 1)[own >= 0])
    no_mask = [images.stem_at(place) for place in places[own < 0].tolist()]
    return Paired(pairs, no_mask, [] if listed else masks.absent_from(images))


def _masks_of(images: StemFiles, places: np.ndarray, masks: StemFiles) -> np.ndarray:
    """Return the place of the mask of each image, int64 ``(n,)``; -1 where there is none."""
    found = [np.zeros(0, np.int64)]
    for start in range(0, len(places), _PIECE):
        stems = [images.stem_at(place) for place in places[start : start + _PIECE].tolist()]
        found.append(masks.places(stems))
    return np.concatenate(found)


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


def _listed(data: DataFile, part: str, images: StemFiles) -> np.ndarray:
    path = data.path.parent / data.part(part)['list']
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such list, which {data.path} names as {part}.list: correct it, or leave '
            'it out to take the whole folder'
        )
    stems = read_list(path)
    places = images.places(stems)
    absent = [stem for stem, place in zip(stems, places.tolist()) if place < 0]
    if absent:
        folder = data.root / data.part(part)['images']
        raise FileNotFoundError(
            f'{path} names {absent[0]!r}{and_more(absent)}, and {folder} '
            f'has no such file ending in {", ".join(data.image_suffix)}: a line is the path below '
            'that folder without the ending'
        )
    return places


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
