"""Mean and standard deviation over the pixels of a map.

``torch.std_mean`` goes through a CPU map one value at a time and takes twenty times as long as the
mean; here it is the mean and then the length of what is left.
Shape letters: N image, C channel, H row, W column.
"""

import torch
from torch import Tensor


def mean_and_deviation(x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return both over H and W.

    The deviation divides by the number of pixels: it is 0 at one pixel, where the other definition
    is 0 / 0. Where it is 0, so is its gradient.

    Args:
        x_NCHW: The map.

    Returns:
        The mean and the deviation, ``(N, C)`` each.
    """
    mean_NC11 = x_NCHW.mean(dim=(2, 3), keepdim=True)
    length_NC = torch.linalg.vector_norm(x_NCHW - mean_NC11, dim=(2, 3))
    pixels = x_NCHW.shape[2] * x_NCHW.shape[3]
    return mean_NC11.flatten(1), length_NC / pixels**0.5
