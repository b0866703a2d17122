"""Adaptive Feature Fusion and Pooling (AFFP), a context module, and its parts FSM, FRM and SPPM.

Source: Gu et al., "MFP-DeepLabv3+: A Multi-scale Feature Fusion and Parallel Attention Network for
Enhanced Bone Metastasis Segmentation", 2024, https://doi.org/10.18280/ts.410218, section 2.1. FSM
and FRM are the SRU and CRU of ScConv (CVPR 2023), SPPM is YOLO's spatial pyramid pooling.
Differs from the paper: nothing that it states. Most of what it leaves open follows from its
parameter counts (``configs/mfp/README.md``). The rest is our choice: SPPM's kernels 5, 9 and 13
(YOLO's) and its ReLU, FSM's 16 groups (ScConv's). FSM follows the text, FRM the public code of
ScConv. In that code, FSM's gate keeps the sigmoid where it is below one half (``gate='public'``).
Shape letters: N image, C channel, D output channel, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.words import check_choice
from ..layers.aspp import ImagePooling, conv_bn_relu
from ..layers.channel_order import channels_last_on_cpu
from ..layers.norms import check_batch_norm_input

_GATES = ('hard', 'straight_through', 'public')


@MODELS.register_module()
class FSM(BaseModule):
    """Feature Selection Module: separate informative values from the rest, then mix the halves.

    A value is informative where the sigmoid of a product reaches one half. The factors are the
    group-normalised value and the norm's weight of its channel, with weights normalised to sum to
    one. Each half of the output channels is the sum of one half's informative values and the other
    half's remaining values.

    Args:
        channels: C, even.
        groups: Number of groups of the group normalisation.
        gate: ``'hard'`` is the paper's: the gate is 0 or 1, so the affine parameters get no
            gradient and are frozen. ``'straight_through'`` has the same output but the gradient of
            the sigmoid, so the affine parameters learn. ``'public'`` is that of ScConv's code:
            informative values go only to the informative part; all others go to both parts,
            multiplied by their sigmoid. The affine parameters learn.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)``, unchanged.

    Raises:
        ValueError: If ``channels`` is odd or not a multiple of ``groups``, or ``gate`` is unknown.
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 16,
        gate: str = 'hard',
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if channels % 2 or channels % groups:
            raise ValueError(
                f'channels ({channels}) must be even and a multiple of groups ({groups})'
            )
        check_choice('gate', gate, _GATES)
        self.norm = nn.GroupNorm(groups, channels)
        self.gate = gate
        if gate == 'hard':
            self.norm.requires_grad_(False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the map with mixed halves."""
        rich, poor = self._split(x_NCHW)
        half = x_NCHW.shape[1] // 2
        return rich + torch.cat([poor[:, half:], poor[:, :half]], dim=1)

    def _split(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        weight_C = self.norm.weight / self.norm.weight.sum()
        score = self.norm(x_NCHW) * weight_C[:, None, None]
        if self.gate == 'public':
            soft = score.sigmoid()
            stands_out = soft > 0.5
            poor = soft.masked_fill(stands_out, 0) * x_NCHW
            return soft.masked_fill(stands_out, 1) * x_NCHW, poor
        rich = self._gate(score, x_NCHW) * x_NCHW
        return rich, x_NCHW - rich

    def _gate(self, score: Tensor, x_NCHW: Tensor) -> Tensor:
        hard = (score >= 0).to(x_NCHW.dtype)  # the sigmoid is one half at zero
        if self.gate == 'hard':
            return hard
        soft = score.sigmoid()
        return hard + (soft - soft.detach()).to(hard.dtype)


@MODELS.register_module()
class FRM(BaseModule):
    """Feature Reconstruction Module: dilated 3x3 path for half of the channels, 1x1 for the rest.

    Args:
        channels: C, a multiple of 4.
        dilation: Dilation of the 3x3 convolution.
        merge: How a softmax weights the two results: ``'joint'`` over all 2C pooled channels, as in
            ScConv's public code; ``'pair'`` over the two values of each channel.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)``, unchanged.

    Raises:
        ValueError: If ``channels`` is not a multiple of 4, or ``merge`` is unknown.
    """

    def __init__(
        self,
        channels: int,
        *,
        dilation: int = 1,
        merge: str = 'joint',
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if channels % 4:
            raise ValueError(f'channels must be a multiple of four, got {channels}')
        check_choice('merge', merge, ('joint', 'pair'))
        self.merge = merge
        width = channels // 4
        self.squeeze_up = nn.Conv2d(channels // 2, width, 1, bias=False)
        self.squeeze_low = nn.Conv2d(channels // 2, width, 1, bias=False)
        self.dilated = nn.Conv2d(width, channels, 3, padding=dilation, dilation=dilation)
        self.pointwise_up = nn.Conv2d(width, channels, 1, bias=False)
        self.pointwise_low = nn.Conv2d(width, channels - width, 1, bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the reconstructed map."""
        up, low = x_NCHW.chunk(2, dim=1)
        up, low = self.squeeze_up(up), self.squeeze_low(low)
        wide = self.dilated(up) + self.pointwise_up(up)
        cheap = torch.cat([self.pointwise_low(low), low], dim=1)
        weight_wide, weight_cheap = self._weights(wide, cheap)
        return weight_wide * wide + weight_cheap * cheap

    def _weights(self, wide: Tensor, cheap: Tensor) -> tuple[Tensor, Tensor]:
        means = [m.mean(dim=(2, 3), keepdim=True) for m in (wide, cheap)]
        if self.merge == 'joint':
            first, second = torch.cat(means, dim=1).softmax(dim=1).chunk(2, dim=1)
        else:
            first, second = torch.stack(means).softmax(dim=0)
        return first, second


@MODELS.register_module()
class SPPM(BaseModule):
    """Spatial pyramid max-pooling, which keeps details that a global mean would blur.

    Args:
        channels: C.
        kernel_sizes: Kernel sizes of the poolings (stride 1), odd and ascending.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)``, unchanged.

    Raises:
        ValueError: If the kernel sizes are not odd and ascending.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel_sizes: Sequence[int] = (5, 9, 13),
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        sizes = list(kernel_sizes)
        if not sizes or any(k % 2 == 0 or k < 3 for k in sizes) or sorted(set(sizes)) != sizes:
            raise ValueError(f'kernel_sizes must be odd, from 3 on and ascending, got {sizes}')
        # Two poolings of widths a and b in sequence equal one pooling of width a + b - 1.
        self.steps = [k - before + 1 for before, k in zip([1, *sizes], sizes)]
        self.enter = conv_bn_relu(channels, channels, bias=False)
        self.leave = conv_bn_relu(channels * (len(sizes) + 1), channels, bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the pooled and fused map."""
        check_batch_norm_input(self.enter[1], x_NCHW, self)
        maps = [channels_last_on_cpu(self.enter(x_NCHW))]
        for k in self.steps:
            maps.append(F.max_pool2d(maps[-1], k, stride=1, padding=k // 2))
        return self.leave(torch.cat(maps, dim=1))


@MODELS.register_module()
class AFFP(BaseModule):
    """ASPP whose branches are FSM and FRM, with max-pooling pyramid instead of the global mean.

    Args:
        in_channels: C of the input.
        channels: D, channels of the output.
        rates: Dilation of each FRM.
        with_frm: Put FRM after FSM; ``False`` leaves FSM alone (one row of Table 1).
        with_sppm: Replace the global mean by SPPM.
        gate: See :class:`FSM`.
        merge: See :class:`FRM`.
        kernel_sizes: See :class:`SPPM`.
        attention: A module, built with ``channels=...``, that is applied to the fused map.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, D, H, W)``.

    Raises:
        ValueError: If ``rates`` is empty, or a part refuses its arguments.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        *,
        rates: Sequence[int] = (6, 12, 18),
        with_frm: bool = True,
        with_sppm: bool = True,
        gate: str = 'hard',
        merge: str = 'joint',
        kernel_sizes: Sequence[int] = (5, 9, 13),
        attention: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if not rates:
            raise ValueError('rates is empty: give at least one dilation, for example (6, 12, 18)')
        branches: list[nn.Module] = [conv_bn_relu(in_channels, channels)]
        for rate in rates:
            refine = [FRM(in_channels, dilation=rate, merge=merge)] if with_frm else []
            branches.append(nn.Sequential(FSM(in_channels, gate=gate), *refine))
        if with_sppm:
            pyramid = SPPM(channels, kernel_sizes=kernel_sizes)
            branches.append(nn.Sequential(conv_bn_relu(in_channels, channels), pyramid))
        else:
            branches.append(ImagePooling(in_channels, channels))
        self.branches = nn.ModuleList(branches)
        self.fuse = conv_bn_relu(2 * channels + len(rates) * in_channels, channels)
        self.attention: nn.Module = nn.Identity()
        if attention is not None:
            self.attention = MODELS.build(dict(attention, channels=channels))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the fused map."""
        check_batch_norm_input(self.fuse[1], x_NCHW, self)
        y = torch.cat([branch(x_NCHW) for branch in self.branches], dim=1)
        return self.attention(self.fuse(y))
