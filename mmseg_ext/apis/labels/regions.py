"""Regions of an image that are labelled one by one: windows, or superpixels.

Superpixels are those of SLIC (R. Achanta et al., 2012) by scikit-image, if that is installed.
Shape letters: H row, W column.
"""

import importlib.util
import logging

import numpy as np
from mmengine.logging import print_log

from ...core.choices import REGIONS as KINDS
from ...core.words import check_choice


def has_superpixels() -> bool:
    """Whether scikit-image is installed."""
    return importlib.util.find_spec('skimage') is not None


def windows(height: int, width: int, size: int) -> np.ndarray:
    """Number the windows of an image row by row, ``(H, W)`` int64.

    Those at the right and lower border are smaller where the size does not divide the image.
    """
    columns = -(-width // size)
    return np.arange(height)[:, None] // size * columns + np.arange(width) // size


def superpixels(image_HW3: np.ndarray, size: int) -> np.ndarray:
    """Number the superpixels of an image, ``(H, W)`` int64, about ``size * size`` pixels each."""
    from skimage.segmentation import slic

    count = max(1, round(image_HW3.shape[0] * image_HW3.shape[1] / size**2))
    labels = slic(image_HW3, n_segments=count, compactness=10, start_label=0)
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def available_kind(kind: str) -> str:
    """The kind of regions that can be made: windows in place of superpixels without scikit-image.

    Raises:
        ValueError: If there is no such kind.
    """
    check_choice('regions', kind, KINDS)
    if kind == 'superpixels' and not has_superpixels():
        print_log(
            'scikit-image is not installed: windows are taken in place of superpixels',
            'current',
            logging.WARNING,
        )
        return 'windows'
    return kind


def regions_of(image_HW3: np.ndarray, kind: str, size: int) -> np.ndarray:
    """Number the regions of an image, ``(H, W)`` int64 from 0.

    Args:
        image_HW3: The image, uint8.
        kind: Of :func:`available_kind`.
        size: Side of a window, or of a square as large as a superpixel, in pixels.

    Raises:
        ValueError: If the size is below 1, or there is no such kind.
    """
    check_choice('regions', kind, KINDS)
    if size < 1:
        raise ValueError(f'the size of a region must be a number of pixels from 1, got {size}')
    if kind == 'superpixels':
        return superpixels(image_HW3, size)
    return windows(image_HW3.shape[0], image_HW3.shape[1], size)
