"""Plain convolutions whose gradient by their weights is a matrix product for each tap, on a CPU.

Source: torch 2.13's ``conv2d`` with oneDNN 3.12, which takes that gradient of a 3x3 convolution in
float32 and channels_last two to three times as long as the same product takes, with up to ten times
its rounding error (256 channels, 8 maps of 48x48, one thread of an AMD EPYC with AVX2 alone; not
measured with AVX-512). Of a dilated one it also multiplies zeros: with 2048 channels to 256 on two
maps of 32x32 torch 2.14 takes 2.1, 3.0 and 3.4 times as long for dilations of 6, 12 and 18.
Differs from it: nothing but the order of the sums. Where the map has another layout or type, or the
convolution is strided, torch's own is taken.
Shape letters: N image, C channel, D output channel, H row, W column, P pixel of all padded images.
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
_WIDE = 64  # channels on both sides; products of fewer are no faster
_ROOM = 1.5  # largest size of a map with its frame, in those of the map
Offsets = Sequence[tuple[int, int]]  # rows and columns from the middle tap to each


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Optional[Tensor], step: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.step = step
        return F.conv2d(x, weight, bias, padding=_reach(weight, step), dilation=step)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Optional[Tensor], ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        padding, step = [_reach(weight, ctx.step)] * 2, [ctx.step] * 2
        grad = grad.contiguous(memory_format=_LAST)
        by_x = None
        if needs_x:
            by_x = torch.ops.aten.convolution_backward(
                grad, x, weight, None, [1, 1], padding, step, False, [0, 0], 1, [True, False, False]
            )[0]
        by_weight = _by_weight(grad, x, weight.shape[2], ctx.step) if needs_weight else None
        return by_x, by_weight, grad.sum((0, 2, 3)) if needs_bias else None, None


def _reach(weight: Tensor, step: int) -> int:
    """Pixels between the middle tap and an outer one."""
    return weight.shape[2] // 2 * step


def _by_weight(grad_NDHW: Tensor, x_NCHW: Tensor, taps: int, step: int) -> Tensor:
    """Multiply the gradient with the map as each tap sees it, ``(D, C, taps, taps)``."""
    reach = taps // 2 * step
    height, width = x_NCHW.shape[2:]
    room = (height + 2 * reach) * (width + 2 * reach)
    framed = step == 1 and room <= _ROOM * height * width
    multiply = _framed if framed else _cut
    grad_NHWD, x_NHWC = (t.permute(0, 2, 3, 1) for t in (grad_NDHW, x_NCHW))
    offsets = range(-reach, reach + 1, step)
    products = multiply(grad_NHWD, x_NHWC, [(i, j) for i in offsets for j in offsets])
    return torch.stack(products).unflatten(0, (taps, taps)).permute(2, 3, 0, 1)


def _framed(grad: Tensor, x: Tensor, offsets: Offsets) -> list[Tensor]:
    """Give both zeros around each image, so that a tap's map is the same memory from elsewhere on.

    What a tap takes from a neighbouring row or image meets a zero of the gradient.
    """
    reach = offsets[-1][0]
    frame = (0, 0, reach, reach, reach, reach)
    x, grad = F.pad(x, frame), F.pad(grad, frame)
    width = x.shape[2]
    x_PC, grad_PD = x.flatten(0, 2), grad.flatten(0, 2)
    first = reach * width + reach  # no pixel before it has a gradient, nor one after the last
    count = len(x_PC) - 2 * first
    grad_DP = grad_PD[first : first + count].t()
    starts = [first + row * width + column for row, column in offsets]
    return [grad_DP @ x_PC[start : start + count] for start in starts]


def _cut(grad: Tensor, x: Tensor, offsets: Offsets) -> list[Tensor]:
    """Copy the pixels that have a tap inside of the map; a tap far out has few, or none."""
    parts = (seen_by_tap(grad, x, offset) for offset in offsets)
    return [ours.flatten(0, 2).t() @ seen.flatten(0, 2) for ours, seen in parts]


def _fits(x: Tensor) -> bool:
    kind = (x.dtype, x.device.type, x.dim())
    return kind == (torch.float32, 'cpu', 4) and x.is_contiguous(memory_format=_LAST)


class _Products:
    """Takes the place of ``nn.Conv2d._conv_forward``."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
        step = self.dilation[0]  # type: ignore[attr-defined]
        plain = torch.compiler.is_compiling() or torch.is_autocast_enabled('cpu')
        trained = torch.is_grad_enabled() and weight.requires_grad
        if plain or not trained or not _fits(x):
            return super()._conv_forward(x, weight, bias)  # type: ignore[misc, no-any-return]
        return _Dense.apply(x, weight, bias, step)  # type: ignore[no-any-return]


class _Conv2d(_Products, nn.Conv2d):
    pass


class _GuardedConv2d(_Products, GuardedConv2d):
    pass


_OURS: Classes = {nn.Conv2d: _Conv2d, GuardedConv2d: _GuardedConv2d}


def _is_concerned(conv: nn.Conv2d) -> bool:
    height, width = conv.kernel_size
    dilation = conv.dilation[0]
    return (
        (conv.groups, conv.stride, conv.padding_mode) == (1, (1, 1), 'zeros')
        and min(conv.in_channels, conv.out_channels) >= _WIDE
        and height == width > 1
        and height % 2 == 1
        and conv.dilation == (dilation, dilation)
        and conv.padding == (height // 2 * dilation,) * 2
    )


def use_products(model: nn.Module) -> int:
    """Let a model's plain convolutions take their weights' gradients by matrix products.

    They become another class; parameters, names and outputs stay.

    Args:
        model: Changed in place; a second call changes nothing.

    Returns:
        How many were changed.
    """
    return use_classes(model, _OURS, _is_concerned)


def use_torchs(model: nn.Module) -> None:
    """Undo :func:`use_products`."""
    conv_classes.use_torchs(model, _OURS)
