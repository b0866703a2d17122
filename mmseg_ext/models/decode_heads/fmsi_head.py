"""FMSI-DeepLab: deformable ASPP, GGCA, interest flow and MSEA around the DeepLabv3+ decoder.

Source: Tang, Cheng, Zhang, "Optimization of the DeepLabv3+ Segmentation Network by Integrating
Multi-Scale Spatial Information", 2025, https://doi.org/10.23977/jipta.2025.080115, equations 1-10.
Differs from it in one thing that the paper states: both gates of MSEA pool the sum of its scales,
while the text pools "the input features" for the spatial gate. The paper leaves channels and
several sizes open; these are arguments whose default is our reading (list in
``configs/fmsi/README.md``).
Shape letters: N image, C channel, G group, H row, W column, K class.
"""

from collections.abc import Sequence
from typing import Any, Optional

import torch
from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.recompute import recompute
from ...core.words import check_choice
from ..layers.aspp import ASPP, conv_bn_relu, upsample
from ..layers.channel_order import channels_last_without_graph
from ..layers.decoder import at_least_single, build_fusion, fuse_upsampled
from ..layers.deform_conv import DCNTorch


@MODELS.register_module()
class GGCA(BaseModule):
    """Global Grouped Coordinate Attention (equations 2-6): gate the rows and columns of each group.

    Args:
        channels: C, the same at input and output.
        groups: G, the number of channel groups; all share the convolutions.
        reduction: The hidden layer has C / G divided by this many channels, at least one.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W.

    Raises:
        ValueError: If ``channels`` is not a multiple of ``groups``.
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 4,
        reduction: int = 16,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if channels % groups:
            raise ValueError(f'channels ({channels}) must be a multiple of groups ({groups})')
        self.groups = groups
        width = channels // groups
        hidden = max(1, width // reduction)
        self.shared = nn.Sequential(
            nn.Conv2d(width, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, width, 1),
        )

    def _gate(self, x: Tensor, dim: int) -> Tensor:
        mean, peak = x.mean(dim, keepdim=True), x.amax(dim, keepdim=True)
        return (self.shared(mean) + self.shared(peak)).sigmoid()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the gated map."""
        x = x_NCHW.reshape(-1, x_NCHW.shape[1] // self.groups, *x_NCHW.shape[2:])
        gated = x * self._gate(x, 3) * self._gate(x, 2)
        return gated.reshape(x_NCHW.shape)


@MODELS.register_module()
class MSEA(BaseModule):
    """Multi-Scale channel-spatial Enhanced Attention (equations 7-10).

    Args:
        channels: C, the same at input and output.
        kernel_sizes: Odd kernel sizes of the separable convolutions, one per scale.
        reduction: Factor by which the channel gate's hidden layer is narrower than C.
        spatial_kernel: Odd kernel size of the spatial gate's convolution.
        fusion: How the scales are merged: ``'sum'``, or ``'concat'`` (then 1x1 + BN + ReLU).
        weight: What the gates multiply: ``'input'`` (equation 10) or ``'multiscale'``.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``.

    Raises:
        ValueError: If a kernel size is even, or ``fusion`` or ``weight`` is unknown.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        reduction: int = 16,
        spatial_kernel: int = 7,
        fusion: str = 'sum',
        weight: str = 'input',
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        _check_msea([*kernel_sizes, spatial_kernel], fusion, weight)
        self.scales = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, k, padding=k // 2, groups=channels, bias=False),
                *conv_bn_relu(channels, channels, bias=False),
            )
            for k in kernel_sizes
        )
        self.fusion = (
            conv_bn_relu(channels * len(kernel_sizes), channels, bias=False)
            if fusion == 'concat'
            else None
        )
        hidden = max(1, channels // reduction)
        self.channel_mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )
        self.spatial = nn.Conv2d(2, 1, spatial_kernel, padding=spatial_kernel // 2, bias=False)
        self.weight_input = weight == 'input'

    def _mix(self, x: Tensor) -> Tensor:
        maps = [scale(x) for scale in self.scales]
        return sum(maps) if self.fusion is None else self.fusion(torch.cat(maps, dim=1))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the sum of the spatially gated and the channel-gated map."""
        m = self._mix(x_NCHW)
        mean_NC11, peak_NC11 = m.mean((2, 3), keepdim=True), m.amax((2, 3), keepdim=True)
        channel_NC11 = (self.channel_mlp(mean_NC11) + self.channel_mlp(peak_NC11)).sigmoid()
        pooled_N2HW = torch.cat([m.mean(1, keepdim=True), m.amax(1, keepdim=True)], dim=1)
        spatial_N1HW = self.spatial(pooled_N2HW).sigmoid()
        weighted = x_NCHW if self.weight_input else m
        return weighted * spatial_N1HW + weighted * channel_NC11


def _check_msea(kernels: Sequence[int], fusion: str, weight: str) -> None:
    if any(k % 2 == 0 for k in kernels):
        raise ValueError(f'kernel sizes must be odd, got {list(kernels)}')
    check_choice('fusion', fusion, ('sum', 'concat'))
    check_choice('weight', weight, ('input', 'multiscale'))


@MODELS.register_module()
class InterestFlow(BaseModule):
    """Add the maps of the Exit and Middle flow to the Entry map (the paper's "interest flow").

    Args:
        in_channels: Channels of the Entry, Middle and Exit map.
        channels: Channels of the flow; ``None`` takes those of the Entry map.
        mode: ``'staged'``: the sum of Exit and Middle is upsampled by 2, then to the Entry size.
            ``'match'``: each sum is upsampled to the size of the next map. With the backbone's
            ``e3pre`` map as Middle and output stride 16, this upsamples twice by 2, as the text
            says.
        entry_lateral: Project the Entry map too; needed if ``channels`` differs from its channels.
        smooth: Put a 3x3 convolution + BN after the last sum, as in FPN.
        align_corners: As in ``torch.nn.functional.interpolate``.
        init_cfg: mmengine initialisation.

    Shape:
        Three maps in order of ascending stride to ``(N, channels, H, W)`` at the size of the first.

    Raises:
        ValueError: If there are not three maps, ``mode`` is unknown, or the channels differ without
            ``entry_lateral``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: Optional[int] = None,
        *,
        mode: str = 'staged',
        entry_lateral: bool = False,
        smooth: bool = False,
        align_corners: bool = True,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(in_channels) != 3:
            raise ValueError(
                f'in_channels must name three maps (Entry, Middle, Exit), got {list(in_channels)}'
            )
        check_choice('mode', mode, ('staged', 'match'))
        entry, middle, exit_ = in_channels
        self.channels = channels or entry
        if self.channels != entry and not entry_lateral:
            raise ValueError(
                f'channels={self.channels} is not the Entry width {entry}: set entry_lateral=True'
            )
        self.staged, self.align_corners = mode == 'staged', align_corners
        lateral: dict[str, Any] = dict(bias=False, relu=False)
        self.exit = conv_bn_relu(exit_, self.channels, **lateral)
        self.middle = conv_bn_relu(middle, self.channels, **lateral)
        self.entry = (
            conv_bn_relu(entry, self.channels, **lateral) if entry_lateral else nn.Identity()
        )
        self.smooth = (
            conv_bn_relu(self.channels, self.channels, 3, **lateral) if smooth else nn.Identity()
        )

    def forward(self, entry: Tensor, middle: Tensor, exit_: Tensor) -> Tensor:
        """Return the enriched Entry map."""
        y = upsample(self.exit(exit_), middle.shape[2:], self.align_corners) + self.middle(middle)
        if self.staged:
            y = upsample(y, [2 * n for n in y.shape[2:]], self.align_corners)
        y = upsample(y, entry.shape[2:], self.align_corners) + self.entry(entry)
        return self.smooth(y)


@MODELS.register_module()
class DeformASPP(ASPP):
    """ASPP of five deformable branches and image pooling, without the 1x1 branch (section 2.1).

    Args:
        in_channels: C of the input.
        channels: Channels of every branch and of the output.
        rates: Dilations; model a in the paper's Table 2 has (6, 12, 18).
        modulated: Use deformable convolution v2, which has a learnt mask.
        kwargs: Further arguments of :class:`ASPP`: ``attention=dict(type='GGCA')``,
            ``attention_on``, ``with_1x1``, ``pre_conv``, ``bias``.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        *,
        rates: Sequence[int] = (6, 8, 12, 18, 24),
        modulated: bool = False,
        with_1x1: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels,
            channels,
            rates=rates,
            with_1x1=with_1x1,
            branch_bias=False,
            conv_cfg=dict(type=DCNTorch, modulated=modulated),
            **kwargs,
        )


@MODELS.register_module()
class FMSIHead(BaseDecodeHead):
    """The FMSI-DeepLab decoder; its arguments give every row of the paper's Tables 2 and 3.

    Args:
        in_channels: Channels of the Entry, Middle and Exit map. Without ``flow``, any number of
            maps may stand between Entry and Exit.
        in_index: Indices of these backbone maps.
        channels: Channels of the context map and of the decoder.
        context: Context module; ``None`` takes :class:`DeformASPP` with :class:`GGCA` on its
            output.
        flow: Arguments of :class:`InterestFlow`; ``None`` leaves it out (row "Def-Conv").
        attention: Attention on the low-level map, built with ``channels``, for example
            ``dict(type='MSEA')``; ``None`` leaves it out.
        low_level_channels: Channels to which the low-level map is reduced.
        dropout: Element-wise dropout after the two decoder convolutions.
        mix_first: Compute the first decoder convolution before upsampling the context map, see
            :func:`fuse_upsampled`. This makes training on a CPU a fifth faster.
        with_cp: In training, recompute the decoder in the backward pass instead of keeping its
            activations: less memory, more time, the same gradients.
        kwargs: Arguments of mmseg's ``BaseDecodeHead``, such as ``num_classes``.

    Shape:
        Backbone maps to logits ``(N, K, h, w)`` at the Entry map's size.

    Raises:
        ValueError: If fewer than two maps are given, or not three with ``flow``.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: Sequence[int] = (0, 1, 2),
        *,
        channels: int = 256,
        context: Optional[dict] = None,
        flow: Optional[dict] = None,
        attention: Optional[dict] = None,
        low_level_channels: int = 48,
        dropout: Sequence[float] = (0.5, 0.1),
        align_corners: bool = True,
        mix_first: bool = False,
        with_cp: bool = False,
        **kwargs: Any,
    ) -> None:
        if len(in_channels) < 2:
            raise ValueError(
                f'in_channels needs at least two maps, Entry first, Exit last, got {in_channels}'
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
        context = context or dict(type='DeformASPP', attention=dict(type='GGCA'))
        width = (flow or {}).get('channels') or in_channels[0]
        # The baseline's parts come first, so one seed gives both networks the same initial weights.
        self.context = MODELS.build(dict(context, in_channels=in_channels[-1], channels=channels))
        self.low_level = conv_bn_relu(width, low_level_channels)
        self.fuse1, self.fuse2 = build_fusion(channels + low_level_channels, channels, dropout)
        self.flow = None
        if flow is not None:
            self.flow = InterestFlow(in_channels, align_corners=align_corners, **flow)
        self.attention = (
            MODELS.build(dict(attention, channels=width)) if attention else nn.Identity()
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits at the Entry map's size."""
        maps = channels_last_without_graph(self._transform_inputs(inputs))
        context = self.context(maps[-1])  # deformable ASPP, GGCA
        low = maps[0] if self.flow is None else self.flow(*maps)
        low = self.attention(low)  # MSEA
        refined = recompute(self._refine, self, context, low, when=self.with_cp)
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
