"""Sampling points of a deformable convolution, and sampling by ``grid_sample``.

``grid_sample`` is used on CUDA, for ONNX (GridSample) and in traced graphs; ``deform_gather`` is
the alternative. At exact integer coordinates, rounding in ``grid_sample`` picks one of the two
one-sided derivatives. Values and all other gradients agree with ``deform_gather``.

Legend: N image, C channel, H row, W column, K kernel tap, D deform group, P output position (H*W).
"""

from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from .grid_sampling import grid_sample

OUTSIDE = -2.0  # at this coordinate every corner is outside and no gradient flows


class Geometry(NamedTuple):
    """The sliding window; every field is (rows, columns)."""

    limits: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    def output_size(self) -> tuple[int, int]:
        """Return (H_out, W_out)."""
        rows, columns = (
            (limit + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for limit, kernel, stride, padding, dilation in zip(*self)
        )
        return rows, columns

    def line(self, axis: int, like: Tensor) -> Tensor:
        """Return the coordinates of one axis without offsets: (output size, kernel size)."""
        position, tap = (
            torch.arange(count, dtype=like.dtype, device=like.device)
            for count in (self.output_size()[axis], self.kernel[axis])
        )
        start = position * self.stride[axis] - self.padding[axis]
        return start[:, None] + tap * self.dilation[axis]


class Points(NamedTuple):
    """Points to sample, in input pixels; the tensors are (N, P, D, K)."""

    y: Tensor
    x: Tensor
    mask: Optional[Tensor]
    size: tuple[int, int]  # P = H_out * W_out


def sampling_points(offset: Tensor, mask: Optional[Tensor], geometry: Geometry) -> Points:
    """Add the offsets to the regular grid; points beyond the border move to ``OUTSIDE``.

    As in mmcv, a point at exactly -1 or H is outside and has no gradient; with zero offsets, whole
    rows lie at -1. A point at infinity is outside. A NaN stays a NaN, so that it reaches the
    output.
    """
    size, kernel = geometry.output_size(), geometry.kernel
    taps, dtype = kernel[0] * kernel[1], torch.promote_types(offset.dtype, torch.float32)

    def split(tensor: Tensor, *last: int) -> Tensor:  # (N, D * K * ..., H, W) -> (N, P, D, K, ...)
        tensor = tensor.to(dtype).flatten(2).transpose(1, 2)
        return tensor.reshape(*tensor.shape[:2], -1, taps, *last)

    y, x = split(offset, 2).unbind(-1)
    lines = geometry.line(0, y)[:, None, :, None], geometry.line(1, y)[None, :, None, :]
    y, x = (
        value + line.expand(*size, *kernel).reshape(1, -1, 1, taps)
        for value, line in zip((y, x), lines)
    )
    height, width = geometry.limits
    outside = (y <= -1) | (y >= height) | (x <= -1) | (x >= width)
    outside = outside & ~(y.isnan() | x.isnan())
    y, x = (value.masked_fill(outside, OUTSIDE) for value in (y, x))
    return Points(y, x, None if mask is None else split(mask), size)


def _grid(points: Points, limits: tuple[int, int]) -> Tensor:
    """Convert to grid_sample's coordinates, -1 to 1 between the borders: (N, D, K, P, 2)."""
    both = ((points.x, limits[1]), (points.y, limits[0]))
    grid = torch.stack([(2 * value + 1) / limit - 1 for value, limit in both], -1)
    return grid.permute(0, 2, 3, 1, 4)


def project_by_grid(x: Tensor, weight: Tensor, points: Points) -> Tensor:
    """Project by one 1x1 convolution, then sample with the taps folded into the batch."""
    c_out, c_in, limits = weight.shape[0], weight.shape[1], (x.shape[2], x.shape[3])
    groups, parts = points.y.shape[2], points.y.shape[2] * points.y.shape[3]
    kernels = weight.reshape(c_out, groups, c_in // groups, -1).permute(1, 3, 0, 2)
    maps = F.conv2d(x, kernels.reshape(parts * c_out, -1, 1, 1), groups=groups)
    grid = _grid(points, limits).reshape(-1, *points.size, 2)
    out = grid_sample(maps.reshape(-1, c_out, *limits), grid, padding_mode='zeros')
    out = out.view(-1, parts, c_out, *points.size)
    if points.mask is not None:
        out = out * points.mask.permute(0, 2, 3, 1).reshape(-1, parts, 1, *points.size)
    return out.sum(1).to(maps.dtype)


def columns_by_grid(x: Tensor, points: Points) -> Tensor:
    """Sample all input channels, the deform groups folded into the batch: (N, C_in, K, P)."""
    groups, taps, limits = points.y.shape[2], points.y.shape[3], (x.shape[2], x.shape[3])
    maps, grid = x.reshape(-1, x.shape[1] // groups, *limits), _grid(points, limits).flatten(0, 1)
    out = grid_sample(maps, grid, padding_mode='zeros')
    if points.mask is not None:
        out = out * points.mask.permute(0, 2, 3, 1).flatten(0, 1)[:, None]
    return out.view(x.shape[0], x.shape[1], taps, -1)


def multiply_columns(
    columns: Tensor, weight: Tensor, size: tuple[int, int], groups: int, dtype: torch.dtype
) -> Tensor:
    """Apply the kernel to sampled columns (N, C_in, K, P)."""
    count, channels, taps, positions = columns.shape
    if groups == 1:  # rows of (tap, channel), the memory order of gathered columns
        rows = columns.permute(0, 3, 2, 1).reshape(count * positions, taps * channels).to(dtype)
        kernel = weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)
        return to_maps(torch.mm(rows, kernel.t()), count, size)
    columns = columns.to(dtype).reshape(count, groups, -1, positions)
    kernels = weight.reshape(groups, weight.shape[0] // groups, -1)
    return torch.matmul(kernels, columns).reshape(count, weight.shape[0], *size)


def to_maps(rows: Tensor, count: int, size: tuple[int, int]) -> Tensor:
    """Reshape (N * P, C) to (N, C, H_out, W_out), channels_last in memory."""
    return rows.view(count, *size, -1).permute(0, 3, 1, 2)
