"""A head that is only a classifier: one convolution from a feature map to logits.

Source: the last layer of the authors' public SegNet (alexgkendall/SegNet-Tutorial): 3x3 with bias
in SegNet, 1x1 in SegNet-Basic; Gaussian weights by fan-in; no batch norm, ReLU or dropout.
Differs from it: nothing.
Differs from mmseg's heads: they have a hidden convolution before a 1x1 classifier.
Shape letters: N image, C channel, H row, W column, K class.
"""

from collections.abc import Sequence
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class ConvSegHead(BaseDecodeHead):
    """Classify each pixel of one backbone map by a single convolution.

    Args:
        in_channels: C of the map at ``in_index``.
        kernel_size: Side of the kernel, odd.
        bias: Whether the convolution has a bias.
        in_index: Index of the backbone map; -1 is the last.
        kwargs: Arguments of mmseg's ``BaseDecodeHead``, such as ``num_classes``.

    Shape:
        Backbone maps to logits ``(N, K, H, W)`` at the size of the map at ``in_index``.

    Raises:
        ValueError: If ``kernel_size`` is even.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        kernel_size: int = 3,
        bias: bool = True,
        in_index: int = -1,
        **kwargs: Any,
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size must be odd, got {kernel_size}')
        kaiming = dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu')
        kwargs.setdefault('init_cfg', kaiming)
        super().__init__(in_channels, in_channels, in_index=in_index, dropout_ratio=0, **kwargs)
        self.conv_seg = nn.Conv2d(
            in_channels, self.out_channels, kernel_size, padding=kernel_size // 2, bias=bias
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits, in single precision."""
        return self.cls_seg(self._transform_inputs(inputs)).float()
