"""Atrous Spatial Pyramid Pooling (ASPP) of DeepLabv3+, for any kind of 3x3 convolution.

Source: "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018,
https://arxiv.org/abs/1802.02611; layout and biases of the public PyTorch repository
bubbliiiing/deeplabv3-plus-pytorch (90dee27), whose checkpoints and parameter counts the papers use.
Differs from the paper: dense instead of separable 3x3 convolutions, as in that repository.
Shape letters: N image, C channel, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional

import torch
import torch.nn.functional as F
from mmcv.cnn import build_conv_layer
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.words import check_choice
from .grid_sampling import exporting
from .norms import check_batch_norm_input


def conv_bn_relu(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    *,
    bias: bool = True,
    dilation: int = 1,
    relu: bool = True,
    conv_cfg: Optional[dict] = None,
) -> nn.Sequential:
    """Stack a convolution that keeps H and W, batch norm and ReLU.

    mmcv's ``ConvModule`` does the same but warns about every bias before a norm. The repositories
    behind the papers have those biases, and parameter counts and checkpoints depend on them.
    Weights have torch's initialisation, as in the repositories with ``pretrained=True``. (By
    default they draw convolutions from N(0, 0.02) and norms from N(1, 0.02), and then load a
    checkpoint.) torch's small weights before a norm learn faster than mmcv's, because the norm
    makes the step relative to the weight.
    """
    conv = build_conv_layer(
        conv_cfg,
        in_channels,
        out_channels,
        kernel_size,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        bias=bias,
    )
    norm = nn.BatchNorm2d(out_channels)
    # In place: backward does not need the norm's output, and new memory costs more than the ReLU.
    return nn.Sequential(conv, norm, *([nn.ReLU(inplace=True)] if relu else []))


class ImagePooling(BaseModule):
    """Project the mean over the map and expand it again: ``(N, C, H, W)`` to ``(N, D, H, W)``.

    In training, batch norm gets one value per image and channel, so a batch of one is refused.
    """

    def __init__(self, in_channels: int, channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.conv = conv_bn_relu(in_channels, channels, bias=bias)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the projected mean, constant over H and W."""
        mean_NC11 = x_NCHW.mean(dim=(2, 3), keepdim=True)
        check_batch_norm_input(self.conv[1], mean_NC11, self)
        # Bilinear interpolation of a 1x1 map is its expansion.
        return self.conv(mean_NC11).expand(-1, -1, *x_NCHW.shape[2:])


@MODELS.register_module()
class ASPP(BaseModule):
    """Convolve a map at several dilations, add its global mean as a branch, then fuse the branches.

    Args:
        in_channels: C of the input.
        channels: Channels of every branch and of the output.
        rates: Dilation of each 3x3 branch, at the stride of the input.
        with_1x1: Add a 1x1 branch as the first one.
        bias: Give the convolutions before batch norms a bias, as in the reference repository.
        conv_cfg: Convolution type of the 3x3 branches; ``None`` is the plain one. For a type that
            has no bias, set ``branch_bias=False``.
        branch_bias: Give the 3x3 branches a bias.
        pre_conv: Channels of a 1x1 convolution + BN + ReLU before every 3x3 branch; ``None``: no
            such convolution.
        attention: A module built with ``channels=...``, applied to the fused map or, with
            ``attention_on='concat'``, to the concatenated branches.
        attention_on: ``'fused'`` or ``'concat'``.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, in_channels, H, W)`` to ``(N, channels, H, W)``.

    Raises:
        ValueError: If ``attention_on`` is neither of the two, or ``rates`` is empty.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        *,
        rates: Sequence[int] = (6, 12, 18),
        with_1x1: bool = True,
        bias: bool = True,
        conv_cfg: Optional[dict] = None,
        branch_bias: bool = True,
        pre_conv: Optional[int] = None,
        attention: Optional[dict] = None,
        attention_on: str = 'fused',
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if not rates:
            raise ValueError('rates is empty: give at least one dilation, for example (6, 12, 18)')
        check_choice('attention_on', attention_on, ('fused', 'concat'))
        branches: list[nn.Module] = []
        if with_1x1:
            branches.append(conv_bn_relu(in_channels, channels, bias=bias))
        for rate in rates:
            pre = [conv_bn_relu(in_channels, pre_conv, bias=False)] if pre_conv else []
            branch = conv_bn_relu(
                pre_conv or in_channels,
                channels,
                3,
                bias=branch_bias,
                dilation=rate,
                conv_cfg=conv_cfg,
            )
            branches.append(nn.Sequential(*pre, *branch))
        branches.append(ImagePooling(in_channels, channels, bias=bias))
        self.branches = nn.ModuleList(branches)
        width = channels * len(branches)
        self.fuse = conv_bn_relu(width, channels, bias=bias)
        self.concat_attention: nn.Module = nn.Identity()
        self.fused_attention: nn.Module = nn.Identity()
        if attention is not None and attention_on == 'concat':
            self.concat_attention = MODELS.build(dict(attention, channels=width))
        elif attention is not None:
            self.fused_attention = MODELS.build(dict(attention, channels=channels))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the fused map."""
        check_batch_norm_input(self.fuse[1], x_NCHW, self)
        y = torch.cat([branch(x_NCHW) for branch in self.branches], dim=1)
        return self.fused_attention(self.fuse(self.concat_attention(y)))


def upsample(x_NCHW: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """Resize bilinearly to ``size`` = (H, W); return a map of that size unchanged."""
    if not exporting() and tuple(x_NCHW.shape[2:]) == tuple(size):  # exported for other sizes, too
        return x_NCHW
    return F.interpolate(x_NCHW, size=tuple(size), mode='bilinear', align_corners=align_corners)
