"""Random brightness and contrast for images of any depth and number of channels.

Source: https://arxiv.org/abs/1512.02325 (SSD), section 2.2, as mmseg's ``PhotoMetricDistortion``
has it. Differs from it: saturation and hue, which need colors, are left out, and values are not
rounded to 8 bits.
Shape letters: H row, W column, C channel.
"""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class BrightnessContrast(BaseTransform):
    """Add a number to all values of ``img``, and multiply them by one, each half of the time.

    Args:
        brightness_delta: Largest number that is added or subtracted.
        contrast_range: Least and largest factor.

    Shape:
        ``img`` ``(H, W)`` or ``(H, W, C)``, values 0 to 255, uint8 or float; unchanged.
    """

    def __init__(
        self, *, brightness_delta: float = 32, contrast_range: tuple[float, float] = (0.5, 1.5)
    ) -> None:
        self.brightness_delta = brightness_delta
        self.contrast_range = contrast_range

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change ``img``."""
        image = results['img']
        found = image.astype(np.float32)
        if np.random.rand() < 0.5:
            delta = self.brightness_delta
            found = (found + np.float32(np.random.uniform(-delta, delta))).clip(0, 255)
        if np.random.rand() < 0.5:
            found = (found * np.float32(np.random.uniform(*self.contrast_range))).clip(0, 255)
        results['img'] = found.astype(image.dtype)
        return results
