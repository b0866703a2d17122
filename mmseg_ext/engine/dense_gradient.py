"""Plain convolutions whose gradient by their weights is a matrix product for each tap, on a CPU.

Source: torch 2.13's ``conv2d`` with oneDNN 3.12, which takes that gradient of a 3x3 convolution in
float32 and channels_last two to three times as long as the same product takes, with up to ten times
its rounding error (256 channels, 8 maps of 48x48, one thread of an AMD EPYC with AVX2 alone; not
measured with AVX-512).
Differs from it: nothing but the order of the sums. Where the map has another layout or type, the
convolution is strided, or a map with its zeros is much larger than without, torch's own is taken.
Shape letters: N image, C channel, D output channel, H row, W column, P pixel of all padded images.
"""

from typing import Any, Optional

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.wrappers import Conv2d as GuardedConv2d
from torch import Tensor, nn

from .conv_classes import Classes, use_classes

_LAST = torch.channels_last
_WIDE = 64  # channels on both sides; products of fewer are no faster
_ROOM = 1.5  # largest size of a padded map, in those of the map


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
    """Multiply the gradient with the map as each tap sees it, ``(D, C, taps, taps)``.

    Both have zeros around each image. A tap's map is then the same memory from another pixel on,
    and what it takes from a neighbouring row or image meets a zero of the gradient.
    """
    reach = taps // 2 * step
    frame = (0, 0, reach, reach, reach, reach)
    x, grad = (F.pad(t.permute(0, 2, 3, 1), frame) for t in (x_NCHW, grad_NDHW))
    width = x.shape[2]
    x_PC, grad_PD = x.flatten(0, 2), grad.flatten(0, 2)
    first = reach * width + reach  # no pixel before it has a gradient, nor one after the last
    count = len(x_PC) - 2 * first
    grad_DP = grad_PD[first : first + count].t()
    starts = [i * step * width + j * step for i in range(taps) for j in range(taps)]
    products = [grad_DP @ x_PC[start : start + count] for start in starts]
    return torch.stack(products).unflatten(0, (taps, taps)).permute(2, 3, 0, 1)


def _fits(x: Tensor, reach: int) -> bool:
    if x.dtype != torch.float32 or x.device.type != 'cpu' or x.dim() != 4:
        return False
    height, width = x.shape[2:]
    room = (height + 2 * reach) * (width + 2 * reach)
    return x.is_contiguous(memory_format=_LAST) and room <= _ROOM * height * width


class _Products:
    """Takes the place of ``nn.Conv2d._conv_forward``."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
        step = self.dilation[0]  # type: ignore[attr-defined]
        plain = torch.compiler.is_compiling() or torch.is_autocast_enabled('cpu')
        trained = torch.is_grad_enabled() and weight.requires_grad
        if plain or not trained or not _fits(x, _reach(weight, step)):
            return super()._conv_forward(x, weight, bias)  # type: ignore[misc, no-any-return]
        return _Dense.apply(x, weight, bias, step)  # type: ignore[no-any-return]


class _Conv2d(_Products, nn.Conv2d):
    pass


class _GuardedConv2d(_Products, GuardedConv2d):
    pass


_OURS: Classes = {nn.Conv2d: _Conv2d, GuardedConv2d: _GuardedConv2d}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}


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
    for module in model.modules():
        module.__class__ = _THEIRS.get(type(module), type(module))
