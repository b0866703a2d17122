"""Which images may be labelled: none of val or test, no two of one name, no name that is lost."""

import filecmp
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Optional

from ...datasets.folder import read_list
from ...datasets.stem_files import files_by_stem
from ..userdata.file import DataFile
from ..userdata.scan import in_threads
from ..userdata.unlabelled import digest_of

_PART = 'train'


class HeldOut:
    """The images of val and test, which must not be trained on.

    Args:
        data: The data set.
    """

    def __init__(self, data: DataFile) -> None:
        self.data = data
        parts = [part for part in data.parts if part != _PART]
        self.files = {path: part for part in parts for path in images_of(data, part)}

    def has_file(self, path: str) -> bool:
        """Whether an image is one of their files, or has the same bytes as one."""
        try:
            size = os.path.getsize(path)
            alike = self._by_size.get(size, ())
            return any(filecmp.cmp(path, other, shallow=False) for other in alike)
        except OSError:  # a broken link: what reads it says so
            return False

    def part_of(self, path: str) -> Optional[str]:
        """The split that holds an image with the same pixels."""
        return self._by_pixels.get(digest_of(self.data, path))

    def twins(self, paths: Sequence[str]) -> dict[str, str]:
        """The files with the pixels of an image of theirs -> the split that holds it."""
        digests = in_threads(lambda path: digest_of(self.data, path), paths)
        return {
            path: self._by_pixels[digest]
            for path, digest in zip(paths, digests)
            if digest in self._by_pixels
        }

    @cached_property
    def _by_size(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = defaultdict(list)
        for path in self.files:
            if os.path.isfile(path):
                found[os.path.getsize(path)].append(path)
        return dict(found)

    @cached_property
    def _by_pixels(self) -> dict[str, str]:
        digests = in_threads(lambda path: digest_of(self.data, path), list(self.files))
        return {digest: part for digest, part in zip(digests, self.files.values()) if digest}


def images_of(data: DataFile, part: str) -> list[str]:
    """The images of a split, with or without masks, as far as they are there."""
    where = data.part(part)
    images = files_by_stem(str(data.root / where['images']), data.image_suffix)
    listed = read_list(data.path.parent / where['list']) if where.get('list') else images
    return [images[stem] for stem in listed if stem in images]


def check_namesakes(data: DataFile, stem: str, paths: Sequence[str]) -> None:
    """Refuse different images of one name: it would be open which of them a mask is of.

    Raises:
        ValueError: If two have different pixels.
    """
    for path in paths[1:]:
        if not _is_same(data, paths[0], path):
            raise ValueError(
                f'{path} and {paths[0]} are different images of the name {stem!r}, which says of '
                'which image a mask is: rename the one that has no mask yet'
            )


def _is_same(data: DataFile, first: str, second: str) -> bool:
    try:
        if os.path.samefile(first, second) or filecmp.cmp(first, second, shallow=False):
            return True
    except OSError:
        return False
    digest = digest_of(data, first)
    return bool(digest) and digest == digest_of(data, second)


def check_listable(images: Mapping[str, str], *, encoded: bool = True) -> None:
    """Refuse names that do not come back from a list, or that no labelling tool can hold.

    Args:
        images: Stem to file.
        encoded: Whether names must be UTF-8, as in JSON and XML.

    Raises:
        ValueError: If a name has a line break, or blanks at its start or end, or is not UTF-8.
    """
    lost = [path for stem, path in images.items() if [stem.strip()] != stem.splitlines()]
    foreign = [path for path in images.values() if encoded and not _is_text(path)]
    for paths, why in ((lost, 'a line break, or blanks at an end'), (foreign, 'no UTF-8')):
        if paths:
            raise ValueError(f'{ascii(paths[0])}: the name has {why}: rename the file')


def _is_text(path: str) -> bool:
    return not any('\ud800' <= character <= '\udfff' for character in path)


def in_several(images: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """Join folders of images: stem to all files of this stem."""
    found: dict[str, list[str]] = defaultdict(list)
    for folder in images:
        for stem, path in folder.items():
            found[stem].append(path)
    return dict(found)
