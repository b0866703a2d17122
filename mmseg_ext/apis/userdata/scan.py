"""Reading of the images and masks of a data set file, for a run or a report.

Shape letters: K class, H row, W column.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ...core.labels import evenly
from ...core.masks import read_mask, read_stored_mask
from ...core.progress import track
from ...core.reading import Picture, read_color_picture, read_picture
from ...datasets.mask_facts import MaskFacts, facts_of, facts_without
from ...datasets.multichannel import LoadImage
from ...datasets.signs import Sign, images_are_masks, is_same_picture, mask_signs, shown_forms
from .file import DataFile
from .pairing import Pair, and_more, pair_files

_SIGNED = 30  # masks per split to search for signs before a run
_COMPARED = 20  # images to compare with their masks before a run
_SIDE = 256  # rows and columns to compare
_AHEAD = 4  # items per thread that wait for it
_UNKNOWN = 100  # most values without a class to keep per mask

T = TypeVar('T')
R = TypeVar('R')


class MaskCount(NamedTuple):
    """Class counts of a mask.

    Args:
        size: H and W.
        pixels: Pixels of each class, and of the ignored label at the end, ``(K + 1,)``.
        unknown: Value (or color) that is not in the data set file -> number of pixels.
    """

    size: tuple[int, int]
    pixels: np.ndarray
    unknown: dict[Any, int]


class MaskLook(NamedTuple):
    """A mask as read for a data set file.

    Args:
        content: Its class counts.
        facts: Counts of its stored values.
        forms: Possible pictures of it, subsampled; see ``signs.shown_forms``.
        orientation: EXIF orientation of its file; 1 is upright.
    """

    content: MaskCount
    facts: MaskFacts
    forms: list[np.ndarray]
    orientation: int = 1


def look_at_mask(data: DataFile, path: str) -> MaskLook:
    """Read a mask once and collect all facts about it.

    Raises:
        ValueError: If the mask cannot be read.
    """
    stored = read_stored_mask(path)
    mask = stored.in_colors() if data.color_masks else stored.values
    used = {} if data.color_masks else stored.used_palette()
    colors = None if stored.palette is None else thinned(stored.in_colors())
    return MaskLook(
        count_mask(data, mask),
        facts_of(path, mask, used),
        shown_forms(thinned(mask), colors),
        stored.orientation,
    )


def read_as_trained(data: DataFile, path: str) -> Picture:
    """Read an image as training with ``--dataset`` does.

    Raises:
        UnfitImageError: If it is not 8-bit color, or differs from the image settings of the file.
        ValueError: If the file cannot be decoded.
    """
    if not data.image_loading:
        return read_color_picture(path)
    picture = read_picture(path)
    return picture._replace(pixels=LoadImage(**data.image_loading).convert(picture.pixels, path))


def shows(image: np.ndarray, look: MaskLook) -> bool:
    """Tell whether an image, as training reads it, is a picture of its mask."""
    return image.shape[2] == 3 and is_same_picture(thinned(image), look.forms)


def thinned(image: np.ndarray) -> np.ndarray:
    """Subsample an image evenly to at most 256 rows and columns."""
    down, right = (-(-size // _SIDE) for size in image.shape[:2])
    return image[::down, ::right]


def count_mask(data: DataFile, mask: np.ndarray) -> MaskCount:
    """Count the classes of a stored mask, and the values that are not in the file."""
    found = values_of(data, mask)
    pixels = np.zeros(len(data.classes) + 1, np.int64)
    unknown: dict[Any, int] = {}
    for value, number in found.items():
        label = data.values.get(value)
        if label is None:
            unknown[value] = number
        else:
            pixels[len(data.classes) if label == data.ignore_index else label] += number
    unknown = dict(Counter(unknown).most_common(_UNKNOWN))  # a photograph has thousands
    return MaskCount((mask.shape[0], mask.shape[1]), pixels, unknown)


def values_of(data: DataFile, mask: np.ndarray) -> dict[Any, int]:
    """Count the pixels of each value (after a threshold, if set) or color of a mask."""
    if data.color_masks and mask.ndim == 2:  # a grey mask has no channels
        mask = np.repeat(mask[..., None], 3, axis=2)
    if mask.ndim == 3:  # if values are expected, colors are unknown values
        return count_colors(mask)
    if data.mask_threshold is not None:
        mask = (mask >= data.mask_threshold).astype(np.uint8)
    values, numbers = np.unique(mask, return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist()))


def count_colors(mask_HW3: np.ndarray) -> dict[Any, int]:
    """Count the pixels of each color of a mask."""
    codes = mask_HW3.astype(np.int64) @ np.array([65536, 256, 1])
    values, numbers = np.unique(codes, return_counts=True)
    colors = [(code >> 16, (code >> 8) & 255, code & 255) for code in values.tolist()]
    return dict(zip(colors, numbers.tolist()))


def in_threads(
    work: Callable[[T], R], items: Sequence[T], *, title: str = '', most: int = 8
) -> list[R]:
    """Map over items with one thread per core, at most ``most``; decoders release the GIL."""
    return list(each_in_threads(work, items, len(items), title=title, most=most))


def each_in_threads(
    work: Callable[[T], R], items: Iterable[T], number: int, *, title: str = '', most: int = 8
) -> Iterator[R]:
    """Yield what :func:`in_threads` returns, in its order; few of the items are under way."""
    results = _in_order(work, items, min(most, os.cpu_count() or 1))
    yield from track(results, title, total=number, show=bool(title))


def _in_order(work: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after an error
            for future in waiting:
                future.cancel()


def probe(data: DataFile, part: str, *, limit: int) -> list[MaskCount]:
    """Count some masks of a split and refuse what would fail in training.

    Args:
        data: The file.
        part: The split.
        limit: Number of masks to read, evenly spaced over the split.

    Raises:
        FileNotFoundError: As :func:`pair_files`, and if a mask is absent.
        ValueError: As :func:`pair_files`, and if a mask cannot be read, has values that are not in
            the file, or masks or images give a sign (see ``signs.py``) that training would silently
            go wrong.
    """
    found = pair_files(data, part)
    if found.no_mask:
        raise FileNotFoundError(
            f'{data.path}: split {part} has no mask for the image {found.no_mask[0]!r}'
            f'{and_more(found.no_mask)}: add it, or list the stems to be read under {part}.list'
        )
    pairs = evenly(found.pairs, limit)
    _refuse_signs(data, part, evenly(found.pairs, _SIGNED))  # signs explain why values are unknown
    counts = in_threads(
        lambda pair: count_mask(data, read_mask(pair.mask, colors=data.color_masks)), pairs
    )
    for pair, count in zip(pairs, counts):
        if count.unknown:
            raise ValueError(unknown_text(data, pair.mask, count.unknown))
    return counts


def _refuse_signs(data: DataFile, part: str, pairs: Sequence[Pair]) -> None:
    looks = in_threads(lambda pair: look_at_mask(data, pair.mask), pairs)
    facts = [look.facts for look in looks]
    compared = [
        shows_mask(data, pair, look) for pair, look in evenly(list(zip(pairs, looks)), _COMPARED)
    ]
    for sign in signs_of(data, facts, compared):
        if sign.wrong:
            raise ValueError(
                f'{data.path}: split {part}, {sign.kind}: {sign.text} (of the {len(facts)} masks '
                'looked at; python tools/dataset.py check looks at all)'
            )


def probe_images(data: DataFile, part: str) -> None:
    """Read some images of a split as training does, so that a run fails early.

    Raises:
        FileNotFoundError: As :func:`pair_files`.
        ValueError: As :func:`pair_files`, and as :func:`read_as_trained`.
    """
    some = evenly(pair_files(data, part).pairs, _COMPARED)
    in_threads(lambda pair: read_as_trained(data, pair.image).pixels.shape, some)


def shows_mask(data: DataFile, pair: Pair, look: MaskLook) -> bool:
    """Tell whether an image is a picture of its mask; ``False`` if it cannot be read."""
    try:
        return shows(read_as_trained(data, pair.image).pixels, look)
    except (OSError, ValueError):
        return False


def shows_mask_of(data: DataFile, pair: Pair) -> bool:
    """Do the same as :func:`shows_mask`, but read the mask first."""
    try:
        return shows_mask(data, pair, look_at_mask(data, pair.mask))
    except (OSError, ValueError):
        return False


def signs_of(data: DataFile, facts: Sequence[MaskFacts], same: Sequence[bool]) -> list[Sign]:
    """Return the signs of masks, and of images that are pictures of them.

    Args:
        data: The data set file; with a threshold, the values of masks do not matter.
        facts: Facts of the masks.
        same: For each image, whether it is a picture of its mask.
    """
    ignored = {value for value, label in data.values.items() if label == data.ignore_index}
    signs = [] if data.mask_threshold is not None else mask_signs(facts_without(facts, ignored))
    shown = images_are_masks(same)
    return signs if shown is None else [*signs, shown]


def unknown_text(data: DataFile, path: str, unknown: dict[Any, int]) -> str:
    """Write which values of a mask have no class, and the remedy."""
    names = [str(list(v) if isinstance(v, tuple) else v) for v, _ in Counter(unknown).most_common()]
    shown = ', '.join(names[:6]) + (' and more' if len(names) > 6 else '')
    colors = isinstance(next(iter(unknown)), tuple)
    if colors and not data.color_masks:
        return (
            f'{path}: the mask holds colors ({shown}), where {data.path} expects values: say '
            'masks: colors and give each class its color, or save class ids'
        )
    what = 'colors (RGB)' if colors else 'values'
    listed = [value for value, label in data.values.items() if label != data.ignore_index]
    known = '' if colors else f' with the values {_ranges(listed)}'
    return (
        f'{path}: the mask holds the {what} {shown}, and {data.path} names {len(data.classes)} '
        f'classes{known}: add the missing ones to classes, or to ignore_value'
    )


def _ranges(values: Sequence[int]) -> str:
    ordered = sorted(values)
    whole = ordered == list(range(ordered[0], ordered[-1] + 1))
    if whole and len(ordered) > 2:
        return f'{ordered[0]} to {ordered[-1]}'
    return ', '.join(map(str, ordered[:8])) + (' and more' if len(ordered) > 8 else '')


def median_size(counts: Sequence[MaskCount]) -> tuple[int, int]:
    """Return the median H and W of masks."""
    height, width = np.median([count.size for count in counts], axis=0)
    return int(height), int(width)
