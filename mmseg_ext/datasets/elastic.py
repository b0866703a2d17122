"""Elastic deformation of image and labels by a smooth random field.

Source: "U-Net", MICCAI 2015, https://arxiv.org/abs/1505.04597, section 3.1: displacements are drawn
on a 3x3 grid from a Gaussian of 10 pixels and interpolated bicubically.
Differs from it: nothing known. The paper does not state two choices: outside of the image its
mirror image is used, and the image is interpolated bilinearly.
Shape letters: H row, W column. Random numbers come from numpy's global generator.
"""

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

_FAR = 8192


def deform(array: np.ndarray, grid_GG2: np.ndarray, *, nearest: bool = False) -> np.ndarray:
    """Deform an array: each pixel takes the value at its displaced position.

    Args:
        array: ``(H, W)`` or ``(H, W, C)``.
        grid_GG2: Displacements (down, right) in pixels at the nodes of a G x G grid over the image.
        nearest: Take the nearest pixel (for labels) instead of bilinear interpolation.

    Returns:
        The deformed array, of the same shape and dtype.

    Raises:
        ValueError: If a displacement is not finite or too large for OpenCV's 16-bit coordinates.
    """
    height, width = array.shape[:2]
    if not np.all(np.abs(grid_GG2) <= _FAR):  # False for NaN
        raise ValueError(f'displacements must be within {_FAR} pixels, got {grid_GG2.tolist()}')
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
    """Deform image and labels together, see :func:`deform`.

    Args:
        sigma: Standard deviation of the displacements, in pixels.
        grid: Nodes of the grid per side.
        prob: Probability that a sample is deformed.

    Raises:
        ValueError: If ``sigma`` is not within 0 to 1024, or ``grid`` is below 1.
    """

    def __init__(self, *, sigma: float = 10.0, grid: int = 3, prob: float = 1.0) -> None:
        if not 0 <= sigma <= _FAR / 8 or grid < 1:
            raise ValueError(
                f'sigma must be from 0 to 1024 and grid at least 1, got {sigma} and {grid}'
            )
        self.sigma, self.grid, self.prob = sigma, grid, prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Deform ``img`` and all maps named in ``seg_fields``."""
        if np.random.rand() >= self.prob:
            return results
        grid = np.random.normal(0.0, self.sigma, (self.grid, self.grid, 2))
        results['img'] = deform(results['img'], grid)
        for name in results.get('seg_fields', ()):
            results[name] = deform(results[name], grid, nearest=True)
        return results
