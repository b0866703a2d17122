"""Deformable convolution v1 and v2 in plain torch, by projecting first and sampling after.

Source: Dai et al., "Deformable Convolutional Networks" (2017), eq. 2-4, and Zhu et al.,
"Deformable ConvNets v2" (2019), eq. 1-2. Channel layout, zero padding and gradients follow mmcv's
``deform_conv2d`` and ``modulated_deform_conv2d``.

For output position p, taps k at p_k, offsets d_k and modulation m_k::

    y(p) = sum_k m_k(p) W_k x(p + p_k + d_k(p))

Bilinear sampling is linear and the same for all channels, so it commutes with W_k. ``project``
applies all W_k as one 1x1 convolution and then samples the maps of C_out channels. ``sample``
samples the C_in channels first, as im2col does. Both are exact; the one that samples fewer channels
is cheaper.

Differs from mmcv: no compiled operator; a bias is allowed with v1 too; a NaN offset gives NaN
rather than an arbitrary pixel.

Legend: N image, C channel, H row, W column, K kernel tap, D deform group, P output position (H*W).
"""

from math import prod
from typing import Optional, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from ...core.words import check_choice
from .deform_gather import columns_by_gather, project_by_gather
from .deform_sampling import (
    Geometry,
    columns_by_grid,
    multiply_columns,
    project_by_grid,
    sampling_points,
)
from .grid_sampling import exporting, traced

Size = Union[int, tuple[int, int]]
_CORNER_COST = 32  # four corners; one gathered value costs about 8 multiply-adds of a GEMM


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Optional[Tensor] = None,
    *,
    bias: Optional[Tensor] = None,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
    deform_groups: int = 1,
    order: str = 'auto',
    deterministic: Optional[bool] = None,
) -> Tensor:
    """Convolve with a kernel whose taps are displaced by an offset at every position.

    Coordinates and sampling are float32 or better for every dtype of ``x``, also under autocast:
    bfloat16 would be off by 0.125 pixel at 128 columns.

    Args:
        x: Input, (N, C_in, H, W).
        offset: Displacements in input pixels, (N, 2 * D * K, H_out, W_out); channel 2k is the row
            and 2k + 1 the column of tap k.
        weight: Kernel, (C_out, C_in / groups, kernel_h, kernel_w); ``torch.channels_last`` is
            fastest.
        mask: Modulation of v2, (N, D * K, H_out, W_out), without a further sigmoid. ``None`` is v1.
        bias: (C_out,).
        stride: As ``F.conv2d``.
        padding: As ``F.conv2d``, zeros.
        dilation: As ``F.conv2d``.
        groups: As ``F.conv2d``.
        deform_groups: D, the number of input channel groups that have their own offsets.
        order: ``'project'``, ``'sample'`` or ``'auto'``, which takes the cheaper one.
        deterministic: ``True`` gathers rows, which is deterministic on every device. ``False``
            calls ``F.grid_sample``, whose backward is not deterministic on CUDA. ``None`` gathers
            on the CPU, where this is faster, and under ``torch.use_deterministic_algorithms``. On
            CUDA and in a traced graph (ONNX, ``torch.jit``, ``torch.compile``) it calls
            ``F.grid_sample``.

    Returns:
        (N, C_out, H_out, W_out).

    Raises:
        ValueError: If shapes or settings do not fit together.
    """
    if x.dim() != 4 or weight.dim() != 4:
        raise ValueError(
            f'x and weight must have four dimensions, got {tuple(x.shape)}, {tuple(weight.shape)}'
        )
    geometry = Geometry(
        (x.shape[2], x.shape[3]),
        (weight.shape[2], weight.shape[3]),
        _pair(stride),
        _pair(padding),
        _pair(dilation),
    )
    if not exporting():  # tracing would warn about every comparison, or fix the size
        _check(x, offset, weight, mask, geometry, groups, deform_groups)
    points = sampling_points(offset, mask, geometry)
    if deterministic is None:
        deterministic = _gathers_by_default(x)
    if _choose_order(order, x, weight, geometry, groups, deform_groups) == 'project':
        out = (project_by_gather if deterministic else project_by_grid)(x, weight, points)
    else:
        columns = (columns_by_gather if deterministic else columns_by_grid)(x, points)
        out = multiply_columns(columns, weight, points.size, groups, x.dtype)
    return out if bias is None else out + bias.to(out.dtype)[:, None, None]


def _check(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Optional[Tensor],
    geometry: Geometry,
    groups: int,
    deform_groups: int,
) -> None:
    channels, size = x.shape[1], geometry.output_size()
    if size[0] < 1 or size[1] < 1:
        raise ValueError(
            f'a map of {geometry.limits} with padding {geometry.padding} is smaller than the '
            f'kernel {geometry.kernel} at dilation {geometry.dilation}: raise the padding'
        )
    if channels % deform_groups or channels != groups * weight.shape[1] or weight.shape[0] % groups:
        raise ValueError(
            f'{channels} input channels do not fit weight {tuple(weight.shape)} with '
            f'groups={groups}, deform_groups={deform_groups}'
        )
    taps = deform_groups * geometry.kernel[0] * geometry.kernel[1]
    for name, tensor, count in (('offset', offset, 2 * taps), ('mask', mask, taps)):
        expected = (x.shape[0], count, *size)
        if tensor is not None and tuple(tensor.shape) != expected:
            raise ValueError(f'{name} must have shape {expected}, got {tuple(tensor.shape)}')


def _choose_order(
    order: str, x: Tensor, weight: Tensor, geometry: Geometry, groups: int, deform_groups: int
) -> str:
    """Choose the order with fewer multiply-adds per tap: the GEMM plus the sampling."""
    check_choice('order', order, ('auto', 'project', 'sample'))
    if groups > 1 and order == 'project':
        raise ValueError(f"order='project' needs groups=1, got {groups}: take 'sample' or 'auto'")
    if order != 'auto' or groups > 1:
        return 'sample' if groups > 1 else order
    c_in, c_out = x.shape[1], weight.shape[0]
    before, after = prod(geometry.limits), prod(geometry.output_size())
    project = before * c_in * c_out + after * deform_groups * c_out * _CORNER_COST
    sample = after * c_in * c_out + after * c_in * _CORNER_COST
    return 'project' if project <= sample else 'sample'


def _gathers_by_default(x: Tensor) -> bool:
    if exporting():  # ONNX has GridSample
        return False
    return torch.are_deterministic_algorithms_enabled() or (x.device.type == 'cpu' and not traced())


class ZeroOffsets(nn.Module):
    """The convolution that predicts offsets; its weights start at zero.

    On purpose it is not an ``nn.Conv2d`` and has no "Conv" in its name, so that initialisers that
    select layers by class or name (mmengine's ``init_cfg``, ``weights_init`` functions) leave it
    alone.
    """

    def __init__(self, in_channels: int, *, out_channels: int, kernel_size: Size, **kwargs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *_pair(kernel_size)))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.conv_args = kwargs
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight and bias to zero."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve as ``nn.Conv2d`` does."""
        return F.conv2d(x, self.weight, self.bias, **self.conv_args)


@MODELS.register_module()
class DCNTorch(BaseModule):
    """Deformable convolution that predicts its own offsets, and masks for v2.

    Parameter names and channel layout are those of mmcv's ``DCN`` and ``DCNv2`` layers, so their
    checkpoints load. Offsets start at zero: v1 starts as the plain convolution, v2 as half of it.
    Use the layer directly, or as ``conv_cfg=dict(type='DCNTorch')`` wherever mmcv builds a
    convolution.

    Under autocast the offsets come from a bfloat16 convolution: an offset below 4 pixels is off by
    at most 0.008 pixel. The positions to which they are added are float32.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: As in ``nn.Conv2d``, like the other arguments up to ``bias``.
        deform_groups: Number of input channel groups that have their own offsets.
        modulated: Use v2: a predicted mask, after a sigmoid, scales every sample.
        order: See :func:`deform_conv2d`.
        deterministic: See :func:`deform_conv2d`.
        init_cfg: mmengine initialisation; it does not change the offset convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 3,
        *,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = False,
        deform_groups: int = 1,
        modulated: bool = False,
        order: str = 'auto',
        deterministic: Optional[bool] = None,
        init_cfg: Optional[dict] = None,
    ):
        super().__init__(init_cfg)
        for name, channels, parts in (
            ('in_channels', in_channels, groups),
            ('out_channels', out_channels, groups),
            ('in_channels', in_channels, deform_groups),
        ):
            if channels % parts:
                raise ValueError(f'{name}={channels} is not divisible by {parts} groups')
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding, self.dilation = _pair(padding), _pair(dilation)
        self.groups, self.deform_groups = groups, deform_groups
        self.modulated, self.order, self.deterministic = modulated, order, deterministic
        self.transposed, self.output_padding = False, (0, 0)  # ConvModule reads these
        weight = torch.empty(out_channels, in_channels // groups, *self.kernel_size)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.taps = deform_groups * self.kernel_size[0] * self.kernel_size[1]
        self.conv_offset = ZeroOffsets(
            in_channels,
            out_channels=(3 if modulated else 2) * self.taps,
            kernel_size=kernel_size,
            **self._geometry(),
        )
        nn.init.kaiming_uniform_(self.weight, nonlinearity='relu')

    def _geometry(self) -> dict:
        return dict(stride=self.stride, padding=self.padding, dilation=self.dilation)

    def init_weights(self) -> None:
        """Initialise as mmengine does, then reset the offset convolution to zero."""
        super().init_weights()
        self.conv_offset.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C_in, H, W) to (N, C_out, H_out, W_out)."""
        offset, mask = self.conv_offset(x), None
        if self.modulated:
            offset, mask = offset.split((2 * self.taps, self.taps), dim=1)
            mask = mask.sigmoid()
        return deform_conv2d(
            x,
            offset,
            self.weight,
            mask,
            bias=self.bias,
            groups=self.groups,
            deform_groups=self.deform_groups,
            order=self.order,
            deterministic=self.deterministic,
            **self._geometry(),
        )

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return (
            f'{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, '
            f'stride={self.stride}, padding={self.padding}, dilation={self.dilation}, '
            f'groups={self.groups}, deform_groups={self.deform_groups}, '
            f'modulated={self.modulated}, bias={self.bias is not None}'
        )
