"""What a check of the data found, image by image and in all.

Shape letters: K class, H row, W column.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Optional

import numpy as np

from ....core.spool import Spool, Stored
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
        spool: All images and masks, split by split; on disk, as there may be a million.
        errors: Kind -> messages on what must be corrected before training.
        warnings: Kind -> messages on what the user should know.
    """

    data: DataFile
    spool: Spool[Sample] = field(default_factory=Spool)
    errors: dict[str, list[str]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    _ranges: dict[str, range] = field(default_factory=dict)

    def append(self, sample: Sample) -> None:
        """Add the next image; those of a split follow each other."""
        place = len(self.spool)
        self.spool.append(sample)
        self._ranges[sample.part] = range(self._ranges.get(sample.part, [place])[0], place + 1)

    @property
    def samples(self) -> Stored[Sample]:
        """All images and masks; each pass reads them anew."""
        return self.spool.all()

    def of(self, part: str) -> Stored[Sample]:
        """Return the samples of a split."""
        return Stored(self.spool, self._ranges.get(part, range(0)))

    def pixels(self, part: str) -> np.ndarray:
        """Count the pixels of each class in a split, with the ignored label last, ``(K + 1,)``."""
        return self._sum(part)[0]

    def masks_with(self, part: str) -> np.ndarray:
        """Count the masks of a split with each class, with the ignored label last, ``(K + 1,)``."""
        return self._sum(part)[1]

    def _sum(self, part: str) -> np.ndarray:
        sums = np.zeros((2, len(self.data.classes) + 1), np.int64)
        for sample in self.of(part):
            if sample.content is not None:
                sums += sample.content.pixels, sample.content.pixels > 0
        return sums


class First:
    """How many there are, and the first of them.

    Args:
        most: Number of those to keep.
    """

    def __init__(self, most: int) -> None:
        self.count = 0
        self.names: list[str] = []
        self._most = most

    def add(self, name: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.names) < self._most:
            self.names.append(name)

    def __str__(self) -> str:
        """Name the first ones, after each other."""
        return ', '.join(self.names) + (' and more' if self.count > len(self.names) else '')
