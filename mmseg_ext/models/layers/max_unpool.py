"""Max-pooling that records the position of each maximum, and the matching unpooling.

Source: "SegNet", PAMI 2017, https://arxiv.org/abs/1511.00561, section 3; pooling is Caffe's: 2x2
windows with stride 2 in ceil mode, so that an odd last row or column has its own window.
Differs from it: nothing.
Differs from ``torch.nn.MaxUnpool2d``: the output size is required. Without it torch assumes an even
size. If the true width is odd, every index then silently addresses a wrong pixel, because indices
count pixels row by row.
Shape letters: N image, C channel, H row, W column, L = H * W.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.words import check_choice
from .grid_sampling import traced

WAYS = ('auto', 'index', 'scatter')


class Switches(NamedTuple):
    """The record of a pooling that unpooling needs.

    Attributes:
        indices: ``(N, C, h, w)`` int64, index of each maximum in the flattened map of ``size``.
        size: ``(H, W)`` of the map that was pooled.
    """

    indices: Tensor
    size: tuple[int, int]


def max_pool(x_NCHW: Tensor, *, ceil_mode: bool = True) -> tuple[Tensor, Switches]:
    """Return the maximum of each 2x2 window, and its position.

    Args:
        x_NCHW: A map with any H and W; at least 2 in floor mode.
        ceil_mode: Give an odd last row or column its own windows, as Caffe does. ``False`` drops
            it, and unpooling leaves it zero.

    Returns:
        The map ``(N, C, ceil(H / 2), ceil(W / 2))``, or floor, and the record for
        :func:`max_unpool`.
    """
    y, indices = F.max_pool2d(x_NCHW, 2, 2, ceil_mode=ceil_mode, return_indices=True)
    height, width = x_NCHW.shape[2:]
    return y, Switches(indices, (height, width))


def max_unpool(y_NChw: Tensor, switches: Switches, *, way: str = 'auto') -> Tensor:
    """Put each value at the position of its window's maximum, and zero elsewhere.

    Args:
        y_NChw: A map of the pooled size.
        switches: From :func:`max_pool`.
        way: ``'index'`` calls torch's ``max_unpool2d``, which cannot be exported and fails under
            ``torch.use_deterministic_algorithms``. ``'scatter'`` works in both cases and gives the
            same values, as no two windows share a pixel. ``'auto'`` uses ``'scatter'`` only in
            these cases.

    Returns:
        ``(N, C, H, W)`` at the recorded size.

    Raises:
        ValueError: If the map does not have the pooled size, or ``way`` is unknown.
    """
    indices, (height, width) = switches
    check_choice('unpool', way, WAYS)
    if y_NChw.shape != indices.shape:
        raise ValueError(
            f'a map of {tuple(y_NChw.shape)} cannot be unpooled with the indices of '
            f'{tuple(indices.shape)}: both must come from the same stage'
        )
    if way == 'index' or (way == 'auto' and not _scatters()):
        return F.max_unpool2d(y_NChw, indices, (2, 2), (2, 2), output_size=(height, width))
    zeros_NCL = y_NChw.new_zeros((*y_NChw.shape[:2], height * width))
    # In place where no graph is written, as the other copies the zeros first.
    scatter = zeros_NCL.scatter if traced() else zeros_NCL.scatter_
    return scatter(2, indices.flatten(2), y_NChw.flatten(2)).unflatten(2, (height, width))


def _scatters() -> bool:
    return torch.are_deterministic_algorithms_enabled() or traced()
