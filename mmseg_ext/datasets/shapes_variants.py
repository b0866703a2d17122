"""Variants of the synthetic data set ``shapes``: their classes and what tells these apart.

Source: our own.

``shapes21`` has 20 classes: each of five overlapping ranges of hues with each of four textures, and
a preferred outline that 70 % of objects have. So color alone, texture alone or outline alone does
not determine a class.

``shapes7`` has 6 classes that a small network tells apart after a few minutes of training. Each has
a range of hues of its own. Any two of them also differ in texture or in outline; those of one
texture have opposite hues. None is plain: plain objects look like the blotches behind them.
"""

from dataclasses import dataclass
from typing import Any

from mmseg.datasets import PascalVOCDataset

TEXTURES = ('plain', 'stripes', 'checks', 'dots')
OUTLINES = ('round', 'box', 'star', 'ring')


@dataclass(frozen=True)
class Cues:
    """How objects of the classes look.

    Args:
        looks: For each range of hues, texture and outline of each of its classes.
        hue_step: Distance of the middles of two ranges, in OpenCV's hues of 0 to 179.
        hue_spread: Half the width of a range.
        outline_faith: Share of objects that have the outline of their class; others have any.
    """

    looks: tuple[tuple[tuple[str, str], ...], ...]
    hue_step: int
    hue_spread: int
    outline_faith: float = 1.0

    def class_of(self, hue: int, look: int) -> int:
        """Return the label for the index of a range of hues and of a look within it."""
        return 1 + sum(map(len, self.looks[:hue])) + look


@dataclass(frozen=True)
class Variant:
    """A kind of the data set.

    Args:
        name: As ``make_shapes.py --variant`` and ``ShapesDataset`` call it.
        classes: Names, the background first.
        palette: Color of each class, RGB.
        cues: How objects look.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    cues: Cues

    @property
    def metainfo(self) -> dict[str, Any]:
        """Classes and palette, as a data set's ``METAINFO``."""
        return dict(classes=self.classes, palette=[list(color) for color in self.palette])


_HUES = ('red', 'lime', 'teal', 'blue', 'violet')
SHAPES21 = Variant(
    name='shapes21',
    classes=('background', *(f'{hue}_{texture}' for hue in _HUES for texture in TEXTURES)),
    palette=tuple(tuple(color) for color in PascalVOCDataset.METAINFO['palette']),
    cues=Cues(
        looks=tuple(
            tuple(
                (texture, OUTLINES[(hue + k) % len(OUTLINES)])
                for k, texture in enumerate(TEXTURES)
            )
            for hue in range(len(_HUES))
        ),
        hue_step=36,
        hue_spread=25,  # more than half a step, so that neighbouring ranges overlap
        outline_faith=0.7,
    ),
)  # fmt: skip
SHAPES7 = Variant(
    name='shapes7',
    classes=(
        'background', 'red_striped_box', 'yellow_dotted_disk', 'green_checked_box',
        'cyan_striped_disk', 'blue_dotted_box', 'magenta_checked_disk',
    ),
    palette=(
        (0, 0, 0), (230, 30, 30), (240, 220, 0), (20, 170, 50), (0, 200, 220), (40, 70, 230),
        (220, 50, 200),
    ),
    cues=Cues(
        looks=(
            (('stripes', 'box'),), (('dots', 'round'),), (('checks', 'box'),),
            (('stripes', 'round'),), (('dots', 'box'),), (('checks', 'round'),),
        ),
        hue_step=30,
        hue_spread=9,
    ),
)  # fmt: skip
VARIANTS = {variant.name: variant for variant in (SHAPES21, SHAPES7)}
