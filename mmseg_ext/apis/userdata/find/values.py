"""Detection of classes in masks that hold values: names, and values to ignore."""

from collections import Counter
from typing import Optional

import numpy as np

from .found import Classes, spare_colors
from .names import IGNORE_NAME, Listed

_MAX_VALUES = 256
_NO_LABEL = (255, 65535)  # the largest value means "no label", unless it belongs to a grey scale


def value_classes(counts: Counter, blends: list[int], path: str, listed: Listed) -> Classes:
    """Detect the classes of values, with names from a list if it fits.

    Args:
        counts: Value -> number of pixels in all masks.
        blends: Values that come from interpolation.
        path: File of a mask, for messages.
        listed: Class names from a file beside the masks.

    Raises:
        ValueError: If the values are not class ids, or there is only one.
    """
    values = sorted(value for value in counts if value not in blends)
    if len(values) > _MAX_VALUES or values[0] < 0:
        raise ValueError(
            f'{path} and others hold {len(values)} different values from {values[0]} to '
            f'{values[-1]}: these are no class ids (of instances, a photograph, or a distance '
            'map?); save masks of class ids'
        )
    binary = values in ([0, 255], [0, 65535])
    ignored, notes = _no_label(values, counts, listed)
    values = [value for value in values if value not in ignored]
    named = match_names(values, listed)
    if named is None:
        names = [_made_up(value, counts, binary) for value in values]
        notes += _unused_names(values, listed)
        notes.append('the names of the classes are made up: change them')
    else:
        values, names = named
        names, unlabelled, told = _without_ignored(values, names, listed)
        values = [v for v in values if v not in unlabelled]
        ignored += unlabelled
        notes += told
    if len(values) < 2:
        raise ValueError(f'the masks hold the value {values} only: nothing to tell apart')
    return Classes(names, values, spare_colors(len(values)), [*ignored, *blends], notes=notes)


def _without_ignored(
    values: list[int], names: list[str], listed: Listed
) -> tuple[list[str], list[int], list[str]]:
    """Return the class names, the values that the list calls ignored, and notes on both."""
    unlabelled = [v for v, n in zip(values, names) if n.lower() == IGNORE_NAME]
    kept = [(v, n) for v, n in zip(values, names) if v not in unlabelled]
    notes = [f'{listed.source} calls {unlabelled} {IGNORE_NAME}: taken as ignored']
    shown = ', '.join(f'{v} = {n}' for v, n in kept[:4])
    told = f'names from {listed.source}: {shown}{", ..." if len(kept) > 4 else ""}'
    more = [*(notes if unlabelled else []), *([listed.note] if listed.note else [])]
    return [name for _, name in kept], unlabelled, [*more, told]


def _no_label(values: list[int], counts: Counter, listed: Listed) -> tuple[list[int], list[str]]:
    """Return the largest value if it means "no label", and a note on it."""
    last = values[-1]
    known = {name.value for name in listed.names}
    if last not in _NO_LABEL or values == [0, last] or last in known:
        return [], []
    if _is_scale(values):
        return [], [f'the values {values} are even steps up to {last}, which is a class, too']
    share = 100 * counts[last] / sum(counts.values())
    return [last], [f'the value {last} ({share:.1f} % of pixels) is taken as ignored']


def _unused_names(values: list[int], listed: Listed) -> list[str]:
    """Return a note on a file of names that do not fit."""
    if not listed.source:
        return []
    more = ', ...' if len(values) > 8 else ''
    shown = ', '.join(map(str, values[:8]))
    return [
        f'{listed.source} is not used: it has {len(listed.names)} names of classes that are '
        f'understood, which do not fit the values {shown}{more} of the masks'
    ]


def _is_scale(values: list[int]) -> bool:
    """Tell whether values are evenly spaced greys such as 0, 128, 255, unlike class ids."""
    steps = np.diff(values)
    return len(steps) > 1 and int(steps.min()) >= 16 and int(steps.max() - steps.min()) <= 2


def soft_classes(counts: Counter, threshold: int) -> Classes:
    """Return the two classes of grey masks, separated by a threshold."""
    note = (
        f'the masks hold {len(counts)} greys around two levels, as after lossy compression or '
        f'scaling: class 1 from {threshold} on; the names are made up'
    )
    names = ['background', 'foreground']
    return Classes(names, [0, 1], spare_colors(2), threshold=threshold, notes=[note])


def at_both_ends(counts: Counter) -> bool:
    """Tell whether nearly all pixels are at the two ends of a scale of many greys.

    Masks of class ids and 255 have no values just below 255.
    """
    top = max(counts)
    below = [value for value in range(top - 8, top) if value in counts]
    if len(counts) <= 16 or not 128 <= top <= 255 or len(below) < 4:
        return False
    ends = sum(number for value, number in counts.items() if value <= 32 or value >= top - 32)
    return ends > 0.95 * sum(counts.values())


def _made_up(value: int, counts: Counter, binary: bool) -> str:
    if value == 0 and (binary or counts[0] == max(counts.values())):
        return 'background'
    return 'foreground' if binary else f'class_{value}'


def match_names(values: list[int], listed: Listed) -> Optional[tuple[list[int], list[str]]]:
    """Match values with names: by the values in the list, or by the order of its lines."""
    known = {entry.value: entry.name for entry in listed.names if entry.value is not None}
    if not known:
        known = {index: entry.name for index, entry in enumerate(listed.names)}
        if not all(value in known for value in values) and len(known) == len(values):
            known = dict(zip(values, known.values()))
    if not known or not all(value in known for value in values):
        return None
    # A class of the list that is in no mask keeps its id.
    if known.keys() > set(values) and max(known) <= 255:
        values = sorted(known)
    return values, [known[value] for value in values]
