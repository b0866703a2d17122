"""Reproducible split of a list of ids: sorted first, then shuffled with a seed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.files import write_lines


def split_ids(
    ids: Sequence[str], *, ratio: float = 0.9, seed: int = 0
) -> tuple[list[str], list[str]]:
    """Split ids into two parts, independent of their order.

    Args:
        ids: Names without duplicates.
        ratio: Share of ids in the first part, in (0, 1); its size is rounded down.
        seed: Seed of the shuffle; 0 is a seed like any other.

    Returns:
        The two parts, each sorted.

    Raises:
        ValueError: If an id occurs twice, ``ratio`` is out of range, or a part would be empty.
    """
    names = sorted(ids)
    twice = sorted({a for a, b in zip(names, names[1:]) if a == b})
    if twice:
        raise ValueError(f'{len(twice)} ids come twice, such as {twice[0]!r}: list each once')
    if not 0 < ratio < 1:
        raise ValueError(f'ratio must lie between 0 and 1, got {ratio}')
    count = int(len(names) * ratio)
    if count in (0, len(names)):
        raise ValueError(f'{len(names)} ids at ratio {ratio} leave one part empty: add ids')
    order = np.random.default_rng(seed).permutation(len(names))
    first = {names[i] for i in order[:count]}
    return sorted(first), [name for name in names if name not in first]


def write_lists(folder: str, lists: dict) -> list[str]:
    """Write lists of ids as ``folder/<name>.txt``, each in one step, and return the paths."""
    return [str(write_lines(Path(folder) / f'{name}.txt', ids)) for name, ids in lists.items()]
