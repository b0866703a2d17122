"""Strided 1x1 convolutions of few channels, which take their pixels before they convolve.

Source: torch 2.13's ``conv2d`` with oneDNN 3.12. On a CPU with AVX2 and no AVX-512, the gradient of
the weights of a strided 1x1 convolution in channels_last with fewer than eight channels is written
past the end of its memory, and the process ends with "corrupted double-linked list" or the like.
Differs from it: nothing in the result.
"""

from typing import Any, Optional

import torch
from mmcv.cnn.bricks.wrappers import Conv2d as GuardedConv2d
from torch import Tensor, nn

from .conv_classes import Classes, use_classes

_LAST = torch.channels_last
_REGISTER = 8  # float32 numbers in one of AVX2


class _Thin:
    """Takes the place of ``nn.Conv2d._conv_forward``."""

    def _conv_forward(self: Any, x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
        down, right = self.stride
        taken = x[..., ::down, ::right]
        if x.dim() == 4 and x.is_contiguous(memory_format=_LAST):
            taken = taken.contiguous(memory_format=_LAST)
        return torch.nn.functional.conv2d(taken, weight, bias)


class _Conv2d(_Thin, nn.Conv2d):
    pass


class _GuardedConv2d(_Thin, GuardedConv2d):
    pass


_OURS: Classes = {nn.Conv2d: _Conv2d, GuardedConv2d: _GuardedConv2d}


def take_pixels_first(model: nn.Module) -> int:
    """Let a model's strided 1x1 convolutions of fewer than eight channels take their pixels first.

    They become another class; parameters, names and outputs stay.

    Args:
        model: Changed in place; a second call changes nothing.

    Returns:
        How many were changed.
    """
    return use_classes(model, _OURS, _is_thin)


def _is_thin(conv: Any) -> bool:
    return (
        (conv.kernel_size, conv.padding, conv.groups) == ((1, 1), (0, 0), 1)
        and conv.stride != (1, 1)
        and conv.in_channels < _REGISTER
    )
