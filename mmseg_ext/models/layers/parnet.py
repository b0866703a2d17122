"""ParNet attention: the block of "Non-deep Networks" used as an attention.

Source: "Non-deep Networks", NeurIPS 2022, https://arxiv.org/abs/2110.07641, its RepVGG-SSE block: a
1x1 and a 3x3 convolution beside skip-squeeze-and-excitation (SSE), summed, then SiLU. The form is
that of public collections of attentions.
Differs from the paper: as in those collections, the convolutions before norms have biases, and the
SSE branch has no batch norm. A paper that only prints the name leaves open which form it used.
Shape letters: N image, C channel, H row, W column.
"""

from typing import Optional

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from .norms import check_batch_norm_input


@MODELS.register_module()
class ParNet(BaseModule):
    """Sum two normalised convolutions and the channel-gated input: a block rather than a gate.

    Args:
        channels: C, the same at input and output.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W.

    Raises:
        ValueError: If batch norm would get one value per channel.
    """

    def __init__(self, channels: int, *, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.sse = nn.Conv2d(channels, channels, 1)
        self.conv1x1 = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))
        self.conv3x3 = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return SiLU of the sum of the three branches."""
        check_batch_norm_input(self.conv1x1[1], x_NCHW, self)
        gate_NC11 = self.sse(x_NCHW.mean((2, 3), keepdim=True)).sigmoid()
        return F.silu(self.conv1x1(x_NCHW) + self.conv3x3(x_NCHW) + x_NCHW * gate_NC11)
