"""The units of confidence intervals (images, patients or videos), in words.

Log, ``results.json``, cards and pages use the same words: :func:`describe_units` gives the facts,
:func:`units_note` the sentences about them.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from .intervals import LEVEL, METHOD, MIN_UNITS, Intervals

FEW_UNITS = 20  # with fewer units, a score depends much on their choice
FEW_OF_CLASS = 5
OLD_METHOD = 'percentile bootstrap'  # method of results that name none
_LISTED = 8  # most classes or videos that a sentence names


class Units(NamedTuple):
    """The units of a test.

    Args:
        number: Number of units.
        unit: Kind of unit, such as ``'image'`` or ``'patient'``.
        groups: Group of each image if units are groups of images.
        videos: Frames of each video by its name, if images are frames but videos are not the units.
    """

    number: int
    unit: str = 'image'
    groups: Optional[Sequence[str]] = None
    videos: Optional[Mapping[str, int]] = None

    @property
    def facts(self) -> dict[str, Any]:
        """Return the fields as JSON data, without the groups."""
        facts: dict[str, Any] = dict(unit=self.unit, units=self.number)
        return dict(facts, videos=dict(self.videos)) if self.videos else facts


def describe_units(
    intervals: Intervals, class_names: Sequence[str], units: Units
) -> dict[str, Any]:
    """Describe the units of intervals as JSON data.

    Args:
        intervals: The intervals of the scores.
        class_names: K names.
        units: The units of the test.

    Returns:
        ``method``, ``level``, ``unit``, ``units`` (number of units with a labelled pixel),
        ``class_units`` (number of units in which each class is labelled) and, if there are any,
        ``videos``.
    """
    facts = dict(units.facts, method=METHOD, level=LEVEL, units=intervals.units)
    return dict(facts, class_units=dict(zip(class_names, intervals.class_units)))


def units_note(facts: Mapping[str, Any]) -> str:
    """Write one or a few sentences on the units of intervals and their weaknesses.

    Args:
        facts: From :func:`describe_units`; ``class_units`` and ``videos`` may be absent.
    """
    return ' '.join([_over(facts), *units_warnings(facts)])


def _over(facts: Mapping[str, Any]) -> str:
    count = counted(facts['units'], facts['unit'])
    if facts['units'] < MIN_UNITS:
        return f'No intervals: {count}, and they take {MIN_UNITS}.'
    return f'{100 * facts.get("level", LEVEL):g} % intervals over {count}.'


def units_warnings(facts: Mapping[str, Any]) -> list[str]:
    """List the weaknesses of intervals and tests over these units; empty if there are none."""
    units, unit = facts['units'], facts['unit']
    warnings = []
    if MIN_UNITS <= units < FEW_UNITS:
        warnings.append(
            f'Only {counted(units, unit)}: below {FEW_UNITS} a score depends much on which they are'
            + (', and no difference between models can be shown below 6.' if units < 6 else '.')
        )
    rare = {name: n for name, n in facts.get('class_units', {}).items() if 0 < n < FEW_OF_CLASS}
    if rare and units >= FEW_OF_CLASS:
        warnings.append(f'Seen in fewer than {FEW_OF_CLASS} {plural(unit)}: {_listed(rare)}.')
    if facts.get('videos'):
        videos = facts['videos']
        warnings.append(
            f'The {counted(units, unit)} are of {counted(len(videos), "video")} '
            f'({_listed(videos)}): neighbouring ones are not independent, so intervals are too '
            'narrow and p too small.'
        )
    return warnings


def _listed(counts: Mapping[str, int]) -> str:
    named = [f'{name} {count}' for name, count in list(counts.items())[:_LISTED]]
    more = len(counts) - len(named)
    return ', '.join(named) + (f' and {more} more' if more else '')


def plural(unit: str) -> str:
    """Return the plural of a unit."""
    return f'{unit[:-1]}ies' if unit.endswith('y') else f'{unit}s'


def counted(number: int, unit: str) -> str:
    """Format a number of units."""
    return f'{number} {unit if number == 1 else plural(unit)}'


def group_in(name: str, pattern: str, setting: str) -> str:
    """Find the group in the name of an image.

    Raises:
        ValueError: If the pattern does not match; the message names the setting.
    """
    match = re.search(pattern, name)
    if match is None:
        raise ValueError(f'{setting} {pattern!r} does not match the image name {name!r}')
    return match.group(1 if match.re.groups else 0)


def choose_units(
    names: Collection[str],
    groups: Optional[Sequence[str]],
    *,
    group_unit: str = 'group',
    video_pattern: Optional[str] = None,
) -> Units:
    """Choose the units of a test.

    Groups of the data set come first. Then videos are the units if there are enough for an
    interval. With fewer videos the frames are the units, and the videos are recorded.

    Args:
        names: File names of the images, with or without their folders.
        groups: Group of each image, or None.
        group_unit: Name of the kind of group.
        video_pattern: Regular expression whose match in the file name of a frame is its video
            (group 1 if there is one). None, or a name without a match, means that images are not
            frames.
    """
    if groups is not None:
        return Units(len(set(groups)), group_unit, groups)
    pattern = video_pattern
    files = (name.rpartition('/')[2] for name in names)
    if pattern is None or not all(re.search(pattern, file) for file in files):
        return Units(len(names))
    videos = [group_in(name.rpartition('/')[2], pattern, 'video_pattern') for name in names]
    counts = dict(sorted(Counter(videos).items()))
    if len(counts) >= MIN_UNITS:
        return Units(len(counts), 'video', videos)
    return Units(len(names), 'frame', videos=counts)
