"""Parallel Spatial-Channel Attention Network (PSCAN).

Source: Gu et al., "MFP-DeepLabv3+", 2024, https://doi.org/10.18280/ts.410218, section 2.2,
equations 1-7.
Differs from it: nothing that the paper states. The text, the equations and the printed parameter
counts leave several points open. Our choices:
- mean and deviation of Q are summed (equation 1 lists both, and a vector of C / 2 is needed);
- those of X are stacked and merged by one depth-wise convolution of size 2, which is our reading of
  "merged" and "fully connected at the channel level" (equation 5 prints a sum);
- the 1xK convolution has K = 5, as ECA's rule gives for 256 channels;
- all convolutions have biases, torch's default. This gives 67,078 parameters at 256 channels;
  66,566 with ``bias=False``; 66,563 if also ``kernel_size=3, kernel_bias=False``.
The deviation divides by H * W as in equation 3, so it is 0 at one pixel.
Shape letters: N image, C channel, D = C / 2, H row, W column.
"""

from typing import Optional

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from .moments import mean_and_deviation
from .norms import check_batch_norm_input


@MODELS.register_module()
class PSCAN(BaseModule):
    """Gate the map by pixel and, in parallel, by channel; return the mean of the two.

    Batch norm in the channel branch gets one value per image. With a batch of 2, only the order of
    the two values is left after it, so train with larger batches.

    Args:
        channels: C, even; the same at input and output.
        kernel_size: K, the odd number of neighbouring channels in the channel branch.
        bias: Add biases in Q, V and the convolution that merges mean and deviation.
        kernel_bias: Add a bias in the 1xK convolution.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W; gates in (0, 1).

    Raises:
        ValueError: If ``channels`` is odd or ``kernel_size`` even, or batch norm would get one
            value per channel, as with a batch of 1 in training.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int = 5,
        bias: bool = True,
        kernel_bias: bool = True,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if channels % 2:
            raise ValueError(f'channels must be even, got {channels}')
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size must be odd, got {kernel_size}')
        self.q = nn.Conv2d(channels, channels // 2, 1, bias=bias)
        self.v = nn.Conv2d(channels, channels // 2, 1, bias=bias)
        self.merge = nn.Conv1d(channels, channels, 2, groups=channels, bias=bias)
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=kernel_bias)
        self.norm = nn.BatchNorm1d(channels)

    def _spatial_gate(self, x_NCHW: Tensor) -> Tensor:
        mean_ND, std_ND = mean_and_deviation(self.q(x_NCHW))
        q_ND = (mean_ND + std_ND).softmax(dim=1)
        # q (V x + b) = (q V) x + q b: the map of C / 2 channels is never computed.
        qv_NC = q_ND @ self.v.weight.flatten(1)
        score_NHW = torch.einsum('nc,nchw->nhw', qv_NC, x_NCHW)
        if self.v.bias is not None:
            score_NHW = score_NHW + (q_ND @ self.v.bias)[:, None, None]
        return score_NHW.sigmoid().unsqueeze(1)

    def _channel_gate(self, x_NCHW: Tensor) -> Tensor:
        # A depth-wise convolution over two values is a weighted sum, which is faster than torch's.
        pair_NC2 = torch.stack(mean_and_deviation(x_NCHW), dim=2)
        merged_NC = (pair_NC2 * self.merge.weight[:, 0]).sum(dim=2)
        if self.merge.bias is not None:
            merged_NC = merged_NC + self.merge.bias
        mixed_NC1 = self.conv(merged_NC.unsqueeze(1)).transpose(1, 2)
        check_batch_norm_input(self.norm, mixed_NC1, self)
        return self.norm(mixed_NC1).sigmoid().unsqueeze(3)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the mean of both gated maps."""
        channel_NC11, spatial_N1HW = self._channel_gate(x_NCHW) / 2, self._spatial_gate(x_NCHW) / 2
        return torch.addcmul(x_NCHW * channel_NC11, x_NCHW, spatial_N1HW)
