"""Signs that masks or images have the wrong content, found from pixel counts.

A data set may be read without an error and still be useless for training: palettes differ between
masks, masks were scaled with interpolation, values number objects instead of classes, or the images
are the masks. Every function here checks one of these and returns a sign, or ``None``.
Shape letters: H row, W column.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from .mask_facts import FEW_VALUES, MaskFacts, codes_of, is_jpeg

_RARE = 0.05  # share of all pixels; a more frequent value is not a blend
_MANY_NUMBERS = 8  # fewer values are taken for classes
_NO_CLASSES = 64  # so many values that hardly recur are object numbers of a whole data set
_NO_RECURRENCE = 24  # values in a single mask, or colors in one mask each; fewer may be classes
_NEAR = 40  # of 255: largest change by JPEG far from an edge
_EVEN = 4  # of 255: objects in a drawing vary by less, those in a photograph by more
_SAME, _SAME_EACH = 0.85, 0.6  # share of all pixels, and of those of every value, that are as near


class Sign(NamedTuple):
    """A problem that the counts of a data set suggest.

    Args:
        kind: Heading of this kind of sign.
        text: One sentence with the count and the remedy.
        wrong: Whether training on such data would silently go wrong.
    """

    kind: str
    text: str
    wrong: bool = True


# -------------------------------------------------------------------------------- masks


def mask_signs(facts: Sequence[MaskFacts]) -> list[Sign]:
    """Return all signs of the masks; see the functions below."""
    signs = (
        palettes_disagree(facts), palette_beside_colors(facts), interpolated(facts),
        instance_numbers(facts), object_colors(facts), lossy(facts),
    )  # fmt: skip
    return [sign for sign in signs if sign is not None]


def palettes_disagree(facts: Sequence[MaskFacts]) -> Optional[Sign]:
    """Find palettes that give one value different colors."""
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
    """Find masks with a palette mixed with masks in colors."""
    with_palette = sum(bool(fact.palette) for fact in facts)
    in_colors = sum(map(_is_colored, facts))
    if not with_palette or not in_colors:
        return None
    palette = next(fact.path for fact in facts if fact.palette)
    color = next(fact.path for fact in facts if _is_colored(fact))
    return Sign(
        'masks with a palette beside masks in colors',
        f'{with_palette} of {len(facts)} masks have a palette, such as {palette}, and '
        f'{in_colors} hold colors, such as {color}: read the colors of all '
        '(masks: colors), or save them in one way',
    )


def _is_colored(fact: MaskFacts) -> bool:
    return isinstance(next(iter(fact.values), None), tuple)


def interpolated(facts: Sequence[MaskFacts]) -> Optional[Sign]:
    """Find values, or colors, that only occur at edges between other values."""
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
    """Return values, or colors, that only occur at edges between others; none if they are few."""
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
    return [] if len(off) < max(FEW_VALUES, len(pixels) / 2) or share > 0.4 else off


def _pixels(facts: Sequence[MaskFacts]) -> Counter:
    pixels: Counter = Counter()
    for fact in facts:
        pixels.update(fact.values)
    return pixels


def _farthest(off: Sequence[Any], rest: Sequence[Any]) -> float:
    """Return the largest distance of a value, or color, to the nearest class."""
    one = np.array(off, np.int64).reshape(len(off), -1)
    two = np.array(rest, np.int64).reshape(len(rest), -1)
    distances = np.sqrt(((one[:, None] - two[None]) ** 2).sum(axis=2))
    return float(distances.min(axis=1).max()) if len(two) else 0.0


def instance_numbers(facts: Sequence[MaskFacts]) -> Optional[Sign]:
    """Find values that number the objects of an image instead of naming classes."""
    masks: Counter = Counter()
    pieces: Counter = Counter()
    for fact in facts:
        if not _is_colored(fact):
            masks.update(value for value in fact.values if value != 0)
            pieces.update(value for value in fact.whole if value != 0)
    # Classes recur in several masks; a single mask cannot show this.
    few = [value for value, number in masks.items() if number <= min(2, (len(facts) + 1) // 2)]
    most = max((sum(value in fact.values for value in few) for fact in facts), default=0)
    # A few images of a data set with many classes show few classes each.
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
    """Find colors that each belong to a single object of a single image."""
    masks: Counter = Counter()
    pieces: Counter = Counter()
    for fact in filter(_is_colored, facts):
        masks.update(fact.values.keys())
        pieces.update(fact.whole)
    single = [color for color, number in masks.items() if number == 1]
    recurring = len(masks) - len(single)  # the background and perhaps a border color
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
    """Find masks of more than two values in a lossy format."""
    first, number = '', 0
    values: set[Any] = set()
    for fact in facts:
        if is_jpeg(fact.path):
            first, number = first or fact.path, number + 1
            values.update(fact.values)
    if len(values) < 3:
        return None
    return Sign(
        'masks saved as JPEG',
        f'{number} of {len(facts)} masks are JPEG, such as {first}, which makes new '
        f'values along edges ({len(values)} in all): some may be no classes; make them anew from '
        'the original masks as PNG',
        wrong=False,
    )


def _mostly(values: Sequence[Any], pieces: Counter, masks: Counter) -> bool:
    """Tell whether nearly all of these values form one component in each mask."""
    return sum(pieces[v] for v in values) >= 0.9 * sum(masks[v] for v in values)


def _are_counted(facts: Sequence[MaskFacts]) -> bool:
    """Tell whether masks hold 1 to n with varying n, as object numbers do."""
    last = []
    for fact in facts:
        own = sorted(value for value in fact.values if value != 0)
        if own and own != list(range(1, len(own) + 1)):
            return False
        last.append(len(own))
    return max(last, default=0) > _MANY_NUMBERS and max(last) >= 1.5 * min(last)


# ------------------------------------------------------------------------------- images


def is_same_picture(image_HW3: np.ndarray, shown_masks: Sequence[np.ndarray]) -> bool:
    """Tell whether an image is a picture of its mask, also after lossy compression.

    For every value of the mask, most of its pixels must have nearly the grey or color of that
    value. Objects in a photograph may be brighter than the rest, but are never that uniform.

    Args:
        image_HW3: uint8.
        shown_masks: Possible pictures of the mask, each ``(H, W)`` or ``(H, W, 3)`` in the channel
            order of the image, see :func:`shown_forms`.
    """
    scaled = _scaled_to(image_HW3, shown_masks)
    if scaled is not None and _shows(image_HW3, scaled, most=_EVEN):
        return True
    return any(_shows(image_HW3, shown) for shown in shown_masks)


def _scaled_to(image: np.ndarray, shown_masks: Sequence[np.ndarray]) -> Optional[np.ndarray]:
    """Scale a mask, ``(H, W)``, to the greys of the image at its lowest and highest value."""
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
    codes = codes_of(shown)
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
    """Return the possible pictures of a mask: as stored, in its colors, stretched to 0..255.

    Args:
        mask: ``(H, W)``, or ``(H, W, 3)`` in RGB.
        palette_colors: The mask in the colors of its palette, ``(H, W, 3)`` RGB.

    Returns:
        Pictures ``(H, W)``, or ``(H, W, 3)`` in BGR, the channel order of loaded images.
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
    """Return a sign if most images are pictures of their masks.

    Args:
        same: Result of :func:`is_same_picture` for each pair.
    """
    number = sum(same)
    if number < max(2, len(same) / 2):
        return None
    return Sign(
        'images that are the masks',
        f'image and mask are the same picture in {number} of {len(same)} pairs: the answer is the '
        'input; name the folder of the photographs as images',
    )
