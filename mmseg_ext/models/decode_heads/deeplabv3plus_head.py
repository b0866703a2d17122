"""DeepLabv3+ decoder with an exchangeable context module: the baseline of two papers.

Source: "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018,
https://arxiv.org/abs/1802.02611, with the dense convolutions, biases, dropout and
``align_corners=True`` of bubbliiiing/deeplabv3-plus-pytorch (90dee27).
Differs from it: nothing in the graph.
Shape letters: N image, C channel, H row, W column, K class.
"""

from collections.abc import Sequence
from typing import Any, Optional

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.aspp import conv_bn_relu, upsample
from ..layers.channel_order import channels_last_on_cpu
from ..layers.dropout import Dropout
from ..layers.recompute import recompute
from ..layers.upsampled_conv import conv_of_upsampled


class RefiningHead(BaseDecodeHead):
    """What heads share that refine a context map at the low-level map's resolution.

    A subclass builds its parts, calls :meth:`add_decoder` last, and defines :meth:`refine`; its
    ``forward`` ends in :meth:`decode`.

    Args:
        in_channels: Channels of the backbone maps at ``in_index``, strides ascending.
        in_index: Which backbone maps those are.
        channels: Width of the decoder.
        with_cp: In training, compute the decoder a second time for the gradient instead of keeping
            its activations: less memory, the same gradients, more time.
        kwargs: Arguments of mmseg's ``BaseDecodeHead``, ``num_classes`` among them.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: Sequence[int],
        channels: int,
        *,
        with_cp: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            list(in_channels),
            channels,
            in_index=list(in_index),
            input_transform='multiple_select',
            dropout_ratio=0,
            **kwargs,
        )
        self.with_cp = with_cp

    def _transform_inputs(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        maps = super()._transform_inputs(inputs)
        if torch.is_grad_enabled():  # training gains nothing by it
            return maps
        return [channels_last_on_cpu(x) for x in maps]

    def add_decoder(self, in_channels: int, dropout: Sequence[float]) -> None:
        """Build two 3x3 convolutions with element-wise dropout, ``fuse1`` and ``fuse2``."""
        widths = (in_channels, self.channels)
        self.fuse1, self.fuse2 = (
            nn.Sequential(*conv_bn_relu(width, self.channels, 3), Dropout(p))
            for width, p in zip(widths, dropout)
        )

    def refine(self, *maps: Tensor) -> Tensor:
        """Return the decoded map."""
        raise NotImplementedError

    def decode(self, *maps: Tensor) -> Tensor:
        """Refine, and return logits, in single precision at least."""
        again = self.with_cp and torch.is_grad_enabled()
        refined = recompute(self.refine, self, *maps) if again else self.refine(*maps)
        logits = self.cls_seg(refined)
        # Upsampling and softmax in half precision would round small differences away.
        return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


@MODELS.register_module()
class DeepLabV3PlusHead(RefiningHead):
    """Refine a context map with low-level features at their resolution.

    Args:
        in_channels: Channels of the backbone maps at ``in_index``, strides ascending. The first
            is the low-level map, the last goes to the context module.
        in_index: Which backbone maps those are.
        channels: Width of the context map and of the decoder.
        context: Context module, built with ``in_channels`` and ``channels``; ``None`` is the plain
            :class:`ASPP`.
        low_level_channels: Width to which the low-level map is reduced.
        low_level_width: Channels of what :meth:`enrich` returns; ``None``: the low-level map's.
        dropout: Element-wise dropout after the two decoder convolutions.
        mix_first: Compute the first decoder convolution before the context map is upsampled, see
            :func:`conv_of_upsampled`: the same result with fewer multiplications, which makes
            training on a CPU a fifth faster. Graphs for export are built without it.
        kwargs: ``with_cp`` of :class:`RefiningHead`, and arguments of mmseg's ``BaseDecodeHead``,
            ``num_classes`` among them.

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
        low_level_width: Optional[int] = None,
        dropout: Sequence[float] = (0.5, 0.1),
        align_corners: bool = True,
        mix_first: bool = False,
        **kwargs,
    ) -> None:
        if len(in_channels) < 2:
            raise ValueError(
                'in_channels needs at least two maps, the low-level one first and the '
                f'one for the context module last, got {list(in_channels)}'
            )
        super().__init__(in_channels, in_index, channels, align_corners=align_corners, **kwargs)
        self.mix_first = mix_first
        self.context = _build_context(context, in_channels[-1], channels)
        self.low_level = conv_bn_relu(low_level_width or in_channels[0], low_level_channels)
        self.add_decoder(channels + low_level_channels, dropout)

    def enrich(self, maps: list[Tensor]) -> Tensor:
        """Return the low-level map; a subclass may add what other maps know."""
        return maps[0]

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits at the low-level map's size."""
        maps = self._transform_inputs(inputs)
        return self.decode(self.context(maps[-1]), self.enrich(maps))

    def refine(self, *maps: Tensor) -> Tensor:
        """Return the decoded map of the context and the low-level map."""
        context, low = maps[0], self.low_level(maps[1])
        if self.mix_first and not torch.onnx.is_in_onnx_export():
            conv: Any = self.fuse1[0]
            mixed = conv_of_upsampled(context, low, conv, align_corners=self.align_corners)
            return self.fuse2(self.fuse1[1:](mixed))
        deep = upsample(context, low.shape[2:], self.align_corners)
        return self.fuse2(self.fuse1(torch.cat([deep, low], dim=1)))


def _build_context(context: Optional[dict], in_channels: int, channels: int) -> nn.Module:
    context = dict(context or dict(type='ASPP'))
    return MODELS.build(dict(context, in_channels=in_channels, channels=channels))
