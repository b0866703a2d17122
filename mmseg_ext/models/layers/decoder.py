"""Decoder steps that fuse an upsampled coarse map with a fine one, as in DeepLabv3+.

Source: "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018,
https://arxiv.org/abs/1802.02611, with the convolutions and dropout of
bubbliiiing/deeplabv3-plus-pytorch (90dee27).
Differs from it: nothing in the graph.
Shape letters: N image, C channel, D output channel, H, W fine size, h, w coarse size.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .aspp import conv_bn_relu, upsample
from .dropout import Dropout
from .grid_sampling import exporting
from .upsampled_conv import conv_of_upsampled

HALF = (torch.float16, torch.bfloat16)


def build_fusion(
    in_channels: int, channels: int, dropout: Sequence[float]
) -> Iterator[nn.Sequential]:
    """Build one 3x3 convolution with batch norm, ReLU and element-wise dropout per dropout rate."""
    for rate in dropout:
        yield nn.Sequential(*conv_bn_relu(in_channels, channels, 3), Dropout(rate))
        in_channels = channels


def fuse_upsampled(
    fuse: nn.Sequential, coarse: Tensor, fine: Tensor, *, align_corners: bool, mix_first: bool
) -> Tensor:
    """Return ``fuse(cat([upsample(coarse), fine], dim=1))``.

    Args:
        fuse: A 3x3 convolution and the layers after it, see :func:`build_fusion`.
        coarse: The context map.
        fine: The map to concatenate, which sets the size.
        align_corners: As in ``torch.nn.functional.interpolate``.
        mix_first: Convolve before upsampling, see :func:`conv_of_upsampled`: the same result up to
            rounding with fewer multiplications. Exported graphs do not use it.

    Shape:
        ``(N, C, h, w)`` and ``(N, B, H, W)`` to ``(N, D, H, W)``.
    """
    if mix_first and not exporting():
        conv: Any = fuse[0]
        return fuse[1:](conv_of_upsampled(coarse, fine, conv, align_corners=align_corners))
    deep = upsample(coarse, fine.shape[2:], align_corners)
    return fuse(torch.cat([deep, fine], dim=1))


def at_least_single(logits: Tensor) -> Tensor:
    """Convert logits of half precision to float32; return all others unchanged.

    Upsampling and softmax in half precision would lose small differences.
    """
    return logits.float() if logits.dtype in HALF else logits
