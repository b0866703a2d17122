"""Padding of images to a size that a network can divide."""

import torch.nn.functional as F
from torch import Tensor

from .grid_sampling import exporting


def pad_to_multiple(x_NCHW: Tensor, divisor: int) -> Tensor:
    """Add zeros below and on the right until H and W are multiples of ``divisor``.

    Args:
        x_NCHW: A normalised image, whose zero is the mean color, or a map.
        divisor: In pixels; H and W of the result are at least this.
    """
    # written so that torch.export sees sides of ``divisor * parts``, and not a sum with a remainder
    parts = [(size + divisor - 1) // divisor for size in x_NCHW.shape[2:]]
    below, right = (n * divisor - size for n, size in zip(parts, x_NCHW.shape[2:]))
    fits = not exporting() and not below and not right
    return x_NCHW if fits else F.pad(x_NCHW, (0, right, 0, below))
