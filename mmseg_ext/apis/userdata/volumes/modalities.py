"""Volumes of several sequences, with their mask beside them, as BraTS has them.

These are ``P1/P1_t1.nii.gz``, ``P1/P1_t2.nii.gz`` and ``P1/P1_seg.nii.gz``, in a folder for each
case or all in one; or ``P1/t1.nii.gz``, ``P1/t2.nii.gz`` and ``P1/seg.nii.gz``. The files of a case
are the channels of its image, in alphabetical order.
"""

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import NamedTuple, Optional

from ..find.folders import MASK_WORDS, Tree, kind_of
from ..find.pairs import Folders, Layout
from ..find.splits import SplitBy

_LAST = re.compile(r'(?:(.*)[_\-.])?([^_\-.]+)')  # what comes before the last word, and that word
_SCAN = r'^(BraTS-[A-Za-z]+-\d+)-\d+$'  # from 2023 on, the last number is that of a scan


class Sequences(NamedTuple):
    """The files of a case.

    Args:
        split: Split of the case, or empty.
        images: What follows the name of the case -> file.
        mask: File of the mask.
    """

    split: str
    images: dict[str, str]
    mask: str


def find_sequences(tree: Tree) -> tuple[dict[str, Sequences], list[str]]:
    """Return the cases whose sequences and mask lie side by side, by name; none if there are none.

    Returns:
        The cases, and notes.

    Raises:
        ValueError: If a case lacks a sequence that others have.
    """
    cases: dict[str, Sequences] = {}
    spare: list[str] = []  # names that end in .nii, compressed or not
    for folder, names in tree.files.items():
        found, rest = _in_folder(folder, names)
        for name, case in found.items():
            cases[name if name not in cases else f'{folder}/{name}'] = case
        spare += rest
    kinds = Counter(tuple(sorted(case.images)) for case in cases.values())
    usual, number = kinds.most_common(1)[0] if kinds else ((), 0)
    if len(usual) < 2 or 2 * number < len(cases):
        return {}, []
    _refuse_lacking(tree, cases)
    notes = [f'the {len(usual)} channels of each volume are, in this order: {", ".join(usual)}']
    if spare:
        notes.append(
            f'{len(spare)} volumes of cases without a mask left out, such as {spare[0][:-4]}'
        )
    return cases, notes


def _in_folder(folder: str, names: list[str]) -> tuple[dict[str, Sequences], list[str]]:
    """Return the cases in a folder, and the files of none."""
    stems = {PurePosixPath(name).stem: PurePosixPath(folder, name).as_posix() for name in names}
    masks: dict[str, str] = {}
    for stem in stems:
        before, word = _parts(stem)
        if {word.lower(), word.lower().removesuffix('s')} & MASK_WORDS:
            if before in masks:
                return {}, list(stems.values())
            masks[before] = stem
    split = kind_of(folder).split
    cases = {before: Sequences(split, {}, stems[stem]) for before, stem in masks.items()}
    rest = []
    for stem in stems.keys() - masks.values():
        owner = _owner(stem, masks)
        if owner is None:
            rest.append(stems[stem])
        else:
            cases[owner].images[stem[len(owner) :].lstrip('_-.')] = stems[stem]
    named = {name or PurePosixPath(folder).name: case for name, case in cases.items()}
    return named, sorted(rest)


def _parts(stem: str) -> tuple[str, str]:
    found = _LAST.fullmatch(stem)
    return (found[1] or '', found[2]) if found else (stem, '')


def _owner(stem: str, known: dict[str, str]) -> Optional[str]:
    """Return the longest name of a case that a stem begins with; all begin with an empty one."""
    before = [name for name in known if not name or re.match(re.escape(name) + r'[_\-.]', stem)]
    return max(before, key=len, default=None)


def _refuse_lacking(tree: Tree, cases: dict[str, Sequences]) -> None:
    owners: dict[str, str] = {}
    for name, case in cases.items():
        for ending in case.images:
            owners.setdefault(ending, name)
    for name, case in cases.items():
        for ending in sorted(owners.keys() - case.images.keys()):
            raise ValueError(
                f'{tree.root / PurePosixPath(case.mask).parent}: {name} has no {ending}, which '
                f'{owners[ending]} has: add it, or take the other away'
            )


def lay_out_sequences(tree: Tree, cases: dict[str, Sequences]) -> Layout:
    """Return the layout of cases, with all in the splits of their folders."""
    layout = Layout(tree.root, {}, [], [], [])
    for name in sorted(cases):
        part = layout.parts.setdefault(cases[name].split, Folders('.', '.', whole=False))
        part.stems.append(name)
    return layout


def by_patient(how: SplitBy, cases: dict[str, Sequences]) -> SplitBy:
    """Keep the scans of a patient together, if the names are BraTS's and nothing else is asked."""
    scans = all(re.match(_SCAN, name) for name in cases)
    return how._replace(groups=_SCAN) if scans and not how.groups else how
