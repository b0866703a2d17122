"""Spatial and Channel Synergistic Attention (SCSA).

An attention that the FMSI paper discusses for comparison; not part of FMSI.
Source: "SCSA", 2024, https://arxiv.org/abs/2407.05128, its SMSA and PCSA, with the published code's
settings: one head, windows of 7, average pooling, no biases in q, k and v.
Differs from it: a window is cropped to a smaller map, and the last mean over windows is taken of v
instead of the product, which is cheaper and equal. As in the published code, the channel gate
leaves out rows and columns that do not fill a window. Its other pooling and gate types are not
implemented.
Shape letters: N image, C channel, A head, D = C / A, H row, W column, L window.
"""

from collections.abc import Sequence
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from .norms import GroupNorm


@MODELS.register_module()
class SCSA(BaseModule):
    """Gate rows and columns at several scales, then channels by self-attention among them.

    Args:
        channels: C, the same at input and output.
        heads: A, the number of attention heads; each attends among its own channels.
        window_size: Side of the windows whose means represent the map in the channel gate.
        kernel_sizes: Odd kernel sizes, one per part of the channels; shared by rows and columns.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W; gates in (0, 1).

    Raises:
        ValueError: If ``channels`` is not a multiple of ``heads`` and of the number of kernels, a
            kernel size is even, or ``window_size`` is below 1.
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 1,
        window_size: int = 7,
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        parts = len(kernel_sizes)
        _check(channels, heads, window_size, kernel_sizes)
        self.heads, self.window_size = heads, window_size
        width = channels // parts
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, k, padding=k // 2, groups=width) for k in kernel_sizes
        )
        self.norm_rows = GroupNorm(parts, channels)
        self.norm_columns = GroupNorm(parts, channels)
        self.norm = GroupNorm(1, channels)
        self.q, self.k, self.v = (
            nn.Conv2d(channels, channels, 1, groups=channels, bias=False) for _ in range(3)
        )

    def _scales(self, line: Tensor) -> Tensor:
        parts = line.chunk(len(self.convs), dim=1)
        return torch.cat([conv(part) for conv, part in zip(self.convs, parts)], dim=1)

    def _channel_gate(self, x: Tensor) -> Tensor:
        window = [min(self.window_size, n) for n in x.shape[2:]]
        y = self.norm(F.avg_pool2d(x, window))
        # A depth-wise 1x1 convolution is a product, which is faster than torch's convolution.
        q, k, v = (
            (y * f.weight[:, 0]).flatten(2).unflatten(1, (self.heads, -1))
            for f in (self.q, self.k, self.v)
        )
        attention_NADD = (q @ k.transpose(2, 3) * q.shape[2] ** -0.5).softmax(dim=3)
        return (attention_NADD @ v.mean(dim=3, keepdim=True)).flatten(1, 2).unsqueeze(3).sigmoid()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the map, gated by row and column and then by channel."""
        rows_NCH = self.norm_rows(self._scales(x_NCHW.mean(3))).sigmoid().to(x_NCHW.dtype)
        columns_NCW = self.norm_columns(self._scales(x_NCHW.mean(2))).sigmoid().to(x_NCHW.dtype)
        y = x_NCHW * rows_NCH.unsqueeze(3) * columns_NCW.unsqueeze(2)
        return y * self._channel_gate(y).to(x_NCHW.dtype)


def _check(channels: int, heads: int, window_size: int, kernel_sizes: Sequence[int]) -> None:
    for name, number in (('the number of kernel_sizes', len(kernel_sizes)), ('heads', heads)):
        if number < 1 or channels % number:
            raise ValueError(f'channels ({channels}) must be a multiple of {name} ({number})')
    if any(k % 2 == 0 for k in kernel_sizes):
        raise ValueError(f'kernel sizes must be odd, got {list(kernel_sizes)}')
    if window_size < 1:
        raise ValueError(f'window_size must be at least 1, got {window_size}')
