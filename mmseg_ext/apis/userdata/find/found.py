"""The result of class detection in masks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ....core.labels import Color, voc_palette


@dataclass
class Classes:
    """The classes detected in masks.

    Args:
        names: Class names in the order of their values.
        values: Value of each class; empty if the masks hold colors.
        colors: RGB color of each class.
        ignored: Values or colors to ignore.
        threshold: Masks become 1 where they are at least this value.
        notes: Guesses, one line each.
    """

    names: list[str]
    values: list[int]
    colors: list[Color]
    ignored: list[Any] = field(default_factory=list)
    threshold: Optional[int] = None
    notes: list[str] = field(default_factory=list)


def check_names(names: Sequence[str], source: str) -> None:
    """Refuse two classes of one name.

    Raises:
        ValueError: If there are.
    """
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise ValueError(
            f'{source}: two classes are called {twice[0]!r}: give each a name of its own'
        )


def spare_colors(count: int) -> list[Color]:
    """Return VOC's colors for classes without colors."""
    return [(red, green, blue) for red, green, blue in voc_palette(count)]
