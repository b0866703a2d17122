"""What intervals are over, images, patients or videos, and what to beware of: one wording for all.

Log, ``results.json``, cards and pages say the same: :func:`describe_units` writes the facts,
:func:`units_note` the sentence about them.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from .intervals import LEVEL, METHOD, MIN_UNITS, Intervals

FEW_UNITS = 20  # below, a score depends much on which units it was measured on
FEW_OF_CLASS = 5
OLD_METHOD = 'percentile bootstrap'  # of results that name none
_LISTED = 8  # classes or videos that a sentence names


class Units(NamedTuple):
    """What one unit of a test is.

    Args:
        number: Of units.
        unit: What one is, such as ``'image'`` or ``'patient'``.
        groups: Group of each image, where the units are groups of images.
        videos: Name of each video to its frames, where images are frames, but videos not the units.
    """

    number: int
    unit: str = 'image'
    groups: Optional[Sequence[str]] = None
    videos: Optional[Mapping[str, int]] = None

    @property
    def facts(self) -> dict[str, Any]:
        """The same as data that JSON can hold, without the groups."""
        facts: dict[str, Any] = dict(unit=self.unit, units=self.number)
        return dict(facts, videos=dict(self.videos)) if self.videos else facts


def describe_units(
    intervals: Intervals, class_names: Sequence[str], units: Units
) -> dict[str, Any]:
    """Say what intervals are over, as data that JSON can hold.

    Args:
        intervals: Of the scores.
        class_names: K names.
        units: Of the test.

    Returns:
        ``method``, ``level``, ``unit``, ``units`` (the number of those with a labelled pixel),
        ``class_units`` (class to the number that it is labelled in) and, if there are any,
        ``videos``.
    """
    facts = dict(units.facts, method=METHOD, level=LEVEL, units=intervals.units)
    return dict(facts, class_units=dict(zip(class_names, intervals.class_units)))


def units_note(facts: Mapping[str, Any]) -> str:
    """Say in one or a few sentences what intervals are over and what is wrong with it.

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
    """Say what is wrong with intervals and tests over these units; nothing if all is well."""
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
    """Write several units."""
    return f'{unit[:-1]}ies' if unit.endswith('y') else f'{unit}s'


def counted(number: int, unit: str) -> str:
    """Write a number of units."""
    return f'{number} {unit if number == 1 else plural(unit)}'


def group_in(name: str, pattern: str, setting: str) -> str:
    """Find the group that an image's name holds.

    Raises:
        ValueError: If the pattern does not match; it names the setting.
    """
    match = re.search(pattern, name)
    if match is None:
        raise ValueError(f'{setting} {pattern!r} does not match the image name {name!r}')
    return match.group(1 if match.re.groups else 0)


def choose_units(
    names: Sequence[str],
    groups: Optional[Sequence[str]],
    *,
    group_unit: str = 'group',
    video_pattern: Optional[str] = None,
) -> Units:
    """Decide what the units are.

    Groups of the data set come first. Videos are units where there are enough for an interval; of
    fewer, frames are, and the videos are named.

    Args:
        names: File names of the images.
        groups: Group of each image, if it has one.
        group_unit: What a group is.
        video_pattern: Regular expression whose match in the name of a frame is its video (group 1
            if there is one); None, or a name that it does not match, where images are no frames.
    """
    if groups is not None:
        return Units(len(set(groups)), group_unit, groups)
    pattern = video_pattern
    if pattern is None or not all(re.search(pattern, name) for name in names):
        return Units(len(names))
    videos = [group_in(name, pattern, 'video_pattern') for name in names]
    counts = dict(sorted(Counter(videos).items()))
    if len(counts) >= MIN_UNITS:
        return Units(len(counts), 'video', videos)
    return Units(len(names), 'frame', videos=counts)
