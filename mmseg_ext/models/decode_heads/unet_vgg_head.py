"""U-Net's decoder for VGG16 or ResNet-50: a comparison network of the FMSI paper.

Source: bubbliiiing/unet-pytorch (5bcd6b4), with strong evidence the network of the paper's U-Net
row. It follows "U-Net", MICCAI 2015, https://arxiv.org/abs/1505.04597, with bilinear upsampling in
place of transposed convolutions and padded convolutions in place of valid ones.
Differs from it: maps are upsampled to the size of the skip, so that odd sizes work; for even sizes
the result is the same. Convolutions have Kaiming's initialisation, as in VGG16.
Shape letters: N image, C channel, H row, W column, K class.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.aspp import upsample


@MODELS.register_module()
class UNetVGGHead(BaseDecodeHead):
    """Upsample the deepest map step by step and concatenate the backbone map of each size.

    Args:
        in_channels: C of the maps at ``in_index``, in order of ascending stride.
        in_index: Indices of these backbone maps; ``None`` takes all.
        widths: Channels of each step in the order of the skips, from fine to coarse; ``None`` takes
            the channels of the skips.
        final_up: Double the size after the last step, and convolve twice more. Meant for a backbone
            whose first map has half the image's size, such as ResNet-50.
        kwargs: Arguments of mmseg's ``BaseDecodeHead``, such as ``num_classes``.

    Shape:
        Backbone maps to logits ``(N, K, H, W)`` at the first map's size, or twice that size with
        ``final_up``.

    Raises:
        ValueError: If ``widths`` does not have one entry per skip.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256, 512, 512),
        *,
        in_index: Any = None,
        widths: Any = None,
        final_up: bool = False,
        align_corners: bool = True,
        **kwargs: Any,
    ) -> None:
        widths = tuple(in_channels[:-1] if widths is None else widths)
        if len(widths) != len(in_channels) - 1:
            raise ValueError(
                f'widths needs one width for each of the {len(in_channels) - 1} skips, got {widths}'
            )
        kaiming = dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu')
        kwargs.setdefault('init_cfg', kaiming)
        super().__init__(
            list(in_channels),
            widths[0],
            in_index=list(range(len(in_channels)) if in_index is None else in_index),
            input_transform='multiple_select',
            dropout_ratio=0,
            align_corners=align_corners,
            **kwargs,
        )
        below = (*widths[1:], in_channels[-1])
        self.steps = nn.ModuleList(
            _two_convs(skip + deep, width)
            for skip, deep, width in zip(in_channels[:-1], below, widths)
        )
        self.last = _two_convs(widths[0], widths[0]) if final_up else None

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits, in single precision."""
        *skips, x = self._transform_inputs(inputs)
        for skip, convs in zip(reversed(skips), reversed(self.steps)):
            deep = upsample(x, skip.shape[2:], self.align_corners)
            x = convs(torch.cat([skip, deep], dim=1))
        if self.last is not None:
            x = self.last(upsample(x, [2 * s for s in x.shape[2:]], self.align_corners))
        return self.cls_seg(x).float()


def _two_convs(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(inplace=True),
    )
