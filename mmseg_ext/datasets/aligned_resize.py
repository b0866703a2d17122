"""Resizing that keeps labels aligned with the image.

OpenCV's nearest neighbour reads from ``floor(x / scale)``, its bilinear interpolation from ``(x +
0.5) / scale - 0.5``. So upscaled labels are shifted by half a pixel against the upscaled image,
which harms the training on objects a few pixels wide.
"""

from typing import Any

import cv2
from mmseg.datasets.transforms import Resize
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class AlignedResize(Resize):
    """mmseg's ``Resize`` that takes the label nearest to the centre of each image pixel.

    For ``RandomResize(resize_type='AlignedResize')``; same arguments as ``Resize``.
    """

    def _resize_img(self, results: dict[str, Any]) -> None:
        """Resize the image; one of a single channel keeps its axis, unlike OpenCV's."""
        super()._resize_img(results)
        if results['img'].ndim == 2:
            results['img'] = results['img'][..., None]

    def _resize_seg(self, results: dict[str, Any]) -> None:
        """Resize every label map to the current size of the image."""
        height, width = results['img'].shape[:2]
        for key in results.get('seg_fields', []):
            if results.get(key) is not None:
                results[key] = cv2.resize(
                    results[key], (width, height), interpolation=cv2.INTER_NEAREST_EXACT
                )
