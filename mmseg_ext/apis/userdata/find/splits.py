"""Splits of a data set: by folders, by lists in the data set, or at random."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Optional

from ....core.files import path_below
from ....datasets.folder import read_list
from ....datasets.splits import split_ids
from .folders import SPLITS, data_files
from .pairs import Folders, Layout

RATIO = 0.8


class SplitBy(NamedTuple):
    """How to split a data set without splits; ``None`` or ``''`` where the user set nothing.

    Args:
        ratio: Share of training images.
        seed: Seed of the split.
        groups: Regular expression whose match in a stem (its first group, if it has one) names
            the patient or sequence; images of one stay together.
        unit: What is split: images, or volumes.
    """

    ratio: Optional[float] = None
    seed: Optional[int] = None
    groups: str = ''
    unit: str = 'images'

    def check(self) -> None:
        """Refuse settings that are wrong for any data.

        Raises:
            ValueError: If the ratio leaves a part empty, or the regular expression is invalid.
        """
        if self.ratio is not None and not 0 < self.ratio < 1:
            raise ValueError(f'--ratio must lie between 0 and 1, got {self.ratio}')
        if self.seed is not None and self.seed < 0:
            raise ValueError(f'--seed must be a whole number from 0, got {self.seed}')
        try:
            re.compile(self.groups)
        except re.error as error:
            raise ValueError(
                f'--groups {self.groups!r} is no regular expression: {error}'
            ) from error

    def group_of(self, stem: str) -> str:
        """Return the patient or sequence in a stem.

        Raises:
            ValueError: If the regular expression does not match.
        """
        found = re.search(self.groups, stem)
        group = found and found.group(1 if found.re.groups else 0)
        if not group:
            raise ValueError(f'--groups {self.groups!r} does not match the stem {stem!r}')
        return group

    def refuse(self, why: str) -> None:
        """Refuse settings that would have no effect; groups of volumes are written to a file.

        Raises:
            ValueError: If a setting was given.
        """
        given = [
            name for name, value in zip(('--ratio', '--seed', '--groups'), self)
            if value not in (None, '') and (name != '--groups' or self.unit == 'images')
        ]  # fmt: skip
        if given:
            raise ValueError(f'{", ".join(given)} would change nothing: {why}; leave it out')


def add_splits(layout: Layout, how: SplitBy, *, own: Sequence[Path] = ()) -> None:
    """Make sure that there are train and val, by lists in the folder or at random.

    Args:
        layout: Changed in place.
        how: The user's settings for a random split.
        own: Folders of lists that init wrote, which do not belong to the data.

    Raises:
        ValueError: If there is nothing to train on, a setting has no effect, or there are too few
            images.
    """
    parts = layout.parts
    if len(parts) == 1:  # Training_Images alone is not a split
        whole = parts.pop(next(iter(parts)))
        listed = _by_lists(layout, whole, own)
        parts.update(listed or dict(train=whole))
    elif '' in parts:
        left = parts.pop('')
        layout.notes.append(f'{left.images}: left out, as it belongs to no split')
    if 'train' not in parts:
        shown = ', '.join(f'{name}: {part.images}' for name, part in sorted(parts.items()))
        raise ValueError(
            f'{layout.root}: there is nothing to train on, only {shown}: name a folder, or a '
            'list, train'
        )
    if 'val' in parts:
        how.refuse(f'{layout.root} is split by {layout.split_by or "its folders train and val"}')
    else:
        _hold_out(layout, how)
    layout.parts = {name: parts[name] for name in ('train', 'val', 'test') if name in parts}


def _hold_out(layout: Layout, how: SplitBy) -> None:
    """Move part of train to val."""
    train = layout.parts['train']
    ratio, seed = how.ratio or RATIO, how.seed or 0
    own, held = _by_chance(train.stems, how)
    for name, stems in (('train', own), ('val', held)):
        layout.parts[name] = Folders(train.images, train.masks, stems, whole=False)
    single = (
        '; if images come in series (patients, videos), give --groups, or neighbours are on '
        'both sides'
        if how.unit == 'images'
        else '; if a patient has several, give --groups'
    )
    kept = ', groups kept together' if how.groups else single
    layout.notes.append(
        f'no val: {len(own)} of {len(train.stems)} {how.unit} for train and {len(held)} for val '
        f'by chance (ratio {ratio}, seed {seed}){kept}'
    )


# -------------------------------------------------------------------------------- lists


def _by_lists(layout: Layout, whole: Folders, own: Sequence[Path]) -> dict[str, Folders]:
    """Read the splits from train.txt, val.txt and test.txt, whose lines name the images."""
    known = set(whole.stems)
    best: dict[str, list[str]] = {}
    source, unknown = '', 0
    for folder, paths in sorted(_lists_below(layout.root, own).items()):
        read = {split: _listed_stems(path, known) for split, path in paths.items()}
        found = {split: stems for split, (stems, _) in read.items() if stems}
        if 'train' in found and _size(found) > _size(best):
            best, source = found, path_below(folder, layout.root)
            unknown = sum(number for stems, number in read.values() if stems)
    if not best:
        _say_unused(layout, own)
    if best:
        layout.split_by = f'the lists in {source}'
        layout.notes.append(f'split by the lists in {source}')
        rest = sorted(known - {stem for stems in best.values() for stem in stems})
        if rest:
            layout.notes.append(f'{len(rest)} images are in no list, such as {rest[0]}: left out')
        if unknown:
            layout.notes.append(f'{unknown} lines of the lists name no image with a mask')
    return {
        split: Folders(whole.images, whole.masks, stems, whole=False)
        for split, stems in best.items()
    }


def _say_unused(layout: Layout, own: Sequence[Path]) -> None:
    """Note files that have the name of a split list but are not used."""
    named = [path for path in data_files(layout.root, own) if path.stem.lower() in SPLITS]
    unused = sorted(path for path in named if path.suffix.lower() in ('.txt', '.csv'))
    if unused:
        names = [path_below(path, layout.root) for path in unused]
        layout.notes.append(
            f'not used as lists of a split: {", ".join(names[:4])}; a list is a .txt with the stem '
            'of an image that has a mask in each line, and there must be one for train'
        )


def _size(found: dict[str, list[str]]) -> int:
    return sum(len(stems) for stems in found.values())


def _lists_below(root: Path, own: Sequence[Path]) -> dict[Path, dict[str, Path]]:
    """Find the lists below a folder: folder -> split -> list."""
    found: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in data_files(root, own):
        split = SPLITS.get(path.stem.lower())
        if path.suffix.lower() == '.txt' and split:
            found[path.parent].setdefault(split, path)
    return found


def _listed_stems(path: Path, known: set[str]) -> tuple[list[str], int]:
    """Return the stems in a list of stems, file names or paths; none if many are unknown.

    Returns:
        The stems, and the number of lines without a known stem.
    """
    times = Counter(PurePosixPath(stem).name for stem in known)
    names = {PurePosixPath(s).name: s for s in known if times[PurePosixPath(s).name] == 1}
    lines = read_list(path)
    stems = []
    for line in lines:
        line = line.replace('\\', '/').removeprefix('./')
        words = (line, line.split()[0])  # names may contain spaces, and a line may have two names
        choices = [c for word in words for c in (word, os.path.splitext(word)[0])]
        choices += [names.get(PurePosixPath(os.path.splitext(w)[0]).name, '') for w in words]
        stem = next((c for c in choices if c in known), None)
        if stem is not None:
            stems.append(stem)
    if 2 * len(stems) <= len(lines):
        return [], len(lines)
    return list(dict.fromkeys(stems)), len(lines) - len(stems)


# ------------------------------------------------------------------------------- chance


def _by_chance(stems: Sequence[str], how: SplitBy) -> tuple[list[str], list[str]]:
    ratio, seed = how.ratio or RATIO, how.seed or 0
    if not how.groups:
        return _split(stems, f'{how.unit} with a mask', ratio=ratio, seed=seed)
    members: dict[str, list[str]] = defaultdict(list)
    for stem in stems:
        members[how.group_of(stem)].append(stem)
    own, held = _split(list(members), 'groups', ratio=ratio, seed=seed)
    return (
        sorted(stem for name in own for stem in members[name]),
        sorted(stem for name in held for stem in members[name]),
    )


def _split(
    names: Sequence[str], what: str, *, ratio: float, seed: int
) -> tuple[list[str], list[str]]:
    if int(len(names) * ratio) == 0:
        raise ValueError(
            f'there is no val, and {len(names)} {what} ({names[0]}, ...) cannot be split at '
            f'--ratio {ratio}: add some, raise it, or name folders, or lists, train and val'
        )
    return split_ids(names, ratio=ratio, seed=seed)
