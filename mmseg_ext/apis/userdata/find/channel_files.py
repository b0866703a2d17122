"""Images whose channels lie in a file each, as for nnU-Net: ``a_0000.png``, ``a_0001.png``."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from .folders import Tree, kind_of
from .pairs import Layout

_CHANNEL = re.compile(r'(.+)_(\d{4})')
JOINED = '.tif'

Cases = dict[str, list[str]]  # path of an image without ending -> paths of its channels, in order


def find_channel_files(tree: Tree) -> Cases:
    """Return the images of a folder whose channels lie in several files; empty if there are none.

    The masks have the names without the numbers; frames of a video have them in both names.

    Raises:
        ValueError: If an image lacks a channel that others have.
    """
    cases: dict[str, dict[str, str]] = defaultdict(dict)
    for folder, names in tree.files.items():
        if kind_of(folder).role != 'image':
            continue
        for name in names:
            found = _CHANNEL.fullmatch(os.path.splitext(name)[0])
            if found is None:
                return {}
            cases[_below(folder, found[1])][found[2]] = _below(folder, name)
    numbers = sorted({number for case in cases.values() for number in case})
    if len(numbers) < 2 or numbers[0] != '0000' or not _masks_lack_numbers(tree, list(cases)):
        return {}
    for case, files in cases.items():
        lacking = [number for number in numbers if number not in files]
        if lacking:
            raise ValueError(
                f'{tree.root / case}_{lacking[0]}: no such channel, which other images have: add '
                f'it, or take {next(iter(files.values()))} away'
            )
    return {case: [files[number] for number in numbers] for case, files in cases.items()}


def _masks_lack_numbers(tree: Tree, cases: Sequence[str]) -> bool:
    masks = [name for folder in tree.files if kind_of(folder).role == 'mask'
             for name in tree.files[folder]]  # fmt: skip
    stems = {os.path.splitext(name)[0] for name in masks}
    numbered = any(_CHANNEL.fullmatch(stem) for stem in stems)
    return not numbered and any(PurePosixPath(case).name in stems for case in cases)


def _below(folder: str, name: str) -> str:
    return PurePosixPath(folder, name).as_posix()


def with_joined(tree: Tree, cases: Cases) -> Tree:
    """Return the files as they will be when the channels of each image are joined."""
    files = dict(tree.files)
    for case in cases:
        files.pop(str(PurePosixPath(case).parent), None)
    for case in sorted(cases):
        path = PurePosixPath(case)
        files.setdefault(str(path.parent), []).append(path.name + JOINED)
    return replace(tree, files=files)


def use_joined(layout: Layout, cases: Cases, folder: str) -> None:
    """Let a layout name the joined images, and say which files they are made from.

    Args:
        layout: Changed in place.
        cases: From :func:`find_channel_files`.
        folder: Folder of the joined images, relative to the root.
    """
    for part in layout.parts.values():
        for stem in part.stems:
            case = _below(part.images, stem)
            layout.channels[case] = cases[case]
        part.images = _below(folder, part.images)
        part.whole = False  # the folder may hold images of an earlier call
    number = len(next(iter(cases.values())))
    layout.notes.append(f'the {number} channels of each image are joined from {number} files')
