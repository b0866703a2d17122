"""Global Attention Mechanism (GAM).

Source: "Global Attention Mechanism", 2021, https://arxiv.org/abs/2112.05561, equations 1-2: a gate
per pixel and channel from an MLP over channels, then one from two 7x7 convolutions; no pooling.
Differs from it: the MLP is written as 1x1 convolutions, which is the same without permuting. The
ratio is 4, as in the commonly copied code; the paper only says that it is BAM's. That code
multiplies by the output of the MLP itself, not by its sigmoid (``channel_sigmoid=False``). The form
with grouped convolutions and channel shuffle, which the paper uses in ResNet-50, is not
implemented. A paper that only prints the name leaves open which form it used.
Shape letters: N image, C channel, H row, W column.
"""

from typing import Optional

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from .norms import check_batch_norm_input


@MODELS.register_module()
class GAM(BaseModule):
    """Gate every value by all channels at its pixel, then by all channels in its neighbourhood.

    Args:
        channels: C, the same at input and output.
        reduction: Both hidden layers have C / ``reduction`` channels, at least one.
        kernel_size: Odd kernel size of the spatial gate's two convolutions.
        channel_sigmoid: Apply a sigmoid to the channel gate; the commonly copied code does not.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W; gates in (0, 1) by default.

    Raises:
        ValueError: If ``kernel_size`` is even, or batch norm would get one value per channel.
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 4,
        kernel_size: int = 7,
        channel_sigmoid: bool = True,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size must be odd, got {kernel_size}')
        hidden, padding = max(1, channels // reduction), kernel_size // 2
        self.channel = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1)
        )
        self.channel_gate: nn.Module = nn.Sigmoid() if channel_sigmoid else nn.Identity()
        self.spatial = nn.Sequential(
            nn.Conv2d(channels, hidden, kernel_size, padding=padding),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, kernel_size, padding=padding),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the map, gated twice."""
        check_batch_norm_input(self.spatial[1], x_NCHW, self)
        y = x_NCHW * self.channel_gate(self.channel(x_NCHW))
        return y * self.spatial(y).sigmoid()
