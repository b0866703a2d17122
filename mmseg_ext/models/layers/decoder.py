"""Steps of decoders that refine a coarse context map beside a fine one, as DeepLabv3+ does.

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
from .upsampled_conv import conv_of_upsampled

HALF = (torch.float16, torch.bfloat16)


def build_fusion(
    in_channels: int, channels: int, dropout: Sequence[float]
) -> Iterator[nn.Sequential]:
    """Build a 3x3 convolution with batch norm, ReLU and element-wise dropout for each rate."""
    for rate in dropout:
        yield nn.Sequential(*conv_bn_relu(in_channels, channels, 3), Dropout(rate))
        in_channels = channels


def fuse_upsampled(
    fuse: nn.Sequential, coarse: Tensor, fine: Tensor, *, align_corners: bool, mix_first: bool
) -> Tensor:
    """Return ``fuse(cat([upsample(coarse), fine], dim=1))``.

    Args:
        fuse: A 3x3 convolution and what follows it, see :func:`build_fusion`.
        coarse: The context map.
        fine: The map beside it, which gives the size.
        align_corners: Of the interpolation.
        mix_first: Convolve before the context map is upsampled, see :func:`conv_of_upsampled`: the
            same up to rounding, with fewer multiplications. Graphs for export are built without it.

    Shape:
        ``(N, C, h, w)`` and ``(N, B, H, W)`` to ``(N, D, H, W)``.
    """
    if mix_first and not torch.onnx.is_in_onnx_export():
        conv: Any = fuse[0]
        return fuse[1:](conv_of_upsampled(coarse, fine, conv, align_corners=align_corners))
    deep = upsample(coarse, fine.shape[2:], align_corners)
    return fuse(torch.cat([deep, fine], dim=1))


def at_least_single(logits: Tensor) -> Tensor:
    """Return logits of half precision in single precision, and any others as they are.

    Upsampling and softmax in half precision would round small differences away.
    """
    return logits.float() if logits.dtype in HALF else logits
