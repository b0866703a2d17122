"""What a check of the data found, image by image and in all.

Shape letters: K class, H row, W column.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Optional

import numpy as np

from ....datasets.signs import MaskFacts
from ..file import DataFile
from ..pairing import Pair
from ..scan import MaskCount

UNKNOWN = 'values without a class'


class Sample(NamedTuple):
    """What was found out about one image and its mask.

    Args:
        part: Its split.
        pair: Its files.
        problems: Kind and text of what is wrong with them.
        notes: Kind and name of what is to be known.
        size: H and W of the image.
        depth: Channels and type of the image, such as ``'3 x uint8'``.
        digest: Of the image's pixels.
        content: What the mask holds, ``None`` if it cannot be read.
        facts: What else it holds.
        same: Whether the image shows the mask.
    """

    part: str
    pair: Pair
    problems: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    size: tuple[int, int] = (0, 0)
    depth: str = ''
    digest: str = ''
    content: Optional[MaskCount] = None
    facts: Optional[MaskFacts] = None
    same: bool = False

    @property
    def kind(self) -> str:
        """The first kind of problem, empty if there is none."""
        if self.problems:
            return self.problems[0][0]
        return UNKNOWN if self.content is not None and self.content.unknown else ''

    def with_problem(self, kind: str, error: object) -> 'Sample':
        """The same with one problem more."""
        return self._replace(problems=(*self.problems, (kind, str(error))))


@dataclass
class DataReport:
    """The outcome of a check.

    Args:
        data: The file.
        samples: All images and masks.
        errors: Kind -> messages on what must be put right before training.
        warnings: Kind -> messages on what should be known.
    """

    data: DataFile
    samples: list[Sample]
    errors: dict[str, list[str]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def of(self, part: str) -> list[Sample]:
        """The samples of a split."""
        return [sample for sample in self.samples if sample.part == part]

    def pixels(self, part: str) -> np.ndarray:
        """Pixels of each class of a split, and of the ignored label at the end, ``(K + 1,)``."""
        counts = [s.content.pixels for s in self.of(part) if s.content is not None]
        return np.sum(counts, axis=0) if counts else np.zeros(len(self.data.classes) + 1, np.int64)

    def masks_with(self, part: str) -> np.ndarray:
        """In how many masks of a split each class, and the ignored label, occurs, ``(K + 1,)``."""
        seen = [s.content.pixels > 0 for s in self.of(part) if s.content is not None]
        return np.sum(seen, axis=0) if seen else np.zeros(len(self.data.classes) + 1, np.int64)
