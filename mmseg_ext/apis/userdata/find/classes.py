"""Detect the classes of masks from their values or colors, and what is to be ignored."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ....core.labels import Color
from ....core.masks import StoredMask, read_stored_mask
from ..scan import count_colors, in_threads
from .cityscapes import cityscapes_classes, cityscapes_end
from .found import Classes, check_names, spare_colors
from .levels import Blocks, blocks_of, jpeg_noise, two_levels
from .names import Listed, names_in
from .signs import (
    MaskFacts,
    Sign,
    blended_values,
    facts_of,
    instance_numbers,
    interpolated,
    is_jpeg,
    mask_facts,
    object_colors,
    palette_beside_colors,
    palettes_disagree,
)
from .values import match_names, soft_classes, value_classes

_MAX_COLORS = 64  # more classes than any data set has in colors that the eye can tell apart
_MAX_IGNORED = 1000  # most values, or colors, that a file can list as ignored
_BLENDED = 0.15  # share of the pixels: if more were ignored, too few would be left
_STRAY = 0.001  # share of the pixels: if there are blends, a rarer value is a blend too
_VOC_BORDER = (224, 224, 192)


class MaskContent(NamedTuple):
    """The content of one mask.

    Args:
        values: Value, or color of a mask without values -> number of pixels.
        colors: Color -> number of pixels, also for palettes and greys.
        facts: Counts of the stored values, from which signs are found.
        palette: Colors of the palette in the order of its indices.
        blocks: Counts of its blocks of 8 x 8 pixels, as JPEG compresses them.
    """

    values: dict[Any, int]
    colors: dict[Any, int]
    facts: MaskFacts
    palette: list[Color]
    blocks: Blocks


def find_classes(
    paths: Sequence[str], *, names: Sequence[str] = (), folder: Optional[Path] = None
) -> Classes:
    """Detect the classes of masks. All masks are read.

    Args:
        paths: Files of masks.
        names: Class names in the order of their values.
        folder: Folder that may contain a file of class names.

    Raises:
        ValueError: If a mask cannot be read, there are too many values or colors to be classes, or
            the numbers of names and values differ.
    """
    contents = in_threads(read_content, paths)
    return classes_of(contents, names=names, listed=names_in(folder))


def read_content(path: str) -> MaskContent:
    """Read a mask with all that detection of classes needs.

    Raises:
        ValueError: If the file cannot be read as a mask.
    """
    stored = read_stored_mask(path)
    mask = stored.values
    if mask.ndim == 3:
        colors = dict(count_colors(mask))
        return MaskContent(colors, colors, facts_of(path, mask, {}), [], blocks_of(mask))
    values, numbers = np.unique(mask, return_counts=True)
    counts = dict(zip(values.astype(np.int64).tolist(), numbers.tolist()))
    used = stored.used_palette()
    colors = _in_colors(counts, used)
    facts = facts_of(path, mask, used)
    return MaskContent(counts, colors, facts, _flat(stored), blocks_of(mask))


def _flat(stored: StoredMask) -> list[Color]:
    palette = [] if stored.palette is None else stored.palette.tolist()
    return [(red, green, blue) for red, green, blue in palette]


def _in_colors(counts: dict[int, int], palette: dict[int, Color]) -> dict[Color, int]:
    colors: Counter = Counter()
    for value, number in counts.items():
        colors[palette.get(value, (value,) * 3)] += number
    return dict(colors)


def _colored(content: MaskContent) -> MaskFacts:
    """Return the facts of a mask in colors."""
    facts = content.facts
    if content.palette:
        return mask_facts(facts.path, colors=True)
    if content.values is content.colors:
        return facts
    values = {(value,) * 3: number for value, number in facts.values.items()}
    blends = {(value,) * 3: number for value, number in facts.blends.items()}
    return facts._replace(values=values, blends=blends, whole=frozenset())


def classes_of(
    contents: Sequence[MaskContent], *, names: Sequence[str] = (), listed: Listed
) -> Classes:
    """Detect the classes from masks already read; see :func:`find_classes`."""
    facts = [content.facts for content in contents]
    colored, why = _holds_colors(contents)
    colored = colored or _greys_are_listed(contents, listed)
    if not colored and _palettes_are_listed(contents, listed):
        colored, why = True, f'the colors of palettes are read, by which {listed.source} names them'
    counts: Counter = Counter()
    for content in contents:
        counts.update(content.colors if colored else content.values)
    path = facts[0].path
    known = _of_cityscapes(path, counts, colored, listed)
    if known is not None:
        return _named(known, names)
    if colored:
        blends, note = _blends(in_threads(_colored, contents), counts)
        _refuse_numbered(contents, listed)
        _refuse_jpeg_colors(contents, blends, listed)
        found = _by_color(counts, blends, path, listed)
    else:
        found, note = _of_values(contents, counts, listed, named=len(names) > 2)
    found.notes += [text for text in (why, note) if text]
    _use_palette(found, contents, colored=colored)
    return _named(found, names)


def _of_cityscapes(path: str, counts: Counter, colored: bool, listed: Listed) -> Optional[Classes]:
    end = '' if listed.names else cityscapes_end(path)
    return cityscapes_classes(end, counts) if end and colored == (end == '_color') else None


def _refuse_numbered(contents: Sequence[MaskContent], listed: Listed) -> None:
    """Refuse masks in which every object has its own color.

    Raises:
        ValueError: If they do, and no list names the colors.
    """
    numbered = object_colors([content.facts for content in contents])
    if numbered is not None and not any(entry.color for entry in listed.names):
        raise ValueError(f'{numbered.kind}: {numbered.text}')


def _holds_colors(contents: Sequence[MaskContent]) -> tuple[bool, str]:
    """Tell whether colors of the masks are classes, and the reason if it is not obvious.

    Raises:
        ValueError: If neither the values nor the colors of palettes can be the classes.
    """
    facts = [content.facts for content in contents]
    beside = palette_beside_colors(facts)
    if beside is not None:
        return True, f'the colors of all masks are read: {beside.text.split(":")[0]}'
    if any(isinstance(value, tuple) for content in contents for value in content.values):
        return True, ''
    disagree = palettes_disagree(facts)
    if disagree is None:
        return _greys_beside_palettes(contents)
    times = Counter(color for content in contents for color in content.colors)
    shared = sum(number > 1 for number in times.values())
    if len(times) > _MAX_COLORS or 2 * shared < len(times):
        raise ValueError(f'palettes that disagree: {disagree.text}')
    return True, f'the colors of the palettes are read: {disagree.text.split(":")[0]}'


def _greys_are_listed(contents: Sequence[MaskContent], listed: Listed) -> bool:
    """Tell whether a list names the greys of masks as colors: black, and 128 for a car."""
    known = {entry.color for entry in listed.names if entry.color}
    shown = {color for content in contents for color in content.colors}
    ids = {(value,) * 3 for value in range(len(listed.names))}
    return shown <= known and not shown <= ids and not any(c.palette for c in contents)


def _palettes_are_listed(contents: Sequence[MaskContent], listed: Listed) -> bool:
    """Tell whether a list names the colors of palettes, in another order than that of the values.

    Supervisely's own masks number the classes of each image by their pixels.
    """
    colors = [entry.color for entry in listed.names]
    if not all(colors) or any(entry.value is not None for entry in listed.names):
        return False
    seen = {
        (value, content.palette[value])
        for content in contents for value in content.values if content.palette
    }  # fmt: skip
    named = all(content.palette for content in contents) and {c for _, c in seen} <= set(colors)
    return named and any(value >= len(colors) or colors[value] != c for value, c in seen)


def _greys_beside_palettes(contents: Sequence[MaskContent]) -> tuple[bool, str]:
    """Handle masks of 0 and 255 mixed with masks whose palette shows 0 and 1 as black and white."""
    plain = {color for content in contents if not content.palette for color in content.colors}
    shown = {color for content in contents if content.palette for color in content.colors}
    values = {value for content in contents if content.palette for value in content.values}
    known = {color[0] for color in plain}
    if not plain or not shown or values <= known or not shown <= plain:
        return False, ''
    number = sum(bool(content.palette) for content in contents)
    return True, (
        f'{number} of {len(contents)} masks have a palette that shows the greys of the others: '
        'the greys are read'
    )


def _blends(facts: Sequence[MaskFacts], counts: Counter) -> tuple[list[Any], str]:
    """Return values, or colors, that come from interpolation, and a note on them.

    Raises:
        ValueError: If there are too many of them to ignore.
    """
    off = set(blended_values(facts))
    if not off:
        return [], ''
    most = max(counts[value] for value in off)
    total = sum(counts.values())
    seen = {value for fact in facts for value in fact.values}
    off |= {value for value in counts if value not in seen}  # values that were not kept
    stray = {v for v, n in counts.items() if n < min(most, _STRAY * total)} - off
    off |= stray
    share = sum(counts[value] for value in off) / total
    sign = interpolated(facts)
    text = sign.text if sign is not None else ''
    if share > _BLENDED or len(off) > _MAX_IGNORED:
        raise ValueError(f'masks scaled with interpolation: {text}')
    rare = f', {len(stray)} of them as rare as blends {sorted(stray)[:4]}' if stray else ''
    note = (
        f'{len(off)} of {len(counts)} values or colors are taken as ignored ({100 * share:.2f} % '
        f'of the pixels{rare}): {text}'
    )
    return sorted(off), note


def _of_values(
    contents: Sequence[MaskContent], counts: Counter, listed: Listed, *, named: bool
) -> tuple[Classes, str]:
    """Detect the classes of masks that hold values."""
    facts = [content.facts for content in contents]
    blocks = [content.blocks for content in contents]
    if not any(content.palette for content in contents):
        threshold = two_levels(facts, blocks, counts)
        if threshold is not None:
            return soft_classes(counts, threshold), ''
    known = [entry.value for entry in listed.names if entry.value is not None]
    blends, note = jpeg_noise(facts, blocks, counts, known)
    if not blends:
        if not named and not match_names(sorted(counts), listed):
            numbered = instance_numbers(facts)
            if numbered is not None:
                return _of_objects(numbered)
        blends, note = _blends(facts, counts)
    return value_classes(counts, blends, facts[0].path, listed), note


def _of_objects(numbered: Sign) -> tuple[Classes, str]:
    """Return the two classes of masks that number objects."""
    found = Classes(['background', 'foreground'], [0, 1], spare_colors(2), threshold=1)
    text = numbered.text.split(';')[0]
    return found, f'{text}: class 1 is any value from 1 on; the names are made up'


def _refuse_jpeg_colors(
    contents: Sequence[MaskContent], blends: Sequence[Color], listed: Listed
) -> None:
    """Refuse colors of JPEG masks that fill no block, as compression makes them along edges.

    Raises:
        ValueError: If there are any that neither a list names nor blends explain.
    """
    lossy = [content for content in contents if is_jpeg(content.facts.path)]
    sure = {color for content in contents for color in content.blocks.even}
    sure |= {entry.color for entry in listed.names if entry.color} | set(blends)
    made = {color for content in lossy for color in content.colors} - sure
    if made:
        raise ValueError(
            f'{lossy[0].facts.path} and others are JPEG, which makes colors of its own along '
            f'edges: {len(made)} colors fill no block of 8 x 8 pixels; which of them are classes '
            'cannot be told: make them anew from the original masks as PNG'
        )


def _by_color(counts: Counter, blends: list[Color], path: str, listed: Listed) -> Classes:
    known = {entry.color: entry.name for entry in listed.names if entry.color}
    ignored = [color for color in blends if color not in known]
    unknown = [color for color in counts if color not in known and color not in ignored]
    if len(unknown) > _MAX_COLORS:
        raise ValueError(
            f'{path} and others hold {len(counts)} different colors, which is no palette of '
            'classes: if they were compressed (JPEG) or scaled with interpolation, make them anew '
            'as PNG; if every object has a color of its own, save masks of class ids; if some '
            'colors do have a class, list them in a file classes.txt in the folder, a line "red '
            'green blue name" each, and clean the masks of all others'
        )
    notes = []
    if _VOC_BORDER in unknown:
        ignored.append(_VOC_BORDER)
        notes = [f'{list(_VOC_BORDER)}, the borders of PASCAL VOC, is taken as ignored']
    colors = [color for color in known if color in counts or not unknown]
    colors += sorted(color for color in unknown if color not in ignored)
    names = [known.get(color) or _color_name(color, counts) for color in colors]
    notes.insert(0, f'the colors of the masks are classes; {len(colors)} were found')
    if len(known) < len(colors):
        notes.append('the names of the classes are made up from their colors: change them')
    if len(colors) < 2:
        raise ValueError(f'the masks hold the color {colors} only: nothing to tell apart')
    return Classes(names, [], colors, ignored, notes=notes)


def _color_name(color: Color, counts: Counter) -> str:
    if color == (0, 0, 0) and counts[color] == max(counts.values()):
        return 'background'
    return 'color_{}_{}_{}'.format(*color)


def _use_palette(found: Classes, contents: Sequence[MaskContent], *, colored: bool) -> None:
    """Use the colors of palette images if they differ between classes."""
    palette = next((content.palette for content in contents if content.palette), None)
    if palette and not colored and found.threshold is None and max(found.values) < len(palette):
        colors = [palette[value] for value in found.values]
        if len(set(colors)) == len(colors):
            found.colors = colors


def _named(found: Classes, names: Sequence[str]) -> Classes:
    """Set the class names given by the user."""
    if not names:
        return found
    if len(names) != len(found.names):
        seen: list = found.values or [list(color) for color in found.colors]
        ignored = found.ignored[:8]
        raise ValueError(
            f'{len(names)} names for the {len(found.names)} classes of the masks: {seen}'
            + (f', {ignored} being ignored' if ignored else '')
        )
    check_names(names, '--classes')
    found.names = list(names)
    found.notes = [n for n in found.notes if 'made up' not in n and 'names from' not in n]
    return found
