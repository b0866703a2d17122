"""What all code agrees on about labels: the ignored value, the background class, the colors."""

from collections.abc import Sequence
from typing import Optional, TypeVar

IGNORE = 255  # label of pixels that do not count, the same as in mmseg
LOADERS = ('LoadAnnotations', 'LoadLabels')  # pipeline steps that read a mask

Color = tuple[int, int, int]  # red, green, blue, 0 to 255 each

# For images without masks: UNLABELLED is the key in a sample's meta data. VALID is the value of
# ``gt_sem_seg`` at pixels of the image; any other value there was added by padding.
UNLABELLED = 'unlabelled'
VALID = 1
# Key in a prediction's meta data: the least probability of a pseudo label.
PSEUDO_THRESHOLD = 'pseudo_threshold'

T = TypeVar('T')


def is_background(name: object) -> bool:
    """Whether a class is called background; LabelMe's ``_background_`` is one, too."""
    return str(name).strip('_').lower() == 'background'


def background_of(classes: Sequence[str]) -> Optional[int]:
    """Index of the class that is called background, ``None`` if there is none."""
    return next((index for index, name in enumerate(classes) if is_background(name)), None)


def voc_palette(num_classes: int) -> list[list[int]]:
    """Compute the RGB colors that PASCAL VOC derives from the bits of each class index."""
    colors = []
    for index in range(num_classes):
        color, rest = [0, 0, 0], index
        for shift in range(7, -1, -1):
            for channel in range(3):
                color[channel] |= ((rest >> channel) & 1) << shift
            rest >>= 3
        colors.append(color)
    return colors


def evenly(items: Sequence[T], count: int) -> list[T]:
    """Pick at most ``count`` items at equal distances: neighbours in a series look alike."""
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]
