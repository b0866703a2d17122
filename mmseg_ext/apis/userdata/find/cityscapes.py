"""Classes of Cityscapes' masks, which hold ids, training ids or colors and no names.

Source: github.com/mcordts/cityscapesScripts, ``helpers/labels.py``. 19 of 34 labels are classes.
"""

from collections.abc import Collection
from typing import Any, NamedTuple, Optional

from ....core.labels import Color
from .found import Classes


class Label(NamedTuple):
    """A class: its value in ``labelIds``, its name and color; its place is its training id."""

    value: int
    name: str
    color: Color


LABELS = (
    Label(7, 'road', (128, 64, 128)), Label(8, 'sidewalk', (244, 35, 232)),
    Label(11, 'building', (70, 70, 70)), Label(12, 'wall', (102, 102, 156)),
    Label(13, 'fence', (190, 153, 153)), Label(17, 'pole', (153, 153, 153)),
    Label(19, 'traffic light', (250, 170, 30)), Label(20, 'traffic sign', (220, 220, 0)),
    Label(21, 'vegetation', (107, 142, 35)), Label(22, 'terrain', (152, 251, 152)),
    Label(23, 'sky', (70, 130, 180)), Label(24, 'person', (220, 20, 60)),
    Label(25, 'rider', (255, 0, 0)), Label(26, 'car', (0, 0, 142)), Label(27, 'truck', (0, 0, 70)),
    Label(28, 'bus', (0, 60, 100)), Label(31, 'train', (0, 80, 100)),
    Label(32, 'motorcycle', (0, 0, 230)), Label(33, 'bicycle', (119, 11, 32)),
)  # fmt: skip
_VOID_COLORS = [
    (0, 0, 0), (111, 74, 0), (81, 0, 81), (250, 170, 160), (230, 150, 140), (180, 165, 180),
    (150, 100, 100), (150, 120, 90), (0, 0, 90), (0, 0, 110),
]  # fmt: skip
_IDS = 34
_VOID = 255  # of training ids
_ENDS = ('_labelids', '_labeltrainids', '_color')


def cityscapes_end(path: str) -> str:
    """Return which of Cityscapes' masks a file is, ``'_labelids'`` for example; empty for none."""
    stem = path.lower().rpartition('.')[0]
    known = [end for end in _ENDS if stem.endswith(('_gtfine' + end, '_gtcoarse' + end))]
    return known[0] if known else ''


def cityscapes_classes(end: str, seen: Collection[Any]) -> Optional[Classes]:
    """Return Cityscapes' 19 classes if masks can be its own.

    Args:
        end: What the masks are, see :func:`cityscapes_end`.
        seen: Values, or colors, that occur.

    Returns:
        The classes; ``None`` if there are other values, or fewer than two classes.
    """
    values, void = _values(end)
    if not set(seen) <= {*values, *void} or len(set(seen) & set(values)) < 2:
        return None
    notes = [f'the names of the {len(LABELS)} classes are those of Cityscapes; others are ignored']
    if end == '_color':
        notes.append('by color, polegroup counts as pole, and license plate as car')
    colors = [label.color for label in LABELS]
    own = [] if end == '_color' else values
    return Classes([label.name for label in LABELS], own, colors, void, notes=notes)


def _values(end: str) -> tuple[list[Any], list[Any]]:
    """Return the values, or colors, of the classes, and those without a class."""
    if end == '_color':
        return [label.color for label in LABELS], list(_VOID_COLORS)
    if end == '_labeltrainids':
        return list(range(len(LABELS))), [_VOID]
    values = [label.value for label in LABELS]
    return values, [value for value in (*range(_IDS), _VOID) if value not in values]
