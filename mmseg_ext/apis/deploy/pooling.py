"""Adaptive average pooling for graphs of any image size.

Exporters write ``adaptive_avg_pool2d`` as lists of the pixels of each cell, whose lengths and
limits are those of the map that the graph was recorded with. At other sizes, such a graph fails or
is wrong. Here a cell's mean is a product with a matrix that is computed from the size of the map.
Source: the cells of ``torch.nn.AdaptiveAvgPool2d``, from ``floor(i * H / h)`` to
``ceil((i + 1) * H / h)``. Differs from it: nothing but rounding.
Shape letters: N image, C channel, H, W size of the map, h, w number of cells.
"""

from typing import Any, Union

import torch
from torch import Tensor


def cell_weights(size: Any, cells: int) -> Tensor:
    """Return the weight of each of ``size`` rows in the mean of each cell, ``(cells, size)``."""
    row, cell = torch.arange(size)[None], torch.arange(cells)[:, None]
    inside = ((row + 1) * cells > cell * size) & (row * cells < (cell + 1) * size)
    weight = inside.to(torch.get_default_dtype())
    return weight / weight.sum(1, keepdim=True)


def adaptive_mean(x_NCHW: Tensor, output_size: Union[int, tuple, list]) -> Tensor:
    """Average each cell, as ``F.adaptive_avg_pool2d`` does; ``None`` keeps the size of a side."""
    pair = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * 2
    for axis, cells in zip((2, 3), pair):
        if cells == 1:
            x_NCHW = x_NCHW.mean(axis, keepdim=True)
        elif cells is not None:
            weight = cell_weights(x_NCHW.shape[axis], cells).to(x_NCHW)
            x_NCHW = weight @ x_NCHW if axis == 2 else x_NCHW @ weight.T
    return x_NCHW
