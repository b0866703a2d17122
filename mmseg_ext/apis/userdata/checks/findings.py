"""What a check of the data found, image by image and in all.

Shape letters: K class, H row, W column.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Optional

import numpy as np

from ....datasets.mask_facts import MaskFacts
from ..file import DataFile
from ..pairing import Pair
from ..scan import MaskCount

UNKNOWN = 'values without a class'


class Sample(NamedTuple):
    """Findings on one image and its mask.

    Args:
        part: Its split.
        pair: Its files.
        problems: Kind and text of each error.
        notes: Kind and file name of each warning.
        size: H and W of the image.
        depth: Channels and type of the image, such as ``'3 x uint8'``.
        digest: Hash of the image's pixels.
        blank: Whether it is a slice of a volume with one value, as many volumes have.
        content: Class counts of the mask, ``None`` if it cannot be read.
        facts: Other counts of the mask.
        same: Whether the image is a picture of the mask.
    """

    part: str
    pair: Pair
    problems: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    size: tuple[int, int] = (0, 0)
    depth: str = ''
    digest: str = ''
    blank: bool = False
    content: Optional[MaskCount] = None
    facts: Optional[MaskFacts] = None
    same: bool = False

    @property
    def kind(self) -> str:
        """Return the kind of the first problem, or an empty string."""
        if self.problems:
            return self.problems[0][0]
        return UNKNOWN if self.content is not None and self.content.unknown else ''

    def with_problem(self, kind: str, error: object) -> 'Sample':
        """Return a copy with one more problem."""
        return self._replace(problems=(*self.problems, (kind, str(error))))


@dataclass
class DataReport:
    """The outcome of a check.

    Args:
        data: The data set file.
        samples: All images and masks.
        errors: Kind -> messages on what must be corrected before training.
        warnings: Kind -> messages on what the user should know.
    """

    data: DataFile
    samples: list[Sample]
    errors: dict[str, list[str]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def of(self, part: str) -> list[Sample]:
        """Return the samples of a split."""
        return [sample for sample in self.samples if sample.part == part]

    def pixels(self, part: str) -> np.ndarray:
        """Count the pixels of each class in a split, with the ignored label last, ``(K + 1,)``."""
        counts = [s.content.pixels for s in self.of(part) if s.content is not None]
        return np.sum(counts, axis=0) if counts else np.zeros(len(self.data.classes) + 1, np.int64)

    def masks_with(self, part: str) -> np.ndarray:
        """Count the masks of a split with each class, with the ignored label last, ``(K + 1,)``."""
        seen = [s.content.pixels > 0 for s in self.of(part) if s.content is not None]
        return np.sum(seen, axis=0) if seen else np.zeros(len(self.data.classes) + 1, np.int64)
