"""Aligned Xception with several outputs: the backbone of FMSI-DeepLab and its baseline.

Source: "Encoder-Decoder with Atrous Separable Convolution" (aligned Xception-65), ECCV 2018,
https://arxiv.org/abs/1802.02611; layer table of bubbliiiing/deeplabv3-plus-pytorch (90dee27), whose
module names are kept so that its checkpoints load by name.
Differs from it: ReLU is never in place, because it would change a map that was already returned.
The in-place ReLU of that code also rectifies the shortcut of identity blocks; here
``relu_identity`` does so explicitly. The batch-norm momentum is 0.1, see ``XceptionDeepLab``.
Shape letters: N image, C channel, H row, W column.
"""

from collections.abc import Sequence
from typing import Any, Optional

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.words import check_choice

_TAPS = ('entry', 'e3pre', 'middle', 'exit')


def _norm(channels: int, norm_cfg: dict) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=norm_cfg['eps'], momentum=norm_cfg['momentum'])


class SeparableConv(nn.Module):
    """Depthwise 3x3, batch norm, pointwise 1x1, batch norm; ReLU in front, or after each norm."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        relu_first: bool = True,
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        self.relu0 = nn.ReLU() if relu_first else nn.Identity()
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, 3, stride, dilation, dilation, groups=in_channels, bias=False
        )
        self.bn1 = _norm(in_channels, norm_cfg)
        self.relu1 = nn.Identity() if relu_first else nn.ReLU()
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn2 = _norm(out_channels, norm_cfg)
        self.relu2 = nn.Identity() if relu_first else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved map."""
        x = self.relu1(self.bn1(self.depthwise(self.relu0(x))))
        return self.relu2(self.bn2(self.pointwise(x)))


class XceptionBlock(nn.Module):
    """Three separable convolutions beside a shortcut; the stride sits on the third.

    ``forward`` returns the sum, and the map after the second convolution for the taps.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        *,
        stride: int = 1,
        dilation: int = 1,
        relu_identity: bool = True,
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        c1, c2, c3 = channels
        args: dict[str, Any] = dict(dilation=dilation, norm_cfg=norm_cfg)
        self.sepconv1 = SeparableConv(in_channels, c1, **args)
        self.sepconv2 = SeparableConv(c1, c2, **args)
        self.sepconv3 = SeparableConv(c2, c3, stride=stride, **args)
        if c3 != in_channels or stride != 1:
            self.skip: nn.Module = nn.Conv2d(in_channels, c3, 1, stride, bias=False)
            self.skipbn: nn.Module = _norm(c3, norm_cfg)
        else:
            self.skip = nn.ReLU() if relu_identity else nn.Identity()
            self.skipbn = nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum and the map after the second convolution."""
        inner = self.sepconv2(self.sepconv1(x))
        return self.sepconv3(inner) + self.skipbn(self.skip(x)), inner


@MODELS.register_module()
class XceptionDeepLab(BaseModule):
    """Map an image to features of the Entry, Middle and Exit flow.

    Args:
        in_channels: Channels of the image.
        output_stride: 16, or 8 to double the resolution from block 3 on, with dilation 2 in every
            later convolution. With 8, double the ASPP rates of the head too.
        taps: Which maps to return, in order of ascending stride. ``'entry'``: block 2 after its
            second separable convolution, 256 channels, stride 4. ``'e3pre'``: the same place in
            block 3, 728 channels, stride 8. ``'middle'``: end of the middle flow, 728 channels, not
            yet rectified. ``'exit'``: last map, 2048 channels, rectified.
        num_middle_blocks: Number of blocks in the middle flow: 16 in Xception-65, 8 in Xception-41.
        exit_dilation: Dilation of the last three convolutions at output stride 16: 1 in the
            reference repository, 2 in TensorFlow DeepLab and timm.
        relu_identity: Apply ReLU to the shortcut of identity blocks. The reference repository's
            weights need True, those of TensorFlow and timm False.
        norm_eps: Epsilon of the batch norms; timm and TensorFlow weights need 1e-3.
        norm_momentum: Momentum of the batch norms, in torch's definition. The reference
            repository's 3e-4 suits only its own pre-trained weights; from scratch, the running
            statistics would stay near their initial values.
        init_cfg: mmengine initialisation; ``None`` is Kaiming for convolutions.

    Shape:
        ``(N, in_channels, H, W)`` to one map per tap.

    Raises:
        ValueError: If ``output_stride`` is neither 8 nor 16, or a tap is unknown or out of order.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        output_stride: int = 16,
        taps: Sequence[str] = ('entry', 'middle', 'exit'),
        num_middle_blocks: int = 16,
        exit_dilation: int = 1,
        relu_identity: bool = True,
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(
            init_cfg
            or [
                # fan_out counts all groups of a depthwise kernel, which would make its weights
                # nearly zero
                dict(type='Kaiming', layer='Conv2d', mode='fan_in'),
                dict(type='Constant', val=1, layer='BatchNorm2d'),
            ]
        )
        _check_arguments(output_stride, taps)
        self.taps = tuple(taps)
        wide = 2 if output_stride == 8 else 1  # this dilation replaces the stride of block 3
        norm_cfg = dict(eps=norm_eps, momentum=norm_momentum)
        args: dict[str, Any] = dict(relu_identity=relu_identity, norm_cfg=norm_cfg)
        self.conv1 = nn.Conv2d(in_channels, 32, 3, 2, 1, bias=False)
        self.bn1 = _norm(32, norm_cfg)
        self.conv2 = nn.Conv2d(32, 64, 3, 1, 1, bias=False)
        self.bn2 = _norm(64, norm_cfg)
        self.relu = nn.ReLU()
        self.block1 = XceptionBlock(64, (128, 128, 128), stride=2, **args)
        self.block2 = XceptionBlock(128, (256, 256, 256), stride=2, **args)
        self.block3 = XceptionBlock(256, (728, 728, 728), stride=2 // wide, **args)
        self.middle_names = [f'block{4 + i}' for i in range(num_middle_blocks)]
        for name in self.middle_names:
            self.add_module(name, XceptionBlock(728, (728, 728, 728), dilation=wide, **args))
        # The exit block keeps its published name when there are fewer middle blocks.
        self.block20 = XceptionBlock(728, (728, 1024, 1024), dilation=wide, **args)
        post: dict[str, Any] = dict(
            relu_first=False, dilation=exit_dilation * wide, norm_cfg=norm_cfg
        )
        self.conv3 = SeparableConv(1024, 1536, **post)
        self.conv4 = SeparableConv(1536, 1536, **post)
        self.conv5 = SeparableConv(1536, 2048, **post)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the chosen taps."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        maps: dict[str, Tensor] = {}
        x, _ = self.block1(x)
        x, maps['entry'] = self.block2(x)
        x, maps['e3pre'] = self.block3(x)
        for name in self.middle_names:
            x, _ = getattr(self, name)(x)
        maps['middle'] = x
        x, _ = self.block20(x)
        maps['exit'] = self.conv5(self.conv4(self.conv3(x)))
        return tuple(maps[tap] for tap in self.taps)


def _check_arguments(output_stride: int, taps: Sequence[str]) -> None:
    check_choice('output_stride', output_stride, (8, 16))
    if not taps or [t for t in _TAPS if t in taps] != list(taps):
        raise ValueError(f'taps must be some of {_TAPS}, in that order, got {tuple(taps)}')
