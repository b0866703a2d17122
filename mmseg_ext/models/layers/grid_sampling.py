"""``F.grid_sample`` that is safe for any coordinates: a NaN gives NaN and is never an index.

With ``padding_mode='border'`` and a NaN coordinate, torch's backward on the CPU writes out of
bounds, which crashes the interpreter or corrupts its memory; other kernels read an arbitrary pixel.
Here the value of such a point is NaN, without a gradient. Infinite coordinates are beyond the
border, like any large one. All other points have the values of ``F.grid_sample``.
Shape letters: N image, C channel, H, W size of the map, h, w size of the result.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def traced() -> bool:
    """Tell whether a graph is being traced, in which shapes must not depend on values."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


def exporting() -> bool:
    """Tell whether a graph for any image size is being recorded, by tracing or ``torch.export``.

    torch before 2.7 cannot tell of ``torch.export``.
    """
    return torch.jit.is_tracing() or getattr(torch.compiler, 'is_exporting', bool)()


def grid_sample(x_NCHW: Tensor, grid_Nhw2: Tensor, *, padding_mode: str) -> Tensor:
    """Sample bilinearly; -1 and 1 are the map's borders (``align_corners=False``).

    Args:
        x_NCHW: The map; converted to the dtype of the grid.
        grid_Nhw2: Column and row of each point.
        padding_mode: ``'zeros'`` or ``'border'``.

    Returns:
        ``(N, C, h, w)`` of the dtype of the grid.
    """
    lost_Nhw = grid_Nhw2.isnan().any(-1)
    if _none(lost_Nhw):
        return _sample(x_NCHW, grid_Nhw2, padding_mode)
    out_NChw = _sample(x_NCHW, grid_Nhw2.masked_fill(lost_Nhw[..., None], 0), padding_mode)
    return out_NChw.masked_fill(lost_Nhw[:, None], math.nan)


def _none(lost: Tensor) -> bool:
    """Tell whether no point is NaN; False where the check would stall a device or fix a graph."""
    return lost.device.type == 'cpu' and not (traced() or exporting()) and not bool(lost.any())


def _sample(x: Tensor, grid: Tensor, padding_mode: str) -> Tensor:
    return F.grid_sample(
        x.to(grid.dtype), grid, mode='bilinear', padding_mode=padding_mode, align_corners=False
    )
