"""Weights that make a network learn the borders between touching objects.

Source: "U-Net", MICCAI 2015, https://arxiv.org/abs/1505.04597, equation 2:
w(x) = wc(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2)), with the distances d1 and d2 from a pixel
to the nearest and to the second nearest object.
Differs from it: objects are the connected components of each class, because label maps have no
instances. The second term applies only to background pixels, which is our reading: inside an object
d1 would be 0.
Shape letters: H row, W column.
"""

from collections.abc import Sequence
from typing import Any, Optional

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, to_tensor
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

from ..core.labels import IGNORE


def border_weights(
    label_HW: np.ndarray,
    *,
    w0: float = 10.0,
    sigma: float = 5.0,
    background: int = 0,
    ignore_index: int = IGNORE,
    class_weight: Optional[Sequence[float]] = None,
) -> np.ndarray:
    """Compute w for each pixel.

    Args:
        label_HW: Class ids.
        w0: Height of the second term.
        sigma: Range of the second term, in pixels.
        background: Class id of the background between the objects.
        ignore_index: Label of ignored pixels, which get the weight 0.
        class_weight: wc of each class; ``None`` takes 1.

    Returns:
        float32, of the same size. With fewer than two objects there is no second term.
    """
    weight = np.ones(label_HW.shape, np.float64)
    ignored = label_HW == ignore_index
    if class_weight is not None:
        weight = np.asarray(class_weight, np.float64)[np.where(ignored, 0, label_HW)]
    distances = _distances(label_HW, background, ignore_index)
    if len(distances) > 1:
        d1, d2 = np.partition(np.stack(distances), 1, axis=0)[:2].astype(np.float64)
        border = w0 * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2))
        weight += np.where(label_HW == background, border, 0.0)
    return np.where(ignored, 0.0, weight).astype(np.float32)


def _distances(label_HW: np.ndarray, background: int, ignore_index: int) -> list[np.ndarray]:
    """Return the Euclidean distance of every pixel to each object, in pixels."""
    found = []
    for value in np.unique(label_HW):
        if value in (background, ignore_index):
            continue
        count, parts = cv2.connectedComponents((label_HW == value).astype(np.uint8))
        for part in range(1, count):
            outside = (parts != part).astype(np.uint8)
            found.append(cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
    return found


@TRANSFORMS.register_module()
class BorderWeight(BaseTransform):
    """Add ``gt_weight_map``, see :func:`border_weights`; place it after all geometric transforms.

    Args:
        w0: Height of the term between objects.
        sigma: Range of that term, in pixels.
        background: Class id of the background between the objects.
        ignore_index: Label of ignored pixels, which get the weight 0.
        class_weight: Weight of each class; ``None`` takes 1.

    Raises:
        ValueError: If ``sigma`` is not positive or ``w0`` is negative.
    """

    def __init__(
        self,
        *,
        w0: float = 10.0,
        sigma: float = 5.0,
        background: int = 0,
        ignore_index: int = IGNORE,
        class_weight: Optional[Sequence[float]] = None,
    ) -> None:
        if sigma <= 0 or w0 < 0:
            raise ValueError(f'sigma must be above 0 and w0 at least 0, got {sigma} and {w0}')
        self.settings: dict[str, Any] = dict(
            w0=w0,
            sigma=sigma,
            background=background,
            ignore_index=ignore_index,
            class_weight=class_weight,
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the map to the results, if they have labels."""
        if 'gt_seg_map' in results:
            results['gt_weight_map'] = border_weights(results['gt_seg_map'], **self.settings)
        return results


@TRANSFORMS.register_module()
class PackWeightedSegInputs(PackSegInputs):
    """mmseg's ``PackSegInputs`` that also packs ``gt_weight_map``; same arguments."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return inputs and data sample."""
        packed = super().transform(results)
        if 'gt_weight_map' in results:
            weight = to_tensor(np.ascontiguousarray(results['gt_weight_map'])[None])
            packed['data_samples'].gt_weight_map = PixelData(data=weight)
        return packed
