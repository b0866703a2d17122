"""What files are an image's, each with the mask of an object or of a class."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple, Optional

from ..find.folders import MASK_WORDS, Tree, read_name

_BETWEEN = re.compile(r'[_\-. ()\[\]]+')
_CHECKSUM = re.compile(r'[0-9a-f]{16,}')
_KIND = re.compile(r'(?<![a-z])(class|cls|category|type)[_\-. ]?(\d+)', re.IGNORECASE)  # no object
_WORDS = {'object', 'instance', 'obj', 'cell'}

Place = tuple[str, tuple[str, ...]]  # split, and names of folders that say neither role nor split


class Piece(NamedTuple):
    """A file that holds the mask of an object, or of a class.

    Args:
        file: Its path below the root.
        name: Its class.
    """

    file: str
    name: str


@dataclass
class Owned:
    """The files of each image.

    Args:
        pieces: Path of an image below the root -> its files, at least one.
        splits: Path of an image -> its split.
        certain: Whether names alone show that the files are objects, or classes.
        notes: What was left out or taken for granted, one line each.
    """

    pieces: dict[str, list[Piece]]
    splits: dict[str, str]
    certain: bool
    notes: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        """Number of files."""
        return sum(len(own) for own in self.pieces.values())


def owned(
    pieces: dict[str, list[Piece]], splits: dict[str, str], lost: Collection[str], certain: bool
) -> Owned:
    """Return the files of images, and note what was left out.

    Args:
        pieces: Path of an image -> its files, which may be none.
        splits: Path of an image -> its split.
        lost: Files without an image.
        certain: As in :class:`Owned`.
    """
    notes = []
    bare = sorted(image for image, own in pieces.items() if not own)
    if bare:
        notes.append(f'{len(bare)} images without a mask left out, such as {bare[0]}')
    if lost:
        notes.append(f'{len(lost)} masks without an image left out, such as {min(lost)}')
    return Owned({image: own for image, own in pieces.items() if own}, splits, certain, notes)


class Images:
    """The images below a folder, by split, folder and stem.

    Args:
        tree: The files.
        folders: Those of them that hold images.
    """

    def __init__(self, tree: Tree, folders: Iterable[str]) -> None:
        self.found: dict[Place, dict[str, str]] = {}
        self.splits: dict[str, str] = {}
        for folder in folders:
            place = place_of(PurePosixPath(folder).parts)
            for name in tree.files[folder]:
                image = PurePosixPath(folder, name).as_posix()
                self.found.setdefault(place, {})[PurePosixPath(name).stem] = image
                self.splits[image] = place[0]

    def owner(self, place: Place, stem: str) -> str:
        """Return the image whose stem a mask's begins with; empty if there is none, or several.

        Args:
            place: Of the mask; without a split, images of all splits are looked at.
            stem: Of the mask.
        """
        split, folders = place
        places = [place] if split else [key for key in self.found if key[1] == folders]
        found = []
        for stems in (self.found.get(key, {}) for key in places):
            own = longest_beginning(stem, stems)
            found += [] if own is None else [stems[own]]
        return found[0] if len(found) == 1 else ''


def place_of(parts: Iterable[str]) -> Place:
    """Return the place that the names on a folder's path say."""
    read = [(part, *read_name(part)) for part in parts]
    splits = [split for _, _, split, _ in read if split]
    plain = tuple(part for part, role, split, _ in read if not role and not split)
    return splits[-1] if splits else '', plain


def longest_beginning(stem: str, known: Collection[str], *, proper: bool = False) -> Optional[str]:
    """Return the longest of known stems that a stem begins with, up to a separator.

    Args:
        stem: The stem.
        known: Stems that are known.
        proper: Whether the stem itself does not count.
    """
    for length in range(len(stem) - proper, 0, -1):
        if stem[:length] in known and not stem[length : length + 1].isalnum():
            return stem[:length]
    return None


def class_of(words: str) -> str:
    """Return the class that the name of a file says, without its image's name and numbers."""
    names = []
    for word in _BETWEEN.split(_KIND.sub(r'\1~\2', words)):
        plain = word if '~' in word else word.rstrip('0123456789')
        if plain and not _CHECKSUM.fullmatch(word) and not is_mask_word(plain):
            names.append(plain.replace('~', '_'))
    name = ' '.join(names)
    return 'object' if name.lower().rstrip('s') in {'', *_WORDS} else name


def is_mask_word(word: str) -> bool:
    """Tell whether a word means masks, such as ``masks`` or ``seg``."""
    return bool({word.lower(), word.lower().removesuffix('s')} & MASK_WORDS)
