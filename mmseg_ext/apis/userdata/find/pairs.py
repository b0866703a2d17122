"""Pair images with masks by their names."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Optional

from .folders import Kinds, Tree

# Endings of masks, the best one first if an image has several.
_PREFERRED = ('labeltrainids', 'labelids', 'mask', 'label')


_ALIKE: tuple[tuple[Callable[[str], str], str], ...] = (
    (
        lambda name: unicodedata.normalize('NFC', name),
        'how accents are stored (Unicode NFD, as macOS writes them, and NFC)',
    ),
    (str.lower, 'capitals'),
)


@dataclass
class Folders:
    """Folders of images and masks of a split, and the stems that belong to it.

    Args:
        images: Folder of the images, relative to the root.
        masks: The same for masks.
        stems: Paths below the folders without endings.
        whole: Whether these are all files in the folders, so that no list is needed.
    """

    images: str
    masks: str
    stems: list[str] = field(default_factory=list)
    whole: bool = True


@dataclass
class Layout:
    """The layout found in a folder.

    Args:
        root: The folder.
        parts: Folders of each split.
        image_suffix: Endings of image files.
        mask_suffix: Endings of mask files.
        notes: Decisions, and what was left out, one line each.
        split_by: How the data define their splits, for messages.
        channels: Image to be joined -> the files of its channels, below the root.
        image_channels: Channels of the images, if not those of color.
        image_max_value: The value that counts as white, if not that of 8 bits.
        image_min_value: The value that counts as black, if not 0.
        group_file: CSV file of stems and groups, relative to the root.
        volume_file: JSON file of the volumes that images are slices of, relative to the root.
    """

    root: Path
    parts: dict[str, Folders]
    image_suffix: list[str]
    mask_suffix: list[str]
    notes: list[str]
    split_by: str = ''
    channels: dict[str, list[str]] = field(default_factory=dict)
    image_channels: Optional[int] = None
    image_max_value: Optional[int] = None
    image_min_value: Optional[int] = None
    group_file: str = ''
    volume_file: str = ''


def pair_folders(tree: Tree, images: Kinds, masks: Kinds) -> Layout:
    """Pair images and masks, split by split.

    Args:
        tree: The files.
        images: Folders of images.
        masks: Folders of masks.

    Returns:
        The layout; it has no split if no image has a mask.

    Raises:
        ValueError: If the files of a split are in several folders.
    """
    layout = Layout(tree.root, {}, [], [], [])
    jobs = []
    for split in sorted({kind.split for kind in images.values()}):
        own = {f: k for f, k in images.items() if k.split == split}
        theirs = {f: k for f, k in masks.items() if k.split == split}
        theirs = theirs or {f: k for f, k in masks.items() if k.split == ''}
        if not theirs:
            layout.notes.append(f'{", ".join(sorted(own))}: left out, as it has no masks')
            continue
        ends = _endings(_names(tree, own), _names(tree, theirs), layout.notes)
        layout.image_suffix += _suffixes(tree, own, ends[0])
        layout.mask_suffix += _suffixes(tree, theirs, ends[1])
        jobs.append((split, Folders(_top(tree.root, own), _top(tree.root, theirs))))
    # The longest first, as one ending may be part of another.
    layout.image_suffix = sorted(set(layout.image_suffix), key=lambda s: (-len(s), s))
    layout.mask_suffix = sorted(set(layout.mask_suffix), key=lambda s: (-len(s), s))
    for split, part in jobs:
        match(part, layout, tree)
        if part.stems:
            layout.parts[split] = part
    return layout


def nearly_alike(tree: Tree, images: Kinds, masks: Kinds) -> str:
    """Say what keeps names of images and masks apart that look alike, if anything does."""
    stems = [
        {os.path.splitext(name)[0] for folder in kinds for name in tree.files[folder]}
        for kinds in (images, masks)
    ]
    for plain, why in _ALIKE:
        own, theirs = ({plain(stem) for stem in part} for part in stems)
        if 2 * len(own & theirs) >= min(len(own), len(theirs)):
            return f'They differ in {why}: rename one side. '
    return ''


def _names(tree: Tree, folders: Kinds) -> list[str]:
    return [name for folder in folders for name in tree.files[folder]]


def _top(root: Path, folders: Kinds) -> str:
    """Return the folder below which images and masks have equal paths."""
    tops = sorted({kind.top for kind in folders.values()})
    if len(tops) > 1:
        raise ValueError(
            f'{root}: files of one kind lie in {len(tops)} folders ({", ".join(tops[:3])}, ...): '
            'name the right one with --images or --masks, or move them below one folder for the '
            'images and one for the masks'
        )
    return tops[0]


def match(part: Folders, layout: Layout, tree: Tree) -> None:
    """Set the stems of images that have a mask, and note the others."""
    images = _stems(part.images, layout.image_suffix, tree)
    masks = _stems(part.masks, layout.mask_suffix, tree)
    part.stems = sorted(images & masks)
    part.whole = images <= masks
    if part.images == part.masks:  # masks may have the ending of images, too
        images -= _files_of_masks(masks, layout)
    for spare, kind, folder in (
        (sorted(images - masks), 'images without a mask', part.images),
        (sorted(masks - images), 'masks without an image', part.masks),
    ):
        if spare and part.stems:
            layout.notes.append(f'{folder}: {len(spare)} {kind} left out, such as {spare[0]}')


def _files_of_masks(masks: set[str], layout: Layout) -> set[str]:
    """Return the stems that masks would have if they were images."""
    ends = [(mask, image) for mask in layout.mask_suffix for image in layout.image_suffix]
    shared = {mask[: len(mask) - len(image)] for mask, image in ends if mask.endswith(image)}
    return {stem + end for stem in masks for end in shared}


def _stems(folder: str, suffixes: Sequence[str], tree: Tree) -> set[str]:
    """Return the paths below a folder without endings; a stem must have a single file."""
    found: dict[str, str] = {}
    for place, names in tree.files.items():
        if folder not in ('.', place) and not place.startswith(f'{folder}/'):
            continue
        below = os.path.relpath(place, folder)
        for name in names:
            end = next((s for s in suffixes if name.lower().endswith(s)), None)
            if end is not None:
                stem = name[: len(name) - len(end)]
                stem = stem if below == '.' else f'{PurePosixPath(below).as_posix()}/{stem}'
                if stem in found:
                    raise ValueError(
                        f'{tree.root / place}: {found[stem]} and {name} have the same stem: '
                        'remove one'
                    )
                found[stem] = name
    return set(found)


def _suffixes(tree: Tree, folders: Kinds, end: str) -> list[str]:
    kinds = {os.path.splitext(name)[1].lower() for name in _names(tree, folders)}
    return sorted(f'{end.lower()}{kind}' for kind in kinds)


# ------------------------------------------------------------------------------ endings


def _endings(images: Sequence[str], masks: Sequence[str], notes: list[str]) -> tuple[str, str]:
    """Return what image and mask names append to their common stem, before the suffix."""
    image_stems = {os.path.splitext(name)[0] for name in images}
    mask_stems = {os.path.splitext(name)[0] for name in masks}
    if 2 * len(image_stems & mask_stems) >= min(len(image_stems), len(mask_stems)):
        return '', ''
    for image_end in ('', _common_end(image_stems)):
        shorter = {s[: len(s) - len(image_end)] for s in image_stems}
        ends = Counter(
            end for stem in mask_stems for end in [_rest_of(stem, shorter)] if end is not None
        )
        if ends:
            best = _best_end(ends)
            others = [f'{end} ({ends[end]})' for end in sorted(ends) if end != best and end]
            if others:
                notes.append(
                    f'masks ending in {best or "nothing more"} were taken, and left out '
                    f'{", ".join(others[:4])}: mask_suffix of the file chooses others'
                )
            return image_end, best
    return '', ''  # nothing fits: the caller raises an error with examples


def _common_end(stems: set[str]) -> str:
    """Return the common ending of all stems, from a separator on, without numbers before it."""
    shared = os.path.commonprefix([stem[::-1] for stem in stems])[::-1]
    found = re.search(r'[_\-. ].*', shared)
    return re.sub(r'^([_\-. ]\d+)+(?=[_\-. ])', '', found.group(0)) if found else ''


def _rest_of(stem: str, beginnings: set[str]) -> Optional[str]:
    """Return what follows the longest known beginning."""
    for length in range(len(stem), 0, -1):
        if stem[:length] in beginnings:
            return stem[length:]
    return None


def _best_end(ends: Counter) -> str:
    """Return the most common ending; of equal ones, the one that most suggests class ids."""

    def rank(end: str) -> tuple[int, int, str]:
        sounds = [i for i, word in enumerate(_PREFERRED) if word in end.lower().replace('_', '')]
        return -ends[end], sounds[0] if sounds else len(_PREFERRED), end

    return min(ends, key=rank)
