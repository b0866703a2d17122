"""Resizing that keeps labels where their pixels are.

OpenCV's nearest neighbour reads from ``floor(x / scale)``, its bilinear interpolation from
``(x + 0.5) / scale - 0.5``: enlarged labels lie half a pixel beside the enlarged image, which blurs
what a network learns of objects a few pixels wide.
"""

from typing import Any

import cv2
from mmseg.datasets.transforms import Resize
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class AlignedResize(Resize):
    """mmseg's ``Resize``, but label pixels are those nearest to the centres of image pixels.

    For ``RandomResize(resize_type='AlignedResize')``; all arguments are those of ``Resize``.
    """

    def _resize_seg(self, results: dict[str, Any]) -> None:
        """Resize every label map to the size that the image has by now."""
        height, width = results['img'].shape[:2]
        for key in results.get('seg_fields', []):
            if results.get(key) is not None:
                results[key] = cv2.resize(
                    results[key], (width, height), interpolation=cv2.INTER_NEAREST_EXACT
                )
