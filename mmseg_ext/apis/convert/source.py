"""What a source of public weights says: how its names map to ours, and which modules they fit."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from ...core.fitting import State


def _same(state: State) -> State:
    return state


@dataclass(frozen=True)
class Option:
    """What weights do not show, so that whoever converts them has to say it.

    Args:
        choices: Values that there are, the one that is assumed first.
        meaning: In a word or two, for the note.
        alias: What the source's own code calls it.
    """

    choices: Sequence[int]
    meaning: str
    alias: str = ''


@dataclass(frozen=True)
class Source:
    """A kind of public checkpoint.

    Args:
        title: What it holds.
        origin: Address of the repository or package whose names it has.
        images: What images the weights expect, in the words of a ``data_preprocessor``.
        model: Weights, and values of ``options`` by name, to configs of the parts they fit,
            ``backbone`` first; raises ``KeyError`` or ``ValueError`` for weights of something else.
            A backbone alone gets names without prefix, for ``init_cfg=dict(type='Pretrained',
            ...)``; several parts the names of a whole model.
        names: Weights to a function from a public name to ours, with the part in front; ``None``
            for names it does not know.
        left_out: Regular expressions of public names that are known and have no place here.
        absent: Regular expressions of our names that the source does not hold, which stay random.
        prepare: First change, of values and names that no renaming can make ours; raises as
            ``model``, which gets what it returns.
        adjust: Last change of values, on our names.
        note: What is not the same as there.
        preprocessor: ``mean``, ``std`` and ``bgr_to_rgb`` that ``images`` stands for, or a function
            of the options that returns them.
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


# Networks of medical images, whose one channel is given three times.
GREY_UNIT_RANGE: dict[str, Any] = dict(
    images='one channel of 0..1 three times: mean 0, std the largest value of your images',
    preprocessor=_grey_unit_range,
    options=dict(image_max=Option((255, 1), 'images of values up to')),
)


def in_backbone(table: Mapping[str, str]) -> Callable[[str], Optional[str]]:
    """As :func:`by_table`, with ours in the backbone."""
    return by_table({theirs: f'backbone.{ours}' for theirs, ours in table.items()})


def by_table(table: Mapping[str, str]) -> Callable[[str], Optional[str]]:
    """Rename whole tensors, or modules with what stands behind the last dot kept.

    Args:
        table: Public name to ours; of a tensor, or of the module that holds it.
    """

    def name_of(key: str) -> Optional[str]:
        if key in table:
            return table[key]
        module, _, leaf = key.rpartition('.')
        return f'{table[module]}.{leaf}' if module in table else None

    return name_of


def rows(state: State, key: str) -> int:
    """Return the first size of a tensor, such as the number of classes of a classifier."""
    return len(state[key])


def count_modules(state: State, pattern: str) -> int:
    """Count the distinct numbers of the group of a pattern in the names; 0 for none."""
    return len({found[1] for key in state if (found := re.match(pattern, key))})
