"""ParNet attention: the block of "Non-deep Networks" in the place of an attention.

Source: "Non-deep Networks", NeurIPS 2022, https://arxiv.org/abs/2110.07641, its RepVGG-SSE block: a
1x1 and a 3x3 convolution beside skip-squeeze-and-excitation (SSE), summed, then SiLU. The form is
the one that public collections of attentions have.
Differs from the paper: the convolutions have biases in front of their norms, and the SSE branch
has no batch norm of its own, as in those collections. Which form a comparison used is open wherever
only the name is printed.
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
    """Sum two normalised convolutions and the input gated by channel; a block, not only a gate.

    Args:
        channels: C, the same at input and output.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W.

    Raises:
        ValueError: If batch norm would see one value.
    """

    def __init__(self, channels: int, *, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.sse = nn.Conv2d(channels, channels, 1)
        self.conv1x1 = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))
        self.conv3x3 = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the three branches' sum after SiLU."""
        check_batch_norm_input(self.conv1x1[1], x_NCHW, self)
        gate_NC11 = self.sse(x_NCHW.mean((2, 3), keepdim=True)).sigmoid()
        return F.silu(self.conv1x1(x_NCHW) + self.conv3x3(x_NCHW) + x_NCHW * gate_NC11)
