"""Efficient Channel Attention (ECA).

Source: "ECA-Net", CVPR 2020, https://arxiv.org/abs/1910.03151. The kernel size follows from C with
gamma 2 and b 1: 5 at 256 channels.
Differs from it: ``kernel_size`` may be set. The paper leaves nothing open.
Shape letters: N image, C channel, H row, W column.
"""

import math
from typing import Optional

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class ECA(BaseModule):
    """Gate each channel by its own mean and the means of neighbouring channels.

    Args:
        channels: C, the same at input and output.
        kernel_size: Odd kernel size over channels; ``None`` derives it from C.
        gamma: Divisor in the rule ``(log2(C) + b) / gamma`` for the kernel size.
        b: Offset in that rule.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W; gate in (0, 1).

    Raises:
        ValueError: If ``kernel_size`` is even.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: Optional[int] = None,
        gamma: float = 2,
        b: float = 1,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if kernel_size is None:  # truncated, then raised to the next odd number, as the authors do
            kernel_size = int(abs((math.log2(channels) + b) / gamma)) | 1
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size must be odd, got {kernel_size}')
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the gated map."""
        mean_N1C = x_NCHW.mean(dim=(2, 3)).unsqueeze(1)
        gate_NC = self.conv(mean_N1C).sigmoid().squeeze(1)
        return x_NCHW * gate_NC[:, :, None, None]
