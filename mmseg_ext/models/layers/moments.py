"""Mean and standard deviation over the pixels of a map.

On a CPU, ``torch.std_mean`` processes one value at a time and takes twenty times as long as the
mean. Here the deviation is computed as the norm of the map minus its mean.
Shape letters: N image, C channel, H row, W column.
"""

import torch
from torch import Tensor


def mean_and_deviation(x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation over H and W.

    The deviation divides by the number of pixels: it is 0 for one pixel, where a division by one
    less would be 0 / 0. Where the deviation is 0, so is its gradient.

    Args:
        x_NCHW: The map.

    Returns:
        The mean and the deviation, ``(N, C)`` each.
    """
    mean_NC11 = x_NCHW.mean(dim=(2, 3), keepdim=True)
    length_NC = torch.linalg.vector_norm(x_NCHW - mean_NC11, dim=(2, 3))
    pixels = x_NCHW.shape[2] * x_NCHW.shape[3]
    return mean_NC11.flatten(1), length_NC / pixels**0.5
