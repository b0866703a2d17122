"""Convolutions in groups whose gradients are right in bfloat16, and fast, on a CPU.

Source: torch 2.13's ``conv2d`` with oneDNN 3.12. In bfloat16 its gradient of the weights of a
dilated kernel in groups is wrong in channels_last, by more than their size or NaN, on maps of more
than about 600 pixels; depthwise ones with stride or dilation take many times as long as the forward
pass. Here a dilated kernel is a plain one on each phase of the map, and a strided one has its
gradients computed in float32. In float32 those of a dilated depthwise kernel in channels_last take
up to five times as long as here (torch 2.14 likewise), where each tap's is a sum of products, and
the map's a convolution with the mirrored kernel.
Differs from it: nothing in the forward pass; in float32 the order of sums.
Shape letters: N image, C channel, D dilation, H row, W column, K tap.
"""

from collections.abc import Sequence
from typing import Any, Optional

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.wrappers import Conv2d as GuardedConv2d
from torch import Tensor, nn

from . import conv_classes
from .conv_classes import Classes, seen_by_tap, use_classes

_LAST = torch.channels_last
Grads = tuple[Optional[Tensor], Optional[Tensor]]


class _Grouped(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Optional[Tensor], setting: tuple
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.setting = setting
        return F.conv2d(x, weight, bias, *setting)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Optional[Tensor], ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.setting
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        same = tuple(d * (k // 2) for d, k in zip(dilation, weight.shape[2:]))
        odd = all(k % 2 for k in weight.shape[2:])
        if odd and stride == (1, 1) and padding == same and dilation[0] == dilation[1] > 1:
            found = _by_phases(grad, x, weight, dilation[0], groups, (needs_x, needs_weight))
        else:
            single = [t.float().contiguous(memory_format=_LAST) for t in (grad, x, weight)]
            found = _gradients(single, ctx.setting, (needs_x, needs_weight))
        by_bias = grad.float().sum((0, 2, 3)) if needs_bias else None
        return (*(None if g is None else g.to(x.dtype) for g in (*found, by_bias)), None)


def _gradients(tensors: Sequence[Tensor], setting: tuple, wanted: tuple[bool, bool]) -> Grads:
    """Torch's own; the tensors are the output's gradient, the input and the weight."""
    *geometry, groups = setting
    return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
        *tensors, None, *geometry, False, [0, 0], groups, [*wanted, False]
    )[:2]


def _by_phases(
    grad: Tensor, x: Tensor, weight: Tensor, dilation: int, groups: int, wanted: tuple[bool, bool]
) -> Grads:
    """Gradients of a kernel with stride 1 whose output has the size of its input."""
    padding = tuple(k // 2 for k in weight.shape[2:])
    setting = ((1, 1), padding, (1, 1), groups)
    parts = [_phases(t, dilation) for t in (grad, x)]
    by_x, by_weight = _gradients([*parts, weight], setting, wanted)
    return None if by_x is None else _joined(by_x, dilation, x), by_weight


def _phases(x: Tensor, dilation: int) -> Tensor:
    """Every ``dilation``-th row and column, ``(N, C, H, W)`` to ``(DDN, C, H/D, W/D)``."""
    height, width = x.shape[2:]
    padded = F.pad(x, (0, -width % dilation, 0, -height % dilation))
    apart = padded.unflatten(3, (-1, dilation)).unflatten(2, (-1, dilation))  # N C h D w D
    return apart.permute(3, 5, 0, 1, 2, 4).flatten(0, 2).contiguous(memory_format=_LAST)


def _joined(phases: Tensor, dilation: int, like: Tensor) -> Tensor:
    """The inverse of :func:`_phases`."""
    apart = phases.unflatten(0, (dilation, dilation, len(like)))  # D D N C h w
    whole = apart.permute(2, 3, 4, 0, 5, 1).flatten(4, 5).flatten(2, 3)
    return whole[:, :, : like.shape[2], : like.shape[3]].contiguous(memory_format=_LAST)


class _Dilated(torch.autograd.Function):
    """A depthwise convolution with stride 1 and an odd kernel that keeps the size of its map."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Optional[Tensor], dilation: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _depthwise(x, weight, bias, dilation)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Optional[Tensor], ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        grad = grad.contiguous(memory_format=_LAST)
        by_x = _depthwise(grad, weight.flip(2, 3), None, ctx.dilation) if needs_x else None
        by_weight = _by_taps(grad, x, weight, ctx.dilation) if needs_weight else None
        return by_x, by_weight, grad.sum((0, 2, 3)) if needs_bias else None, None


def _depthwise(
    x: Tensor, weight: Tensor, bias: Optional[Tensor], dilation: tuple[int, int]
) -> Tensor:
    padding = [d * (k // 2) for d, k in zip(dilation, weight.shape[2:])]
    return F.conv2d(x, weight, bias, 1, padding, dilation, len(weight))


def _by_taps(grad: Tensor, x: Tensor, weight: Tensor, dilation: tuple[int, int]) -> Tensor:
    rows, columns = (
        [d * (i - k // 2) for i in range(k)] for d, k in zip(dilation, weight.shape[2:])
    )
    grad_NHWC, x_NHWC = (t.permute(0, 2, 3, 1) for t in (grad, x))
    parts = (seen_by_tap(grad_NHWC, x_NHWC, (i, j)) for i in rows for j in columns)
    sums = [(ours * seen).sum((0, 1, 2)) for ours, seen in parts]
    return torch.stack(sums, 1).view_as(weight)


def _is_concerned(conv: nn.Conv2d) -> bool:
    dilated = max(conv.dilation) > 1
    depthwise = conv.groups == conv.in_channels == conv.out_channels
    slow = depthwise and (max(conv.stride) > 1 or max(conv.kernel_size) > 3)
    return (
        conv.groups > 1
        and (dilated or slow)
        and conv.padding_mode == 'zeros'
        and not isinstance(conv.padding, str)
    )


def _goes_by_taps(conv: Any, x: Tensor) -> bool:
    other = torch.compiler.is_compiling() or torch.is_autocast_enabled('cpu')
    return (
        (x.dtype, x.device.type, x.dim(), other) == (torch.float32, 'cpu', 4, False)
        and x.is_contiguous(memory_format=_LAST)
        and conv.groups == conv.in_channels == conv.out_channels
        and conv.stride == (1, 1)
        and max(conv.dilation) > 1
        and all(k % 2 for k in conv.kernel_size)
        and conv.padding == tuple(d * (k // 2) for d, k in zip(conv.dilation, conv.kernel_size))
    )


class _Gradients:
    """Takes the place of ``nn.Conv2d._conv_forward``."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
        half = torch.bfloat16
        if torch.is_autocast_enabled('cpu') and torch.get_autocast_dtype('cpu') == half:
            x, weight = x.to(half), weight.to(half)
            bias = None if bias is None else bias.to(half)
        wanted = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
        if wanted and _goes_by_taps(self, x):
            return _Dilated.apply(x, weight, bias, self.dilation)  # type: ignore[attr-defined, no-any-return]
        if not wanted or x.dtype != half or x.device.type != 'cpu' or x.dim() != 4:
            return super()._conv_forward(x, weight, bias)  # type: ignore[misc, no-any-return]
        setting = (self.stride, self.padding, self.dilation, self.groups)  # type: ignore[attr-defined]
        return _Grouped.apply(x, weight, bias, setting)  # type: ignore[no-any-return]


class _Conv2d(_Gradients, nn.Conv2d):
    pass


class _GuardedConv2d(_Gradients, GuardedConv2d):
    pass


_OURS: Classes = {nn.Conv2d: _Conv2d, GuardedConv2d: _GuardedConv2d}


def mend_grouped(model: nn.Module) -> int:
    """Give a model's convolutions in groups right gradients in bfloat16, and fast ones in float32.

    They become another class; parameters, names and results stay.

    Args:
        model: Changed in place; a second call changes nothing.

    Returns:
        How many were changed.
    """
    return use_classes(model, _OURS, _is_concerned)


def use_torchs(model: nn.Module) -> None:
    """Undo :func:`mend_grouped`."""
    conv_classes.use_torchs(model, _OURS)
