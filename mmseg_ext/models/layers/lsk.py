"""Large Selective Kernel attention (LSK).

Source: "Large Selective Kernel Network for Remote Sensing Object Detection", ICCV 2023,
https://arxiv.org/abs/2303.09030, with the sizes of the published block: a 5x5 depth-wise
convolution, then a 7x7 one of dilation 3, each projected to C / 2.
Differs from it: nothing in the LSK module. LSKNet's blocks have projections, GELU and a shortcut
around the module; these are not included.
Shape letters: N image, C channel, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn


def _depthwise(channels: int, kernel_size: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(
        channels,
        channels,
        kernel_size,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        groups=channels,
    )


@MODELS.register_module()
class LSK(BaseModule):
    """Mix a small and a large receptive field per pixel; multiply the input by the mixture.

    The mixture passes no sigmoid, so values may grow or change sign.

    Args:
        channels: C, even; the same at input and output.
        kernel_sizes: Odd kernel sizes of the two consecutive depth-wise convolutions.
        dilations: Their dilations.
        squeeze_kernel: Odd kernel size of the convolution that computes the weights of the two.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W.

    Raises:
        ValueError: If ``channels`` is odd, a kernel size is even, or there are not two kernels.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel_sizes: Sequence[int] = (5, 7),
        dilations: Sequence[int] = (1, 3),
        squeeze_kernel: int = 7,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if channels % 2:
            raise ValueError(f'channels must be even, got {channels}')
        if len(kernel_sizes) != 2 or len(dilations) != 2:
            raise ValueError(
                'kernel_sizes and dilations must have two entries each, '
                f'got {list(kernel_sizes)} and {list(dilations)}'
            )
        if any(k % 2 == 0 for k in (*kernel_sizes, squeeze_kernel)):
            raise ValueError(
                f'kernel sizes must be odd, got {list(kernel_sizes)} and {squeeze_kernel}'
            )
        self.near = _depthwise(channels, kernel_sizes[0], dilations[0])
        self.far = _depthwise(channels, kernel_sizes[1], dilations[1])
        self.near_proj = nn.Conv2d(channels, channels // 2, 1)
        self.far_proj = nn.Conv2d(channels, channels // 2, 1)
        self.squeeze = nn.Conv2d(2, 2, squeeze_kernel, padding=squeeze_kernel // 2)
        self.expand = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the input times the selected mixture."""
        near_NCHW = self.near(x_NCHW)
        near, far = self.near_proj(near_NCHW), self.far_proj(self.far(near_NCHW))
        # Mean and maximum over all C channels without concatenating the two maps of C / 2.
        mean_N1HW = (near.mean(1, keepdim=True) + far.mean(1, keepdim=True)) / 2
        peak_N1HW = torch.maximum(near.amax(1, keepdim=True), far.amax(1, keepdim=True))
        gate_N2HW = self.squeeze(torch.cat([mean_N1HW, peak_N1HW], dim=1)).sigmoid()
        return x_NCHW * self.expand(near * gate_N2HW[:, :1] + far * gate_N2HW[:, 1:])
