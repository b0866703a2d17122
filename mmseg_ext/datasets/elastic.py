"""Elastic deformation of image and labels by a smooth random field.

Source: "U-Net", MICCAI 2015, https://arxiv.org/abs/1505.04597, section 3.1: displacements drawn on
a 3x3 grid from a Gaussian of 10 pixels, between them by bicubic interpolation.
Differs from it: nothing known; what comes from outside of the image is its mirror image, and the
image is interpolated bilinearly, neither of which is stated.
Shape letters: H row, W column. Random numbers come from numpy's global generator.
"""

from typing import Any, Dict

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


def deform(array: np.ndarray, grid_GG2: np.ndarray, *, nearest: bool = False) -> np.ndarray:
    """Fetch every pixel from where the field points to.

    Args:
        array: ``(H, W)`` or ``(H, W, C)``.
        grid_GG2: Displacement down and to the right at the nodes of a grid over the image, pixels.
        nearest: Take the nearest pixel, for labels; otherwise interpolate bilinearly.

    Returns:
        Of the same shape and dtype.
    """
    height, width = array.shape[:2]
    field = cv2.resize(grid_GG2.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return cv2.remap(
        array,
        columns + field[..., 1],
        rows + field[..., 0],
        cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )


@TRANSFORMS.register_module()
class ElasticDeform(BaseTransform):
    """Bend image and labels together, see :func:`deform`.

    Args:
        sigma: Standard deviation of the displacements, in pixels.
        grid: Nodes of the grid per side.
        prob: Probability to do so.

    Raises:
        ValueError: If ``sigma`` is negative, or ``grid`` is below 1.
    """

    def __init__(self, *, sigma: float = 10.0, grid: int = 3, prob: float = 1.0) -> None:
        if sigma < 0 or grid < 1:
            raise ValueError(f'sigma must be at least 0 and grid 1, got {sigma} and {grid}')
        self.sigma, self.grid, self.prob = sigma, grid, prob

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Bend ``img`` and all maps named in ``seg_fields``."""
        if np.random.rand() >= self.prob:
            return results
        grid = np.random.normal(0.0, self.sigma, (self.grid, self.grid, 2))
        results['img'] = deform(results['img'], grid)
        for name in results.get('seg_fields', ()):
            results[name] = deform(results[name], grid, nearest=True)
        return results
