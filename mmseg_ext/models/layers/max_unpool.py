"""Max-pooling that remembers where each maximum stood, and the unpooling that puts it back there.

Source: "SegNet", PAMI 2017, https://arxiv.org/abs/1511.00561, section 3; pooling is Caffe's:
windows of 2 in steps of 2, in ceil mode, so that an odd row or column at the end has a window of
its own. Differs from it: nothing. Differs from ``torch.nn.MaxUnpool2d``: the size is required.
Without it torch assumes an even one, and then every index, which counts pixels row by row at the
true width, lands in a wrong pixel without an error.
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
    """What unpooling needs to know of the pooling.

    Args:
        indices: ``(N, C, h, w)`` int64, the place of each maximum in a flattened map of ``size``.
        size: ``(H, W)`` of the map that was pooled.
    """

    indices: Tensor
    size: tuple[int, int]


def max_pool(x_NCHW: Tensor, *, ceil_mode: bool = True) -> tuple[Tensor, Switches]:
    """Keep the maximum of each window of 2x2, and where it stood.

    Args:
        x_NCHW: Any H and W, 2 or more in floor mode.
        ceil_mode: Give an odd last row or column windows of its own, as Caffe does; otherwise it
            is dropped, and unpooling leaves it zero.

    Returns:
        ``(N, C, ceil(H / 2), ceil(W / 2))``, or floor, and what :func:`max_unpool` needs.
    """
    y, indices = F.max_pool2d(x_NCHW, 2, 2, ceil_mode=ceil_mode, return_indices=True)
    height, width = x_NCHW.shape[2:]
    return y, Switches(indices, (height, width))


def max_unpool(y_NChw: Tensor, switches: Switches, *, way: str = 'auto') -> Tensor:
    """Put each value where its window's maximum stood, and zero elsewhere.

    Args:
        y_NChw: A map of the pooled size.
        switches: From :func:`max_pool`.
        way: ``'index'`` is torch's ``max_unpool2d``, which refuses to run under
            ``torch.use_deterministic_algorithms`` and does not export; ``'scatter'`` gives the same
            values in both cases, as no two windows share a pixel; ``'auto'`` takes it in these
            cases only.

    Returns:
        ``(N, C, H, W)``, the recorded size.

    Raises:
        ValueError: If the map is not of the pooled size, or ``way`` is unknown.
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
    filled_NCL = zeros_NCL.scatter(2, indices.flatten(2), y_NChw.flatten(2))
    return filled_NCL.unflatten(2, (height, width))


def _scatters() -> bool:
    return torch.are_deterministic_algorithms_enabled() or traced()
