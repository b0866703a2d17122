"""Description of a source of public weights: its names, and our modules that they fit."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from ...core.fitting import State


def _same(state: State) -> State:
    return state


@dataclass(frozen=True)
class Option:
    """A setting that weights do not show, so the user has to choose it.

    Args:
        choices: Possible values, the default first.
        meaning: A few words for the note.
        alias: Name in the source's own code.
    """

    choices: Sequence[int]
    meaning: str
    alias: str = ''


@dataclass(frozen=True)
class Source:
    """A kind of public checkpoint.

    Args:
        title: What the checkpoint contains.
        origin: Address of the repository or package that defines the names.
        images: Images that the weights expect, as arguments of a ``data_preprocessor``.
        model: Function from the weights and option values (by name) to configs of the parts that
            they fit, ``backbone`` first. It raises ``KeyError`` or ``ValueError`` for other
            weights. A backbone alone has names without prefix, for
            ``init_cfg=dict(type='Pretrained', ...)``; several parts have the names of a whole
            model.
        names: Function from the weights to a function that maps a public name to ours, with the
            part as prefix, or to ``None`` if it is unknown.
        left_out: Regular expressions of known public names that are not used.
        absent: Regular expressions of our names that the source lacks; their weights stay random.
        prepare: First step: changes of values and names beyond renaming. ``model`` gets its result.
            It raises the same errors as ``model``.
        adjust: Last step: changes of values under our names.
        note: Differences from the original.
        preprocessor: ``mean``, ``std`` and ``bgr_to_rgb`` for ``images``, or a function of the
            options that returns them.
        options: Settings that the weights do not show, by name.
    """

    title: str
    origin: str
    images: str
    model: Callable[..., dict[str, dict]]
    names: Callable[[State], Callable[[str], Optional[str]]]
    left_out: Sequence[str] = ()
    absent: Sequence[str] = ()
    prepare: Callable[[State], State] = _same
    adjust: Callable[[State], State] = _same
    note: str = ''
    preprocessor: Union[Mapping[str, Any], Callable[..., Mapping[str, Any]]] = field(
        default_factory=dict
    )
    options: Mapping[str, Option] = field(default_factory=dict)

    def images_for(self, options: Mapping[str, int]) -> dict[str, Any]:
        """Return the arguments of the preprocessor."""
        given = self.preprocessor
        return dict(given(**options) if callable(given) else given)


def _grey_unit_range(image_max: int = 255) -> dict[str, Any]:
    return dict(mean=[0.0] * 3, std=[float(image_max)] * 3)


# For networks on medical images, whose one channel is repeated three times.
GREY_UNIT_RANGE: dict[str, Any] = dict(
    images='one channel of 0..1 three times: mean 0, std the largest value of your images',
    preprocessor=_grey_unit_range,
    options=dict(image_max=Option((255, 1), 'images of values up to')),
)


def in_backbone(table: Mapping[str, str]) -> Callable[[str], Optional[str]]:
    """Do the same as :func:`by_table`, with our names in the backbone."""
    return by_table({theirs: f'backbone.{ours}' for theirs, ours in table.items()})


def by_table(table: Mapping[str, str]) -> Callable[[str], Optional[str]]:
    """Return a function that renames tensors, or modules (keeping the part after the last dot).

    Args:
        table: Public name -> our name, of a tensor or of its module.
    """

    def name_of(key: str) -> Optional[str]:
        if key in table:
            return table[key]
        module, _, leaf = key.rpartition('.')
        return f'{table[module]}.{leaf}' if module in table else None

    return name_of


def rows(state: State, key: str) -> int:
    """Return the first dimension of a tensor, such as the number of classes of a classifier."""
    return len(state[key])


def count_modules(state: State, pattern: str) -> int:
    """Count the distinct numbers that a group of a pattern matches in the names; 0 for none."""
    return len({found[1] for key in state if (found := re.match(pattern, key))})
