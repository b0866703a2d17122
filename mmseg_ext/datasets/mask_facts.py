"""What a mask holds, counted: its values or colors, those along edges, and those in one piece."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..core.labels import Color
from ..core.masks import read_stored_mask
from ..core.spool import Mapped

_RUN = 3  # pixels: a blend at an edge is at most this wide, a class is usually wider
_BEYOND = 0.3  # share of the step between neighbours; cubic interpolation overshoots by less
FEW_VALUES = 3  # fewer blends than these may be thin classes, such as borders
_KEPT = 500  # most values kept per mask, as a photograph would fill the memory


class MaskFacts(NamedTuple):
    """Pixel counts of a mask as stored.

    Args:
        path: Its file.
        values: Value (or RGB color, for color masks) -> number of pixels, for the 500 most
            frequent.
        palette: Color of each value by the palette of the file; empty without a palette.
        blends: Value -> number of pixels in a narrow run between two other values, as interpolation
            makes them.
        whole: Values whose pixels form one connected component.
    """

    path: str
    values: dict[Any, int]
    palette: dict[int, Color]
    blends: dict[Any, int]
    whole: frozenset[Any] = frozenset()


def mask_facts(path: str, *, colors: bool = False) -> MaskFacts:
    """Read a mask and count its values.

    Args:
        path: Its file.
        colors: Use the colors of a palette image instead of its indices.

    Raises:
        ValueError: If the file cannot be read as a mask.
    """
    stored = read_stored_mask(path)
    mask = stored.in_colors() if colors else stored.values
    return facts_of(path, mask, {} if colors else stored.used_palette())


def facts_of(path: str, mask: np.ndarray, palette: dict[int, Color]) -> MaskFacts:
    """Count the values of a mask.

    Args:
        path: Its file.
        mask: ``(H, W)``, or ``(H, W, 3)`` in RGB.
        palette: Color of each value.
    """
    codes = codes_of(mask)
    found, places, numbers = _count(codes)
    names = _names(found, colored=mask.ndim == 3)
    keep = sorted(np.argsort(-numbers, kind='stable')[:_KEPT].tolist())
    blends: dict[Any, int] = {}
    whole: frozenset[Any] = frozenset()
    if len(found) > FEW_VALUES:
        counts = np.bincount(places[_blended(mask, places)], minlength=len(found))
        blends = {names[k]: int(counts[k]) for k in keep if counts[k]}
    if len(found) <= _KEPT:
        whole = frozenset(names[k] for k in _in_one_piece(places))
    return MaskFacts(path, {names[k]: int(numbers[k]) for k in keep}, palette, blends, whole)


def is_jpeg(path: str) -> bool:
    """Tell by its name whether a mask is JPEG, which makes values of its own along edges."""
    return path.lower().endswith(('.jpg', '.jpeg'))


def codes_of(mask: np.ndarray) -> np.ndarray:
    """One number a pixel, ``(H, W)``, for values as for colors."""
    return mask if mask.ndim == 2 else mask.astype(np.int64) @ np.array([65536, 256, 1])


def _count(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sorted values, each pixel's index in them ``(H, W)``, and the pixel counts."""
    if codes.min() >= 0 and codes.max() < 2**16:  # many times faster than sorting
        pixels = np.bincount(codes.ravel().astype(np.int64))
        found = np.flatnonzero(pixels)
        place_of = np.zeros(len(pixels), np.int32)
        place_of[found] = np.arange(len(found))
        return found, place_of[codes], pixels[found]
    found, places, numbers = np.unique(codes, return_inverse=True, return_counts=True)
    return found, places.reshape(codes.shape), numbers


def _names(codes: np.ndarray, *, colored: bool) -> list[Any]:
    if not colored:
        return codes.tolist()
    return [(code >> 16, (code >> 8) & 255, code & 255) for code in codes.tolist()]


def _blended(mask: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Mark pixels of narrow runs whose value lies between the neighbours', ``(H, W)`` bool."""
    channels = mask[..., None] if mask.ndim == 2 else mask
    down = _blended_in_rows(channels.swapaxes(0, 1), places.T)
    return _blended_in_rows(channels, places) | down.T


def _blended_in_rows(channels_HWC: np.ndarray, places_HW: np.ndarray) -> np.ndarray:
    height, width = places_HW.shape
    new = np.ones((height, width), bool)  # whether a run starts here
    new[:, 1:] = places_HW[:, 1:] != places_HW[:, :-1]
    starts = np.flatnonzero(new)
    lengths = np.diff(np.append(starts, new.size))
    rows = starts // width
    values = channels_HWC.reshape(-1, channels_HWC.shape[2])[starts].astype(np.int64)
    between = np.zeros(len(starts), bool)
    same_row = (rows[:-2] == rows[1:-1]) & (rows[1:-1] == rows[2:])
    before, own, after = values[:-2], values[1:-1], values[2:]
    beyond = _BEYOND * np.abs(after - before)
    inside = own >= np.minimum(before, after) - beyond
    inside &= own <= np.maximum(before, after) + beyond
    between[1:-1] = same_row & inside.all(axis=1) & (before != after).any(axis=1)
    between &= lengths <= _RUN
    if own.shape[1] == 1:  # classes in layers have consecutive ids; a blend is farther away
        steps = np.maximum(np.abs(own - before), np.abs(after - own))[:, 0]
        between[1:-1] &= steps > 1
    return np.repeat(between, lengths).reshape(height, width)


def _in_one_piece(places: np.ndarray) -> list[int]:
    """Return the values whose pixels form one connected component."""
    from scipy import ndimage  # a slow import, which no training needs

    found = ndimage.find_objects(places + 1)
    return [k for k, box in enumerate(found) if box is not None and _pieces(places[box] == k) == 1]


def _pieces(where: np.ndarray) -> int:
    return cv2.connectedComponents(where.astype(np.uint8), connectivity=8)[0] - 1


def facts_without(facts: Sequence[MaskFacts], ignored: Collection[Any]) -> Sequence[MaskFacts]:
    """Return the facts without values that training ignores, which do no harm.

    They are made at each access, since there may be a million.
    """

    def without(fact: MaskFacts) -> MaskFacts:
        return fact._replace(
            values={v: n for v, n in fact.values.items() if v not in ignored},
            blends={v: n for v, n in fact.blends.items() if v not in ignored},
            whole=frozenset(v for v in fact.whole if v not in ignored),
            palette={v: c for v, c in fact.palette.items() if v not in ignored},
        )

    return Mapped(facts, without) if ignored else facts
