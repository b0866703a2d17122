"""Signs that masks, or images, are not what they seem to be: found from counts, said in a sentence.

A data set may be read without an error and still teach nothing: palettes that number colors
differently, masks scaled with interpolation, numbers of objects instead of classes, images that
are the masks. Every function here looks at what was read and returns a sign, or ``None``.
Shape letters: H row, W column.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Optional

import cv2
import numpy as np
from scipy import ndimage

from ..core.masks import read_stored_mask

Color = tuple[int, int, int]

_RUN = 3  # pixels: a blend of two classes is no wider at an edge, a class as a rule is
_BEYOND = 0.3  # of the step between two neighbours; cubic interpolation overshoots by less
_RARE = 0.05  # of all pixels; a value above it is no blend
_FEW_VALUES = 3  # fewer blends than these may be thin classes, such as borders
_MANY_NUMBERS = 8  # fewer values than these are taken for classes
_NO_CLASSES = 64  # values that hardly ever recur, as numbers of a whole data set do
_KEPT = 500  # values of a mask that are kept: a photograph would fill the memory
_NO_RECURRENCE = 24  # values of a single mask, or colors of one mask each: fewer may be classes
_NEAR = 40  # of 255: what JPEG may change far from an edge
_EVEN = 4  # of 255: how even the objects of a drawing are, and those of no photograph
_SAME, _SAME_EACH = 0.85, 0.6  # share of all pixels, and of those of every value, that are as near


class Sign(NamedTuple):
    """What a look at a data set suggests.

    Args:
        kind: A heading, the same for all signs of its kind.
        text: One sentence with the count, and the remedy.
        wrong: Whether a training on such data would be wrong without a word.
    """

    kind: str
    text: str
    wrong: bool = True


class MaskFacts(NamedTuple):
    """What a mask holds, as stored.

    Args:
        path: Its file.
        values: Value, or color (RGB) of masks in colors -> pixels; the 500 most frequent.
        palette: Color that the file's palette gives to each value it holds; empty without one.
        blends: Value -> pixels that lie between two others in a narrow run, as interpolation
            makes them.
        whole: Values whose pixels are in one piece.
    """

    path: str
    values: dict[Any, int]
    palette: dict[int, Color]
    blends: dict[Any, int]
    whole: frozenset[Any] = frozenset()


def mask_facts(path: str, *, colors: bool = False) -> MaskFacts:
    """Look at a mask.

    Args:
        path: Its file.
        colors: Take the colors of a palette image instead of its values.

    Raises:
        ValueError: If it cannot be read as a mask.
    """
    stored = read_stored_mask(path)
    mask = stored.in_colors() if colors else stored.values
    return facts_of(path, mask, {} if colors else stored.used_palette())


def facts_of(path: str, mask: np.ndarray, palette: dict[int, Color]) -> MaskFacts:
    """Count what a mask holds.

    Args:
        path: Its file.
        mask: ``(H, W)``, or ``(H, W, 3)`` in RGB.
        palette: Colors of the values.
    """
    codes = _codes(mask)
    found, places, numbers = _count(codes)
    names = _names(found, colored=mask.ndim == 3)
    keep = sorted(np.argsort(-numbers, kind='stable')[:_KEPT].tolist())
    blends: dict[Any, int] = {}
    whole: frozenset[Any] = frozenset()
    if len(found) > _FEW_VALUES:
        counts = np.bincount(places[_blended(mask, places)], minlength=len(found))
        blends = {names[k]: int(counts[k]) for k in keep if counts[k]}
    if len(found) <= _KEPT:
        whole = frozenset(names[k] for k in _in_one_piece(places))
    return MaskFacts(path, {names[k]: int(numbers[k]) for k in keep}, palette, blends, whole)


def _codes(mask: np.ndarray) -> np.ndarray:
    return mask if mask.ndim == 2 else mask.astype(np.int64) @ np.array([65536, 256, 1])


def _count(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values in order, the place of each pixel's value among them ``(H, W)``, their pixels."""
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
    """Pixels in narrow runs whose value lies between those before and after, ``(H, W)`` bool."""
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
    if own.shape[1] == 1:  # layers have ids that follow each other; a blend lies farther off
        steps = np.maximum(np.abs(own - before), np.abs(after - own))[:, 0]
        between[1:-1] &= steps > 1
    return np.repeat(between, lengths).reshape(height, width)


def _in_one_piece(places: np.ndarray) -> list[int]:
    """The values whose pixels all touch each other."""
    found = ndimage.find_objects(places + 1)
    return [k for k, box in enumerate(found) if box is not None and _pieces(places[box] == k) == 1]


def _pieces(where: np.ndarray) -> int:
    return cv2.connectedComponents(where.astype(np.uint8), connectivity=8)[0] - 1


# -------------------------------------------------------------------------------- masks


def mask_signs(facts: Sequence[MaskFacts]) -> list[Sign]:
    """All signs that masks give; see the functions below."""
    signs = (
        palettes_disagree(facts), palette_beside_colors(facts), interpolated(facts),
        instance_numbers(facts), object_colors(facts), lossy(facts),
    )  # fmt: skip
    return [sign for sign in signs if sign is not None]


def palettes_disagree(facts: Sequence[MaskFacts]) -> Optional[Sign]:
    """Palettes of the masks that show one value in different colors."""
    seen: dict[int, Counter] = defaultdict(Counter)
    for fact in facts:
        for value, color in fact.palette.items():
            seen[value][color] += 1
    split = {value: colors for value, colors in seen.items() if len(colors) > 1}
    if not split:
        return None
    value = max(split, key=lambda key: split[key].most_common()[1][1])
    (first, most), (second, others) = split[value].most_common(2)
    with_palette = sum(bool(fact.palette) for fact in facts)
    return Sign(
        'palettes that disagree',
        f'the value {value} is the color {list(first)} in {most} masks and {list(second)} in '
        f'{others}, of {with_palette} masks with a palette: its number does not say its class; '
        'read their colors (masks: colors), or save all masks with one palette, or without any '
        'if the numbers are right',
    )


def palette_beside_colors(facts: Sequence[MaskFacts]) -> Optional[Sign]:
    """Masks with a palette beside masks in colors."""
    palettes = [fact for fact in facts if fact.palette]
    colored = [fact for fact in facts if _is_colored(fact)]
    if not palettes or not colored:
        return None
    return Sign(
        'masks with a palette beside masks in colors',
        f'{len(palettes)} of {len(facts)} masks have a palette, such as {palettes[0].path}, and '
        f'{len(colored)} hold colors, such as {colored[0].path}: read the colors of all '
        '(masks: colors), or save them in one way',
    )


def _is_colored(fact: MaskFacts) -> bool:
    return isinstance(next(iter(fact.values), None), tuple)


def interpolated(facts: Sequence[MaskFacts]) -> Optional[Sign]:
    """Values, or colors, that only occur between others along edges."""
    off = blended_values(facts)
    if not off:
        return None
    pixels = _pixels(facts)
    share = sum(pixels[value] for value in off) / sum(pixels.values())
    rest = sorted(set(pixels) - set(off))
    what = 'colors' if isinstance(off[0], tuple) else 'values'
    shown = ', '.join(str(list(v) if isinstance(v, tuple) else v) for v in rest[:8])
    holders = sum(any(value in fact.values for value in off) for fact in facts)
    return Sign(
        'masks scaled with interpolation',
        f'{len(off)} of {len(pixels)} {what} lie between others along edges ({100 * share:.2f} % '
        f'of the pixels, in {holders} of {len(facts)} masks, up to {_farthest(off, rest):.0f} '
        f'from the nearest of the other {len(rest)}: {shown}{", ..." if len(rest) > 8 else ""}), '
        'as after scaling with interpolation: they are no classes; scale the original masks with '
        'nearest-neighbour interpolation',
    )


def blended_values(facts: Sequence[MaskFacts]) -> list[Any]:
    """Values, or colors, that only occur between others along edges; none if they are few."""
    pixels = _pixels(facts)
    blends: Counter = Counter()
    for fact in facts:
        blends.update(fact.blends)
    total = sum(pixels.values())
    off = [
        value for value, number in blends.items()
        if 2 * number >= pixels[value] and pixels[value] < _RARE * total
    ]  # fmt: skip
    share = sum(pixels[value] for value in off) / max(total, 1)
    return [] if len(off) < max(_FEW_VALUES, len(pixels) / 2) or share > 0.4 else off


def _pixels(facts: Sequence[MaskFacts]) -> Counter:
    pixels: Counter = Counter()
    for fact in facts:
        pixels.update(fact.values)
    return pixels


def facts_without(facts: Sequence[MaskFacts], ignored: Collection[Any]) -> list[MaskFacts]:
    """Facts of masks but for values that are ignored in training: they do no harm there."""
    return [
        fact._replace(
            values={v: n for v, n in fact.values.items() if v not in ignored},
            blends={v: n for v, n in fact.blends.items() if v not in ignored},
            whole=frozenset(v for v in fact.whole if v not in ignored),
            palette={v: c for v, c in fact.palette.items() if v not in ignored},
        )
        for fact in facts
    ]


def _farthest(off: Sequence[Any], rest: Sequence[Any]) -> float:
    """The largest distance of a value, or color, to the nearest that is a class."""
    one = np.array(off, np.int64).reshape(len(off), -1)
    two = np.array(rest, np.int64).reshape(len(rest), -1)
    distances = np.sqrt(((one[:, None] - two[None]) ** 2).sum(axis=2))
    return float(distances.min(axis=1).max()) if len(two) else 0.0


def instance_numbers(facts: Sequence[MaskFacts]) -> Optional[Sign]:
    """Values that number the objects of an image."""
    masks: Counter = Counter()
    pieces: Counter = Counter()
    for fact in facts:
        if not _is_colored(fact):
            masks.update(value for value in fact.values if value != 0)
            pieces.update(value for value in fact.whole if value != 0)
    # In two masks, a value of both recurs, as classes do; one mask says nothing of that.
    few = [value for value, number in masks.items() if number <= min(2, (len(facts) + 1) // 2)]
    most = max((sum(value in fact.values for value in few) for fact in facts), default=0)
    # Few images of many classes hold few of them each.
    enough = _MANY_NUMBERS if len(facts) > 1 else _NO_RECURRENCE
    alone = (most >= enough or len(few) >= _NO_CLASSES) and _mostly(few, pieces, masks)
    counted = _are_counted(facts) and _mostly(list(masks), pieces, masks)
    if not (alone and 2 * len(few) >= len(masks)) and not counted:
        return None
    return Sign(
        'masks of instance numbers',
        f'{len(masks)} values besides 0, {len(few)} of them in one or two of {len(facts)} masks, '
        'nearly all in one piece: numbers of objects, as it seems, not classes; save masks of '
        'class ids, such as 0 and 1',
    )


def object_colors(facts: Sequence[MaskFacts]) -> Optional[Sign]:
    """Colors that each belong to one object of one image."""
    masks: Counter = Counter()
    pieces: Counter = Counter()
    for fact in filter(_is_colored, facts):
        masks.update(fact.values.keys())
        pieces.update(fact.whole)
    single = [color for color, number in masks.items() if number == 1]
    recurring = len(masks) - len(single)  # the background, and perhaps a border
    if len(facts) < 4 or len(single) < _NO_RECURRENCE or recurring > 2:
        return None
    if not _mostly(single, pieces, masks):
        return None
    return Sign(
        'masks of object colors',
        f'{len(single)} of {len(masks)} colors are in one of {len(facts)} masks each, nearly all '
        'in one piece: each is an object, as it seems, not a class; save masks of class ids, such '
        'as 0 and 1',
    )


def lossy(facts: Sequence[MaskFacts]) -> Optional[Sign]:
    """Masks of more than two values in a format that changes them."""
    held = [fact for fact in facts if fact.path.lower().endswith(('.jpg', '.jpeg'))]
    values = {value for fact in held for value in fact.values}
    if len(values) < 3:
        return None
    return Sign(
        'masks saved as JPEG',
        f'{len(held)} of {len(facts)} masks are JPEG, such as {held[0].path}, which makes new '
        f'values along edges ({len(values)} in all): some may be no classes; make them anew from '
        'the original masks as PNG',
        wrong=False,
    )


def _mostly(values: Sequence[Any], pieces: Counter, masks: Counter) -> bool:
    """Whether nearly all of these values are in one piece, mask by mask."""
    return sum(pieces[v] for v in values) >= 0.9 * sum(masks[v] for v in values)


def _are_counted(facts: Sequence[MaskFacts]) -> bool:
    """Whether masks hold 1 to n, and n varies, as it does where objects are counted."""
    last = []
    for fact in facts:
        own = sorted(value for value in fact.values if value != 0)
        if own and own != list(range(1, len(own) + 1)):
            return False
        last.append(len(own))
    return max(last, default=0) > _MANY_NUMBERS and max(last) >= 1.5 * min(last)


# ------------------------------------------------------------------------------- images


def is_same_picture(image_HW3: np.ndarray, shown_masks: Sequence[np.ndarray]) -> bool:
    """Whether an image shows its mask, also after lossy compression.

    Most pixels of every value of the mask must have nearly the grey, or color, of that value; the
    objects of a photograph may be brighter than the rest, but are not that even.

    Args:
        image_HW3: uint8.
        shown_masks: What the mask may look like, each ``(H, W)`` or ``(H, W, 3)``, in the
            image's order of channels: as stored, in its colors, stretched to 0..255.
    """
    scaled = _scaled_to(image_HW3, shown_masks)
    if scaled is not None and _shows(image_HW3, scaled, most=_EVEN):
        return True
    return any(_shows(image_HW3, shown) for shown in shown_masks)


def _scaled_to(image: np.ndarray, shown_masks: Sequence[np.ndarray]) -> Optional[np.ndarray]:
    """A mask of values, scaled to the greys of the image at its two ends, ``(H, W)`` float."""
    mask = next((shown for shown in shown_masks if shown.ndim == 2), None)
    if mask is None or mask.shape != image.shape[:2] or mask.min() == mask.max():
        return None
    if (image != image[..., :1]).any():
        return None
    low, high = float(mask.min()), float(mask.max())
    first, last = (float(np.median(image[mask == end, 0])) for end in (low, high))
    return first + (mask.astype(np.float32) - low) * ((last - first) / (high - low))


def _shows(image: np.ndarray, shown: np.ndarray, *, most: float = _NEAR) -> bool:
    if shown.shape[:2] != image.shape[:2]:
        return False
    codes = _codes(shown)
    found, first, places = np.unique(codes, return_index=True, return_inverse=True)
    if not 2 <= len(found) <= 64:
        return False
    colors = shown.reshape(codes.size, -1)[first].astype(np.float32)
    colors = np.broadcast_to(colors, (len(found), 3))
    step = min(
        float(np.abs(colors[a] - colors[b]).max())
        for a in range(len(found)) for b in range(a)
    )  # fmt: skip
    wanted = colors[places.reshape(codes.shape)]
    near = np.abs(image.astype(np.float32) - wanted).max(axis=2) < max(min(step / 4, most), 0.5)
    numbers = np.bincount(places.ravel())
    hits = np.bincount(places.ravel(), weights=near.ravel())
    large = numbers >= 0.001 * codes.size
    return bool(near.mean() >= _SAME and (hits[large] >= _SAME_EACH * numbers[large]).all())


def shown_forms(mask: np.ndarray, palette_colors: Optional[np.ndarray] = None) -> list[np.ndarray]:
    """What a picture of a mask may look like: as stored, in its colors, stretched to 0..255.

    Args:
        mask: ``(H, W)``, or ``(H, W, 3)`` in RGB.
        palette_colors: The same in the colors of its palette, ``(H, W, 3)`` RGB.

    Returns:
        Each ``(H, W)``, or ``(H, W, 3)`` in BGR, as images are loaded.
    """
    if mask.ndim == 3:
        return [mask[..., ::-1]]
    forms = [] if palette_colors is None else [palette_colors[..., ::-1]]
    low, high = int(mask.min()), int(mask.max())
    if high <= 255:
        forms.append(mask)
    if high > low:
        forms.append((mask.astype(np.float32) - low) * (255.0 / (high - low)))
    return [*forms, 255 - forms[-1]] if high > low else forms


def images_are_masks(same: Sequence[bool]) -> Optional[Sign]:
    """Most images show their masks.

    Args:
        same: Of each pair, what :func:`is_same_picture` says.
    """
    number = sum(same)
    if number < max(2, len(same) / 2):
        return None
    return Sign(
        'images that are the masks',
        f'image and mask are the same picture in {number} of {len(same)} pairs: the answer is the '
        'input; name the folder of the photographs as images',
    )
