"""Sampling for a deformable convolution as weighted sums of table rows.

Every sample is four rows (one per corner pixel) times four weights, and an output position sums the
samples of all its taps: ``F.embedding_bag`` with weights does both in one pass and stores no
sampled maps. It is faster than ``grid_sample`` on the CPU. On CUDA it is deterministic, unlike the
backward of ``grid_sample``.

On the CPU each tap is projected only over the bounding box of its samples.

Legend: N image, C channel, H row, W column, K kernel tap, D deform group, P output position (H*W).
"""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .deform_sampling import OUTSIDE, Points, to_maps
from .grid_sampling import traced

Box = tuple[int, int, int, int]  # first row, last row, first column, last column, all included


def _corners(points: Points, limits: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Find the four pixels around each point and their bilinear weights.

    Returns:
        Integer rows and columns, (N, P, D, K, 2) each, clamped to the map, and weights (N, P, D, K,
        2, 2), which are zero for clamped pixels.
    """
    indices, weights = [], []
    for value, limit in zip((points.y, points.x), limits):
        low = value.detach().floor()
        fraction = value - low
        index = torch.stack((low, low + 1), -1)
        inside = (index >= 0) & (index < limit)
        weight = torch.stack((1 - fraction, fraction), -1)
        # NaN compares false on both sides of the border; it must reach the output, not become zero
        weights.append(weight.masked_fill(~inside & ~index.isnan(), 0))
        indices.append(index.clamp(0, limit - 1).nan_to_num(0).int())
    weight = weights[0][..., :, None] * weights[1][..., None, :]
    if points.mask is not None:
        weight = weight * points.mask[..., None, None]
    return indices[0], indices[1], weight


def project_by_gather(x: Tensor, weight: Tensor, points: Points) -> Tensor:
    """Build a table with a row of C_out values per tap and pixel, then sum weighted rows."""
    limits = (x.shape[2], x.shape[3])
    rows, columns, corner_weights = _corners(points, limits)
    groups = points.y.shape[2]
    if x.device.type == 'cpu' and not traced():
        boxes = _touched_boxes(rows, columns, points)
        table = _project_boxes(x, weight, boxes)
    else:  # one GEMM over all pixels, as finding the boxes would make the CPU wait for the device
        boxes = None
        table = _project_all(x, weight, groups)
    index = _table_index(rows, columns, boxes, limits)
    out = F.embedding_bag(
        index.flatten(2).flatten(0, 1),
        table.to(corner_weights.dtype),
        per_sample_weights=corner_weights.flatten(2).flatten(0, 1),
        mode='sum',
    )
    return to_maps(out, x.shape[0], points.size).to(table.dtype)


def _touched_boxes(rows: Tensor, columns: Tensor, points: Points) -> list[Box]:
    """Return the box of pixels that each (deform group, tap) reads in any image, D-major.

    At rate 24 on a 32x32 map a corner tap reads 9x9 of the 1024 pixels, so boxes save most work.
    """
    absent = (points.y == OUTSIDE)[..., None]
    sides = []
    for index in (rows, columns):
        last = int(torch.iinfo(index.dtype).max)
        sides.append(index.masked_fill(absent, last).amin((0, 1, 4)).flatten().tolist())
        sides.append(index.masked_fill(absent, -1).amax((0, 1, 4)).flatten().tolist())
    # a tap that reads nothing keeps one pixel, so that every index stays valid
    return [box if box[1] >= 0 else (0, 0, 0, 0) for box in zip(*sides)]


def _table_index(
    rows: Tensor, columns: Tensor, boxes: Optional[list[Box]], limits: tuple[int, int]
) -> Tensor:
    """Return the table row of every corner pixel: (N, P, D, K, 2, 2)."""
    count, _, groups, taps = rows.shape[:4]
    image = torch.arange(count, device=rows.device, dtype=rows.dtype).view(-1, 1, 1, 1, 1, 1)
    if boxes is None:
        start = torch.arange(groups * taps, device=rows.device, dtype=rows.dtype)
        pixel = (image * limits[0] + rows[..., :, None]) * limits[1] + columns[..., None, :]
        return pixel * (groups * taps) + start.view(groups, taps, 1, 1)
    top, bottom, left, right = (
        side.view(groups, taps, 1) for side in torch.tensor(boxes, dtype=rows.dtype).unbind(1)
    )
    height, width = bottom - top + 1, right - left + 1
    area = (count * height * width).flatten()
    start = (area.cumsum(0) - area).to(rows.dtype).view(groups, taps, 1, 1)
    rows, columns = rows.clamp(top, bottom) - top, columns.clamp(left, right) - left
    line = (image * height[..., None] + rows[..., :, None]) * width[..., None]
    return start + line + columns[..., None, :]


def _project_all(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Project all taps at all pixels: (N * H * W * D * K, C_out)."""
    c_out, c_in = weight.shape[:2]
    x = x.permute(0, 2, 3, 1).reshape(-1, groups, c_in // groups)
    kernels = weight.reshape(c_out, groups, c_in // groups, -1).permute(1, 2, 3, 0).flatten(2)
    return torch.matmul(x.transpose(0, 1), kernels).transpose(0, 1).reshape(-1, c_out)


def _project_boxes(x: Tensor, weight: Tensor, boxes: list[Box]) -> Tensor:
    """Project each tap at the pixels of its box: (sum of N * box area, C_out)."""
    dtype = _autocast_dtype(x)
    x = x.to(dtype).permute(0, 2, 3, 1).contiguous()
    weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
    return _BoxProjection.apply(x, weight, boxes)


def _autocast_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which a GEMM of ``x`` runs, for every torch from 2.1 on."""
    return torch.mm(x.new_ones(1, 1), x.new_ones(1, 1)).dtype


class _BoxProjection(torch.autograd.Function):
    """Multiply each box of x by its kernel tap.

    Plain autograd would keep a copy of every box, and create a map of zeros per tap in backward.
    This function keeps only x and the weight, and adds all gradients into one map. It has first
    derivatives only.
    """

    @staticmethod
    def _parts(x: Tensor, weight: Tensor, boxes: list[Box]):
        """Yield, per (deform group, tap): index into weight, into x, and into the table."""
        taps_w, taps = weight.shape[3], weight.shape[2] * weight.shape[3]
        width, start = x.shape[3] * taps // len(boxes), 0
        for i, (top, bottom, left, right) in enumerate(boxes):
            group, tap = divmod(i, taps)
            channels = slice(group * width, (group + 1) * width)
            where = (slice(None), slice(top, bottom + 1), slice(left, right + 1), channels)
            stop = start + x.shape[0] * (bottom - top + 1) * (right - left + 1)
            yield (slice(None), channels, tap // taps_w, tap % taps_w), where, slice(start, stop)
            start = stop

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, boxes: list[Box]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.boxes = boxes
        parts = list(_BoxProjection._parts(x, weight, boxes))
        table = x.new_empty(parts[-1][2].stop, weight.shape[0])
        for kernel, where, line in parts:
            pixels = x[where]
            torch.mm(pixels.reshape(-1, pixels.shape[3]), weight[kernel].t(), out=table[line])
        return table

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, weight = ctx.saved_tensors
        grad = grad.contiguous()
        need_x, need_weight, _ = ctx.needs_input_grad
        grad_x = torch.zeros_like(x) if need_x else None
        grad_weight = torch.empty_like(weight) if need_weight else None
        for kernel, where, line in _BoxProjection._parts(x, weight, ctx.boxes):
            pixels = x[where]
            if grad_weight is not None:
                rows = pixels.reshape(-1, pixels.shape[3])
                torch.mm(grad[line].t(), rows, out=grad_weight[kernel])
            if grad_x is None:
                continue
            target = grad_x[where]
            if target.is_contiguous():  # the whole map, or whole rows of a single image
                target.view(-1, target.shape[3]).addmm_(grad[line], weight[kernel])
            else:
                target += torch.mm(grad[line], weight[kernel]).view(target.shape)
        return grad_x, grad_weight, None


def columns_by_gather(x: Tensor, points: Points) -> Tensor:
    """Sample all input channels: (N, C_in, K, P)."""
    limits = (x.shape[2], x.shape[3])
    rows, columns, weights = (part.transpose(2, 3) for part in _corners(points, limits))
    groups = points.y.shape[2]
    image = torch.arange(x.shape[0], device=x.device, dtype=rows.dtype).view(-1, 1, 1, 1, 1, 1)
    group = torch.arange(groups, device=x.device, dtype=rows.dtype).view(-1, 1, 1)
    pixel = (image * limits[0] + rows[..., :, None]) * limits[1] + columns[..., None, :]
    table = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1] // groups).to(weights.dtype)
    out = F.embedding_bag(
        (pixel * groups + group).reshape(-1, 4),
        table,
        per_sample_weights=weights.reshape(-1, 4),
        mode='sum',
    )
    return out.view(x.shape[0], -1, points.y.shape[3], x.shape[1]).permute(0, 3, 2, 1)
