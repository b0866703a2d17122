"""MFP-DeepLabv3+: AFFP, attention, and skip maps of three depths, upsampled by DySample.

Source: Gu et al., "MFP-DeepLabv3+: A Multi-scale Feature Fusion and Parallel Attention Network for
Enhanced Bone Metastasis Segmentation", 2024, https://doi.org/10.18280/ts.410218, section 2.3.
Differs from the paper: it does not state the channels of the three skips; here they are chosen to
give its parameter count (``configs/mfp/README.md``). The final resize is bilinear with
``align_corners``, as in the DeepLabv3+ repository it builds on.
Shape letters: N image, C channel, h, w size of the finest map, K class.
"""

from collections.abc import Sequence
from typing import Any, Optional, Union

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.recompute import recompute
from ..layers.aspp import conv_bn_relu, upsample
from ..layers.channel_order import channels_last_without_graph
from ..layers.decoder import at_least_single, build_fusion
from ..layers.upsampler import build_upsampler

_AFFP, _PSCAN, _DYSAMPLE = (dict(type=name) for name in ('AFFP', 'PSCAN', 'dysample'))


@MODELS.register_module()
class MFPHead(BaseDecodeHead):
    """Concatenate an attended context map with a skip connection from each earlier map.

    Args:
        in_channels: Channels of the backbone maps at ``in_index``, strides ascending; the last
            goes to the context module, all others are skips.
        in_index: Indices of these backbone maps.
        channels: Channels of the context map and of the decoder.
        skip_channels: Channels of each skip after its 1x1 convolution.
        scale_factors: By which factor each further map is smaller than the first.
        context: Context module, built with ``in_channels`` and ``channels``.
        attention: Attention on the context map, built with ``channels``; ``None``: no attention.
        upsample_cfg: Upsampler of every map except the first, see :func:`build_upsampler`: one
            config for all, or a list with one for each.
        dropout: Element-wise dropout after the two decoder convolutions.
        with_cp: In training, recompute the decoder in the backward pass instead of keeping its
            activations: less memory, more time, the same gradients.
        kwargs: Arguments of mmseg's ``BaseDecodeHead``, such as ``num_classes``.

    Shape:
        Backbone maps to logits ``(N, K, h, w)`` at the first map's size. If a size is not a
        multiple of the scale, the upsampled map is resized bilinearly to fit.

    Raises:
        ValueError: If the lists differ in length.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: Sequence[int],
        *,
        channels: int = 256,
        skip_channels: Sequence[int] = (64, 64, 192),
        scale_factors: Sequence[int] = (2, 4, 4),
        context: dict = _AFFP,
        attention: Optional[dict] = _PSCAN,
        upsample_cfg: Union[dict, Sequence[dict]] = _DYSAMPLE,
        dropout: Sequence[float] = (0.5, 0.1),
        align_corners: bool = True,
        with_cp: bool = False,
        **kwargs: Any,
    ) -> None:
        count = len(in_channels)
        _check_lengths(count, skip_channels=skip_channels, scale_factors=scale_factors)
        super().__init__(
            list(in_channels),
            channels,
            in_index=list(in_index),
            input_transform='multiple_select',
            dropout_ratio=0,
            align_corners=align_corners,
            **kwargs,
        )
        self.with_cp = with_cp
        self.context = MODELS.build(dict(context, in_channels=in_channels[-1], channels=channels))
        self.attention: nn.Module = nn.Identity()
        if attention is not None:
            self.attention = MODELS.build(dict(attention, channels=channels))
        upsamplers = _one_each(upsample_cfg, count - 1)
        widths = [*in_channels[1:-1], channels]
        self.upsamplers = nn.ModuleList(
            build_upsampler(*site) for site in zip(upsamplers, widths, scale_factors)
        )
        self.skips = nn.ModuleList(
            conv_bn_relu(*site) for site in zip(in_channels[:-1], skip_channels)
        )
        self.fuse1, self.fuse2 = build_fusion(channels + sum(skip_channels), channels, dropout)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits at the first map's size."""
        *maps, deepest = channels_last_without_graph(self._transform_inputs(inputs))
        context = self.attention(self.context(deepest))
        refined = recompute(self._refine, self, *maps, context, when=self.with_cp)
        return at_least_single(self.cls_seg(refined))

    def _refine(self, *maps: Tensor) -> Tensor:
        return self.fuse2(self.fuse1(self._stack(*maps)))

    def _stack(self, first: Tensor, *coarse: Tensor) -> Tensor:
        # A separate function frees its maps before the decoder runs, which then reuses their
        # memory.
        *skips, context = [
            upsample(enlarge(x), first.shape[2:], self.align_corners)
            for enlarge, x in zip(self.upsamplers, coarse)
        ]
        reduced = [conv(x) for conv, x in zip(self.skips, [first, *skips])]
        return torch.cat([context, *reduced], dim=1)


def _check_lengths(count: int, **lists: Sequence) -> None:
    if count < 2:
        raise ValueError(f'in_channels needs a skip and the context map at least, got {count}')
    for name, values in lists.items():
        if len(values) != count - 1:
            raise ValueError(
                f'{name} must have {count - 1} entries, one less than in_channels, got {values}'
            )


def _one_each(cfg: Union[dict, Sequence[dict]], count: int) -> list[dict]:
    if isinstance(cfg, dict):
        return [cfg] * count
    if len(cfg) != count:
        raise ValueError(f'upsample_cfg must be one dict or {count} of them, got {len(cfg)}')
    return list(cfg)
