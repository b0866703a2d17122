"""Which images the folds of a work folder hold out, compared with what the data give now.

Folds that were cut from different images are no cross validation: an image may be held out twice,
or never. So all folds of a work folder belong to one division.
"""

import hashlib
import json
from pathlib import Path
from typing import Optional

from ...datasets.kfold import Folds
from ..run.folder import RunFolder
from .fold import Split, read_split
from .pool import Pool


def division_digest(pool: Pool, division: Folds) -> str:
    """Return a SHA-256 hash of the images that each fold holds out, and of their groups.

    Args:
        pool: All images.
        division: How they are divided.
    """
    digest, groups = hashlib.sha256(), pool.groups or {}
    for fold, (_, val) in enumerate(division):
        lines = (json.dumps([fold, name, groups.get(name)]) for name in val)
        digest.update(''.join(lines).encode())
    return digest.hexdigest()


def check_division(
    parent: RunFolder, pool: Pool, division: Folds, known: Optional[str] = None
) -> None:
    """Compare the division of the folds that are there with the one that the data give now.

    Args:
        parent: Folder of the folds.
        pool: All images.
        division: How they are divided now.
        known: Digest of the division that the folds belong to. An older version kept none, and
            then their lists decide.

    Raises:
        ValueError: If a fold was trained on, or holds out, other images, or they had other groups.
    """
    for number, (train, val) in enumerate(division):
        folder = parent.fold(number)
        try:
            split = read_split(folder.path)
        except (FileNotFoundError, ValueError):  # not begun, or damaged: training writes it anew
            continue
        groups = None if pool.groups is None else [pool.groups[name] for name in val]
        if _held_out(split) != (val, groups) or split.num_train not in (None, len(train)):
            raise _other_images(folder.path, parent.path)
    if known not in (None, division_digest(pool, division)):
        raise _other_images(parent.path, parent.path)


def _held_out(split: Split) -> tuple[list[str], Optional[list[str]]]:
    """Return the held-out ids in the order of their text, and the group of each."""
    order = sorted(range(len(split.val_ids)), key=split.val_ids.__getitem__)
    groups = split.val_groups
    return (
        [split.val_ids[place] for place in order],
        None if groups is None else [groups[place] for place in order],
    )


def _other_images(folder: Path, parent: Path) -> ValueError:
    return ValueError(
        f'{folder}: its lists name other images, or other groups of them, than the data and the '
        'settings of the folds give now, and folds of different data are no cross validation: give '
        f'another --work-dir, or remove {parent}'
    )
