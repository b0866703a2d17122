"""Baselines for the data set ``shapes``: predictions that use no neighbouring pixels.

Both are the mIoU over all classes in labels or prediction, as a fraction in [0, 1]. Pixels are
summed over the split without the borders of objects.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..core.masks import read_mask
from ..core.reading import read_color
from .shapes_files import variant_of


def constant_miou(root: str, *, split: str = 'val') -> float:
    """Return the mIoU of predicting background everywhere."""
    K = _num_classes(root)
    confusion = np.zeros((K, K), np.int64)
    for _, label_N in _pixels(root, split, K):
        confusion[:, 0] += np.bincount(label_N, minlength=K)
    return _miou(confusion)


def color_classifier_miou(root: str, *, split: str = 'val', bins: int = 16) -> float:
    """Return the mIoU of predicting the most frequent class of each pixel's color.

    Frequencies are counted on the train split with ``bins`` steps for each of blue, green and red.
    An unseen color is predicted as background.
    """
    K = _num_classes(root)
    counts = np.zeros(bins**3 * K, np.int64)
    for color_N, label_N in _pixels(root, 'train', K, bins=bins):
        counts += np.bincount(color_N * K + label_N, minlength=len(counts))
    best = counts.reshape(-1, K).argmax(axis=1)
    confusion = np.zeros(K * K, np.int64)
    for color_N, label_N in _pixels(root, split, K, bins=bins):
        confusion += np.bincount(label_N * K + best[color_N], minlength=K * K)
    return _miou(confusion.reshape(K, K))


def _num_classes(root: str) -> int:
    return len(variant_of(Path(root)).classes)


def _pixels(
    root: str, split: str, num_classes: int, *, bins: int = 1
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield color bin and label of all labelled pixels, image by image."""
    base = Path(root)
    for name in (base / 'ImageSets' / 'Segmentation' / f'{split}.txt').read_text().split():
        label = read_mask(str(base / 'SegmentationClass' / f'{name}.png')).astype(np.int64)
        image = read_color(str(base / 'JPEGImages' / f'{name}.jpg'))
        steps = image.astype(np.int64) * bins // 256
        color = (steps[..., 0] * bins + steps[..., 1]) * bins + steps[..., 2]
        known = label < num_classes
        yield color[known], label[known]


def _miou(confusion_KK: np.ndarray) -> float:
    """Compute the mIoU; rows are labels, columns predictions."""
    true = np.diag(confusion_KK)
    union = confusion_KK.sum(0) + confusion_KK.sum(1) - true
    return float((true[union > 0] / union[union > 0]).mean())
