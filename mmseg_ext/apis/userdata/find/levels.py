"""Tell masks of two levels, and the classes of JPEG masks, by blocks of 8 x 8 pixels.

JPEG compresses each such block on its own. A block inside a class keeps one value. A block at a
border gets values around and between those of both sides. So in a mask of two classes every block
of several values is near to both, at any quality and size of the objects, which a third class is
not. Scaling and smoothing keep this, too.
Shape letters: H row, W column.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Optional

import cv2
import numpy as np

from ....datasets.mask_facts import MaskFacts, codes_of, is_jpeg
from .values import at_both_ends

_SIDE = 8  # pixels: side of a block of JPEG
_NEAR = 8  # of 255: farther from its true value is no block inside a class, at quality 10 and more
_ODD, _ODD_SOFT = 0.02, 0.1  # share of blocks that do not fit; if greys are many and at both ends
_ROUNDED = 0.05  # of the blocks of a level; so many can be 1 off, by a coarse step of JPEG
_PEAK = 0.8  # share of the pixels between the levels: so many of one value are a class
_FEW = 0.005  # share of all pixels: fewer between the levels show nothing
_OWN = 0.02  # share of the pixels of a value in blocks of their own; noise has next to none
_UNSURE = 0.15  # share of all pixels; if more were ignored, too few would be left
_RARE = 1 / 3  # of the pixels of the rarest class; a value of more is no noise
_APART = 16  # of 255: JPEG makes values of nearer classes from one another


class Blocks(NamedTuple):
    """What the blocks of a mask hold.

    Args:
        even: Value, or color -> number of whole blocks that hold nothing else.
        low: Smallest value.
        high: Largest value.
        mixed: Number of blocks with several values.
        spanned: Number of those which, with the blocks around them, have values in the lowest and
            in the highest quarter from ``low`` to ``high``.
    """

    even: dict[Any, int]
    low: int
    high: int
    mixed: int
    spanned: int


def blocks_of(mask: np.ndarray) -> Blocks:
    """Count the blocks of a mask, ``(H, W)``, or ``(H, W, 3)`` in RGB: of colors the even ones."""
    codes = codes_of(mask)
    low, high = _in_blocks(np.minimum, codes), _in_blocks(np.maximum, codes)
    rows, columns = (size // _SIDE for size in codes.shape)
    whole = low[:rows, :columns]
    even = Counter(whole[whole == high[:rows, :columns]].tolist())
    if mask.ndim == 3:
        return Blocks({(v >> 16, v >> 8 & 255, v & 255): n for v, n in even.items()}, 0, 0, 0, 0)
    first, last = int(low.min()), int(high.max())
    margin = (last - first) / 4
    around = np.ones((3, 3), np.uint8)
    spans = cv2.erode(low.astype(np.float64), around) <= first + margin
    spans &= cv2.dilate(high.astype(np.float64), around) >= last - margin
    mixed = low < high
    return Blocks(dict(even), first, last, int(mixed.sum()), int((mixed & spans).sum()))


def _in_blocks(function: np.ufunc, codes: np.ndarray) -> np.ndarray:
    rows, columns = (np.arange(0, size, _SIDE) for size in codes.shape)
    return function.reduceat(function.reduceat(codes, rows, axis=0), columns, axis=1)


def two_levels(
    facts: Sequence[MaskFacts], blocks: Sequence[Blocks], counts: Counter
) -> Optional[int]:
    """Find the threshold between the two levels of masks that hold more than two values.

    Args:
        facts: Facts of each mask.
        blocks: Blocks of each mask.
        counts: Value -> number of pixels in all masks.

    Returns:
        The smallest value of the upper level; ``None`` if the masks hold more than two classes, two
        values, or class ids.
    """
    low, high = _ends(blocks, counts)
    if len(counts) <= 2 or min(counts) < 0 or max(counts) > 255 or low == high:
        return None
    odd = _odd_share(blocks, low, high)
    if any(is_jpeg(fact.path) for fact in facts):
        even = {value for block in blocks for value in block.even}
        fits = odd <= _ODD and not even >= set(counts)
    else:
        few = _is_noisy(blocks, counts) or _are_at_edges(facts, blocks, counts)
        fits = odd <= _ODD and few or odd <= _ODD_SOFT and at_both_ends(counts)
    return (low + high + 1) // 2 if fits and not _has_peak(counts, low, high) else None


def _ends(blocks: Sequence[Blocks], counts: Counter) -> tuple[int, int]:
    """Return the two levels: those of even blocks, or of all values if one level has none."""
    even = {value for block in blocks for value in block.even}
    first, last = min(counts), max(counts)
    if even and 2 * (max(even) - min(even)) >= last - first:
        return min(even), max(even)
    return first, last


def _odd_share(blocks: Sequence[Blocks], low: int, high: int) -> float:
    """Return the share of blocks that two levels do not explain, of all that show anything."""
    near, margin = min(_NEAR, (high - low) // 8), (high - low) / 4
    odd = total = 0
    for block in blocks:
        others = sum(block.even.values()) - sum(_at(end, near, block.even) for end in (low, high))
        fits = abs(block.low - low) <= margin and abs(block.high - high) <= margin
        odd += others + block.mixed - (block.spanned if fits else 0)
        total += others + block.mixed
    return odd / max(total, 1)


def _at(end: int, near: int, even: dict[int, int]) -> int:
    """Return the number of even blocks of a level: of its value, or rarely of the next one."""
    numbers = {value: number for value, number in even.items() if abs(value - end) <= near}
    if not numbers:
        return 0
    most = max(numbers, key=lambda value: numbers[value])
    rare = (n for v, n in numbers.items() if abs(v - most) == 1 and n <= _ROUNDED * numbers[most])
    return numbers[most] + sum(rare)


def _is_noisy(blocks: Sequence[Blocks], counts: Counter) -> bool:
    """Tell whether rare values sit beside both ends of a wide scale, as in JPEG saved anew as PNG.

    Classes beside the ends, such as 1 and 254, are not that rare.
    """
    low, high = min(counts), max(counts)
    beside = [
        max(counts[value] for value in near) / counts[end]
        for end, near in (
            (low, range(low + 1, low + _NEAR)), (high, range(high - _NEAR + 1, high)),
        )
    ]  # fmt: skip
    rare = all(0 < share <= _RARE for share in beside)
    return high - low >= 128 and rare and any(block.even for block in blocks)


def _are_at_edges(facts: Sequence[MaskFacts], blocks: Sequence[Blocks], counts: Counter) -> bool:
    """Tell whether all values between the ends of a wide scale are at edges, as smoothed."""
    low, high = min(counts), max(counts)
    between = [value for value in counts if low < value < high]
    even = {value for block in blocks for value in block.even}
    blends: Counter = Counter()
    for fact in facts:
        blends.update(fact.blends)
    at_edges = all(2 * blends[value] >= counts[value] for value in between)
    return (
        high - low >= 128
        and len(between) > 1
        and 0 < len(even)
        and even <= {low, high}
        and at_edges
    )


def _has_peak(counts: Counter, low: int, high: int) -> bool:
    """Tell whether most values between two levels are nearly the same: a class of thin objects."""
    eighth = (high - low) / 8
    between = np.array([counts[v] if low + eighth < v < high - eighth else 0 for v in range(256)])
    if high - low < 4 * _NEAR or between.sum() < _FEW * sum(counts.values()):
        return False
    return np.convolve(between, np.ones(_NEAR + 1)).max() > _PEAK * between.sum()


def jpeg_noise(
    facts: Sequence[MaskFacts],
    blocks: Sequence[Blocks],
    counts: Counter,
    known: Collection[int],
) -> tuple[list[int], str]:
    """Find the values that JPEG made in masks of more than two classes.

    A value is a class if it fills whole blocks, a mask in another format holds it, or it is known.

    Args:
        facts: Facts of each mask.
        blocks: Blocks of each mask.
        counts: Value -> number of pixels in all masks.
        known: Values that a list names.

    Returns:
        The other values, which are to be ignored, and a note on them.

    Raises:
        ValueError: If it cannot be told which values are classes.
    """
    first = next((fact.path for fact in facts if is_jpeg(fact.path)), None)
    if first is None or len(counts) <= 2:
        return [], ''
    even: Counter = Counter()
    for block in blocks:
        even.update(block.even)
    kept = {v for v, n in counts.items() if even[v] * _SIDE**2 >= _OWN * n and even[v]}
    kept.update(v for fact in facts if not is_jpeg(fact.path) for v in fact.values)
    kept.update(counts.keys() & set(known))
    off = sorted(set(counts) - kept)
    share = sum(counts[value] for value in off) / sum(counts.values())
    most = max((counts[value] for value in off), default=0)
    sure = known or len(kept) > 2 and most <= _RARE * min(counts[value] for value in kept)
    if off and not (sure and len(kept) > 1 and share <= _UNSURE):
        raise ValueError(
            f'{first} and others are JPEG, which makes values of its own along edges: of '
            f'{len(counts)} values {len(kept)} fill whole blocks of {_SIDE} x {_SIDE} pixels, and '
            f'{100 * share:.1f} % of the pixels hold others; which of them are classes cannot be '
            'told: make them anew from the original masks as PNG, or list the values of all '
            'classes in a file classes.txt in the folder, a line "value name" each'
        )
    return off, _noise_note(len(off), sorted(kept), share) if off else ''


def _noise_note(number: int, kept: list[int], share: float) -> str:
    near = [(a, b) for a, b in zip(kept, kept[1:]) if b - a < _APART]
    text = (
        f'{number} of {number + len(kept)} values are taken as ignored ({100 * share:.2f} % of the '
        'pixels): masks saved as JPEG hold them along edges only'
    )
    if near:
        text += (
            f'; classes such as {near[0][0]} and {near[0][1]} are so near each other that it also '
            'makes the values of wrong classes there'
        )
    return f'{text}; better make them anew from the original masks as PNG'
