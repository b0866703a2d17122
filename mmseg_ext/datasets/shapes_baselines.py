"""Baselines for the data set ``shapes``: predictions that use no neighbouring pixels.

Both are the mIoU over all classes in labels or prediction, as a fraction in [0, 1]. Pixels are
summed over the split without the borders of objects.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..core.masks import read_mask
from ..core.reading import read_color
from .shapes import CLASSES

_K = len(CLASSES)


def constant_miou(root: str, *, split: str = 'val') -> float:
    """Return the mIoU of predicting background everywhere."""
    confusion = np.zeros((_K, _K), np.int64)
    for _, label_N in _pixels(root, split):
        confusion[:, 0] += np.bincount(label_N, minlength=_K)
    return _miou(confusion)


def color_classifier_miou(root: str, *, split: str = 'val', bins: int = 16) -> float:
    """Return the mIoU of predicting the most frequent class of each pixel's color.

    Frequencies are counted on the train split with ``bins`` steps for each of blue, green and red.
    An unseen color is predicted as background.
    """
    counts = np.zeros(bins**3 * _K, np.int64)
    for color_N, label_N in _pixels(root, 'train', bins=bins):
        counts += np.bincount(color_N * _K + label_N, minlength=len(counts))
    best = counts.reshape(-1, _K).argmax(axis=1)
    confusion = np.zeros(_K * _K, np.int64)
    for color_N, label_N in _pixels(root, split, bins=bins):
        confusion += np.bincount(label_N * _K + best[color_N], minlength=_K * _K)
    return _miou(confusion.reshape(_K, _K))


def _pixels(root: str, split: str, *, bins: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield color bin and label of all labelled pixels, image by image."""
    base = Path(root)
    for name in (base / 'ImageSets' / 'Segmentation' / f'{split}.txt').read_text().split():
        label = read_mask(str(base / 'SegmentationClass' / f'{name}.png')).astype(np.int64)
        image = read_color(str(base / 'JPEGImages' / f'{name}.jpg'))
        steps = image.astype(np.int64) * bins // 256
        color = (steps[..., 0] * bins + steps[..., 1]) * bins + steps[..., 2]
        known = label < _K
        yield color[known], label[known]


def _miou(confusion_KK: np.ndarray) -> float:
    """Compute the mIoU; rows are labels, columns predictions."""
    true = np.diag(confusion_KK)
    union = confusion_KK.sum(0) + confusion_KK.sum(1) - true
    return float((true[union > 0] / union[union > 0]).mean())
