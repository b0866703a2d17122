"""Transposed convolution that is initialised as, or fixed to, bilinear upsampling.

Source: "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
https://arxiv.org/abs/1411.4038, section 3.3, and ``surgery.py`` of the authors' release.
Differs from it: a fixed kernel is a buffer per channel instead of a parameter. This saves the zeros
between channels and lets networks of different strides load each other's weights.
Shape letters: N image, C channel, H row, W column; S is the stride.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def bilinear_kernel(stride: int) -> Tensor:
    """Return the kernel of bilinear upsampling by an even factor S, ``(2 S, 2 S)``."""
    position = torch.arange(2 * stride, dtype=torch.float64)
    weight = 1 - (position - (stride - 0.5)).abs() / stride
    return (weight[:, None] * weight[None]).float()


class BilinearDeconv(nn.Module):
    """Upsample a map by S, with S / 2 more pixels at each border.

    Without these pixels, the result equals ``F.interpolate(mode='bilinear', align_corners=False)``
    where every tap lies on the map. Nearer to the border, values outside of the map count as 0.

    Args:
        channels: C.
        stride: S, even.
        learnable: Make the kernel a parameter ``(C, C, 2 S, 2 S)``, initialised to zero between
            different channels. ``False`` learns nothing.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, S H + S, S W + S)``.
    """

    def __init__(self, channels: int, *, stride: int, learnable: bool = False) -> None:
        super().__init__()
        self.stride, self.groups = stride, 1 if learnable else channels
        kernel = bilinear_kernel(stride)
        if learnable:
            self.weight = nn.Parameter(torch.eye(channels)[..., None, None] * kernel)
        else:
            weight = kernel.repeat(channels, 1, 1, 1)
            self.register_buffer('weight', weight, persistent=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the enlarged map."""
        weight = self.weight.to(x_NCHW.dtype)
        return F.conv_transpose2d(x_NCHW, weight, stride=self.stride, groups=self.groups)
