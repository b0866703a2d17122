"""Convolutional Block Attention Module (CBAM).

Source: "CBAM", ECCV 2018, https://arxiv.org/abs/1807.06521, equations 1-3: ratio 16, 7x7 kernel.
Differs from it: nothing by default. The authors' code also has biases in the MLP and a batch norm
after the 7x7 convolution, which are not in the equations; ``mlp_bias`` and ``spatial_norm`` add
them. A paper that only prints the name leaves open which form it used.
Shape letters: N image, C channel, H row, W column.
"""

from typing import Optional

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from .norms import check_batch_norm_input


@MODELS.register_module()
class CBAM(BaseModule):
    """Gate each channel by its mean and maximum, then each pixel by mean and maximum over channels.

    Args:
        channels: C, the same at input and output.
        reduction: The channel gate has C / ``reduction`` hidden channels, at least one.
        kernel_size: Odd kernel size of the spatial gate's convolution.
        mlp_bias: Add biases in the channel gate, as in the authors' code.
        spatial_norm: Add batch norm in the spatial gate, as in the authors' code.
        spatial_bias: Add a bias in the spatial gate, as TransDeepLab does.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W; gates in (0, 1).

    Raises:
        ValueError: If ``kernel_size`` is even, or batch norm would get one value per channel.
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        kernel_size: int = 7,
        mlp_bias: bool = False,
        spatial_norm: bool = False,
        spatial_bias: bool = False,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size must be odd, got {kernel_size}')
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=mlp_bias),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1, bias=mlp_bias),
        )
        self.spatial = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=spatial_bias)
        self.norm = nn.BatchNorm2d(1, momentum=0.01) if spatial_norm else nn.Identity()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the map, gated by channel and then by pixel."""
        mean_NC11, peak_NC11 = x_NCHW.mean((2, 3), keepdim=True), x_NCHW.amax((2, 3), keepdim=True)
        y = x_NCHW * (self.mlp(mean_NC11) + self.mlp(peak_NC11)).sigmoid()
        pooled_N2HW = torch.cat([y.mean(1, keepdim=True), y.amax(1, keepdim=True)], dim=1)
        spatial_N1HW = self.spatial(pooled_N2HW)
        check_batch_norm_input(self.norm, spatial_N1HW, self)
        return y * self.norm(spatial_N1HW).sigmoid()
