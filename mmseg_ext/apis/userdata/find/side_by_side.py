"""Layouts with images and masks in the same folders, which file endings or names tell apart."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Optional

from ....datasets.folder import IMAGE_SUFFIXES
from .folders import MASK_WORDS, Kinds, Tree, read_name
from .pairs import Folders, Layout, match


def in_one_folder(tree: Tree, kinds: Kinds) -> Optional[Layout]:
    """Find images and masks in the same folders by their endings."""
    found = paired_endings([name for folder in kinds for name in tree.files[folder]])
    if not found:
        return None
    best = max(found, key=lambda pair: (found[pair], pair))
    layout = _side_by_side(tree, kinds, *best)
    others = sorted(f'{pair[1]} ({found[pair]})' for pair in found if pair[1] != best[1])
    if others and layout is not None:
        layout.notes.append(
            f'masks ending in {best[1]} were taken, and left out {", ".join(others[:4])}: '
            'mask_suffix of the file chooses others'
        )
    return layout


def _side_by_side(tree: Tree, kinds: Kinds, image_end: str, mask_end: str) -> Optional[Layout]:
    """Return the layout for these two endings in the same folders; ``None`` without pairs."""
    layout = Layout(tree.root, {}, [image_end], [mask_end], [])
    for split in sorted({kind.split for kind in kinds.values()}):
        tops = [PurePosixPath(kind.top) for kind in kinds.values() if kind.split == split]
        top = os.path.commonpath(tops) or '.'
        part = Folders(top, top)
        match(part, layout, tree)
        part.whole = False  # the folder also contains masks, which are not images
        if part.stems:
            layout.parts[split] = part
    return layout if layout.parts else None


def paired_endings(names: Sequence[str]) -> Counter:
    """Map pairs of image and mask ending to the number of stems that have both."""
    known = {name.lower() for name in names}
    found: Counter = Counter()
    for name in known:
        stem, suffix = os.path.splitext(name)
        for word in sorted(MASK_WORDS | {'l', 'masks', 'labels'}):
            for separator in '_-.':
                end = f'{separator}{word}'
                if stem.endswith(end):
                    for other in IMAGE_SUFFIXES:
                        if stem[: -len(end)] + other in known:
                            found[other, end + suffix] += 1
        if suffix in ('.png', '.bmp', '.tif', '.tiff'):
            for other in ('.jpg', '.jpeg'):  # photographs may be JPEG, labels may not
                if stem + other in known:
                    found[other, suffix] += 1
    return found


def in_cases(tree: Tree, kinds: Kinds) -> Optional[Layout]:
    """Find one folder per case, in each of which files have the same names."""
    times = Counter(name.lower() for folder in kinds for name in tree.files[folder])
    usual = [name for name, number in times.items() if number > 1 and 2 * number >= len(kinds)]
    roles = {name: read_name(os.path.splitext(name)[0])[0] for name in usual}
    masks = sorted(name for name in usual if roles[name] == 'mask')
    images = sorted(name for name in usual if roles[name] == 'image')
    images = images or sorted(name for name in usual if roles[name] == '')
    if not masks or not images:
        return None
    if len(masks) > 1 or len(images) > 1:
        raise ValueError(
            f'{tree.root}: the folders hold {", ".join(images)} and {", ".join(masks)}, so that '
            'it is not clear which file is the image and which the mask: keep one of each'
        )
    cases = {f: replace(k, top=PurePosixPath(f).parent.as_posix()) for f, k in kinds.items()}
    return _side_by_side(tree, cases, images[0], masks[0])
