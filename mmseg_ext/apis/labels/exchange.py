"""What goes to a labelling tool and comes back: class names, and masks of one image.

In a tool, what nobody painted is background. Ignored pixels are painted as a label of their own.
Where the data set has no background, what nobody painted is ignored.
Shape letters: H row, W column.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

import numpy as np

from ...core.labels import background_of
from ...core.words import unknown
from ..userdata.file import DataFile

Color = tuple[int, int, int]
_GREY = (128, 128, 128)


@dataclass(frozen=True)
class LabelNames:
    """The classes of a data set as a labelling tool shows them.

    Args:
        classes: Names in the order of their ids.
        palette: A color (RGB) for each.
        ignore_index: The label of pixels that do not count.
    """

    classes: tuple[str, ...]
    palette: tuple[Color, ...]
    ignore_index: int = 255

    @classmethod
    def of(cls, data: DataFile) -> 'LabelNames':
        """The names of a data set file."""
        return cls(data.classes, data.palette, data.ignore_index)

    @property
    def ignored(self) -> str:
        """Name of the label for pixels that do not count."""
        name = 'ignored'
        while name in self.classes:
            name += '_'
        return name

    @property
    def unpainted(self) -> int:
        """What a pixel is that nobody painted."""
        background = background_of(self.classes)
        return self.ignore_index if background is None else background

    def shown(self) -> list[tuple[str, Color]]:
        """All names that can be painted, with their colors."""
        return [*zip(self.classes, self.palette), (self.ignored, _GREY)]

    def id_of(self, name: str) -> int:
        """The id of a name that a tool gives.

        Raises:
            ValueError: If the data set has no such class.
        """
        known = [*self.classes, self.ignored]
        if name not in known:
            raise ValueError(unknown('class', name, known))
        return self.ignore_index if name == self.ignored else known.index(name)

    def layers(self, label_HW: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """The painted classes of a mask with where each is, bool ``(H, W)``."""
        present = [int(value) for value in np.unique(label_HW) if value != self.unpainted]
        names = {self.ignore_index: self.ignored, **dict(enumerate(self.classes))}
        return [(names[value], label_HW == value) for value in present]

    def paint(
        self, size: tuple[int, int], layers: Iterable[tuple[str, np.ndarray]]
    ) -> tuple[np.ndarray, int]:
        """Paint layers over each other, the last on top.

        Args:
            size: H and W.
            layers: Name and place, bool ``(H, W)``, of each.

        Returns:
            The ids, ``(H, W)``, and how many pixels were painted in two classes.

        Raises:
            ValueError: If a name is unknown.
        """
        label = np.full(size, self.unpainted, np.uint8 if self.ignore_index < 256 else np.uint16)
        painted, twice = np.zeros(size, bool), np.zeros(size, bool)
        for name, mask in layers:
            value = self.id_of(name)
            twice |= mask & painted & (label != value)
            painted |= mask
            label[mask] = value
        return label, int(twice.sum())


class Predicted(NamedTuple):
    """An image to be labelled.

    Args:
        name: Its path below the folder of images, with ``/``.
        size: H and W.
        label: What a model says, ids ``(H, W)``; ``None`` for nothing to start from.
        score: How sure the model is, from 0 to 1.
    """

    name: str
    size: tuple[int, int]
    label: Optional[np.ndarray] = None
    score: Optional[float] = None


class Finished(NamedTuple):
    """An image that people have labelled.

    Args:
        name: As the tool has it; the stem, or a path that ends in the image's.
        label: Ids, ``(H, W)``.
        twice: Pixels that were painted in two classes; the later one holds.
    """

    name: str
    label: np.ndarray
    twice: int = 0


@dataclass
class Returned:
    """What came back from a tool.

    Args:
        finished: The images with labels.
        waiting: Names of those that nobody labelled yet.
    """

    finished: list[Finished] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def match_name(name: str, stems: Sequence[str], endings: Sequence[str] = ()) -> Optional[str]:
    """The stem that a tool's name of an image means, ``None`` if there is none, or several.

    Tools put folders, or a random text and a hyphen, before the name of an image that was uploaded.

    Args:
        name: With or without an ending.
        stems: Of all images.
        endings: Of the data set's images, which may be more than a file's kind: ``_image.png``.
    """
    known = set(stems)
    whole = name.replace('\\', '/')
    bare = whole.rsplit('.', 1)[0] if '.' in whole.rsplit('/', 1)[-1] else whole
    cut = [whole[: -len(end)] for end in endings if whole.lower().endswith(end.lower())]
    for text in (whole, *cut, bare):
        while text:
            if text in known:
                return text
            text = text.partition('/')[2]
    for last in (text.rsplit('/', 1)[-1] for text in (*cut, bare)):
        for text in (last, last.partition('-')[2]):
            found = [stem for stem in stems if text and stem.rsplit('/', 1)[-1] == text]
            if len(found) == 1:
                return found[0]
    return None
