"""DeepLabv3+ decoder with a replaceable context module: the baseline of two papers.

Source: "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018,
https://arxiv.org/abs/1802.02611, with the dense convolutions, biases, dropout and
``align_corners=True`` of bubbliiiing/deeplabv3-plus-pytorch (90dee27).
Differs from it: nothing in the graph.
Shape letters: N image, C channel, H row, W column, K class.
"""

from collections.abc import Sequence
from typing import Any, Optional

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

from ...core.recompute import recompute
from ..layers.aspp import conv_bn_relu
from ..layers.channel_order import channels_last_without_graph
from ..layers.decoder import at_least_single, build_fusion, fuse_upsampled


@MODELS.register_module()
class DeepLabV3PlusHead(BaseDecodeHead):
    """Upsample a context map and refine it with low-level features.

    Args:
        in_channels: Channels of the backbone maps at ``in_index``, strides ascending. The first
            is the low-level map, the last goes to the context module.
        in_index: Indices of these backbone maps.
        channels: Channels of the context map and of the decoder.
        context: Context module, built with ``in_channels`` and ``channels``; ``None`` takes the
            plain :class:`ASPP`.
        low_level_channels: Channels to which the low-level map is reduced.
        dropout: Element-wise dropout after the two decoder convolutions.
        mix_first: Compute the first decoder convolution before upsampling the context map, see
            :func:`fuse_upsampled`. This makes training on a CPU a fifth faster.
        with_cp: In training, recompute the decoder in the backward pass instead of keeping its
            activations: less memory, more time, the same gradients.
        kwargs: Arguments of mmseg's ``BaseDecodeHead``, such as ``num_classes``.

    Shape:
        Backbone maps to logits ``(N, K, h, w)`` at the low-level map's size.

    Raises:
        ValueError: If fewer than two maps are given.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: Sequence[int],
        *,
        channels: int = 256,
        context: Optional[dict] = None,
        low_level_channels: int = 48,
        dropout: Sequence[float] = (0.5, 0.1),
        align_corners: bool = True,
        mix_first: bool = False,
        with_cp: bool = False,
        **kwargs: Any,
    ) -> None:
        if len(in_channels) < 2:
            raise ValueError(
                'in_channels needs at least two maps, the low-level one first and the '
                f'one for the context module last, got {list(in_channels)}'
            )
        super().__init__(
            list(in_channels),
            channels,
            in_index=list(in_index),
            input_transform='multiple_select',
            dropout_ratio=0,
            align_corners=align_corners,
            **kwargs,
        )
        self.mix_first, self.with_cp = mix_first, with_cp
        context = dict(context or dict(type='ASPP'), in_channels=in_channels[-1], channels=channels)
        self.context = MODELS.build(context)
        self.low_level = conv_bn_relu(in_channels[0], low_level_channels)
        self.fuse1, self.fuse2 = build_fusion(channels + low_level_channels, channels, dropout)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits at the low-level map's size."""
        maps = channels_last_without_graph(self._transform_inputs(inputs))
        context = self.context(maps[-1])
        refined = recompute(self._refine, self, context, maps[0], when=self.with_cp)
        return at_least_single(self.cls_seg(refined))

    def _refine(self, context: Tensor, low: Tensor) -> Tensor:
        fused = fuse_upsampled(
            self.fuse1,
            context,
            self.low_level(low),
            align_corners=self.align_corners,
            mix_first=self.mix_first,
        )
        return self.fuse2(fused)
