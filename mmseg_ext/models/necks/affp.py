"""Adaptive Feature Fusion and Pooling (AFFP), a context module, and its parts FSM, FRM and SPPM.

Source: Gu et al., "MFP-DeepLabv3+: A Multi-scale Feature Fusion and Parallel Attention Network for
Enhanced Bone Metastasis Segmentation", 2024, https://doi.org/10.18280/ts.410218, section 2.1. FSM
and FRM are the SRU and CRU of ScConv (CVPR 2023), SPPM is YOLO's spatial pyramid pooling.
Differs from the paper: nothing that it states. What it leaves open follows from its parameter
counts (``configs/mfp/README.md``), but for our choices: SPPM's kernels 5, 9 and 13 (YOLO's) and its
ReLU, FSM's 16 groups (ScConv's). FSM follows the text, FRM the public code of ScConv: there, FSM's
gate keeps the sigmoid where it is below one half (``gate='public'``).
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
    """Feature Selection Module: separate informative from poor values, then cross the halves.

    Group normalisation says how much a value stands out; its weights, normalised to sum one, say
    how much its channel matters. Where the sigmoid of the product reaches one half, the value is
    informative. Each half of the output adds one half's informative values to the other's rest.

    Args:
        channels: C, even.
        groups: Of the group normalisation.
        gate: ``'hard'`` is the paper's: the gate is 0 or 1, the affine parameters get no gradient
            and are frozen. ``'straight_through'`` has the same output; its gradient is that of
            the sigmoid, and the affine parameters learn. ``'public'`` is that of ScConv's code: a
            value that stands out goes to the informative half alone, every other one to both,
            times its sigmoid; the affine parameters learn by it.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)``, kept.

    Raises:
        ValueError: If ``channels`` is odd or no multiple of ``groups``, or ``gate`` is unknown.
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
        """Return the crossed map."""
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
        hard = (score >= 0).to(x_NCHW.dtype)  # a sigmoid reaches one half at zero
        if self.gate == 'hard':
            return hard
        soft = score.sigmoid()
        return hard + (soft - soft.detach()).to(hard.dtype)


@MODELS.register_module()
class FRM(BaseModule):
    """Feature Reconstruction Module: a wide view of one half, a cheap view of the other.

    Args:
        channels: C, a multiple of four.
        dilation: Of the 3x3 convolution.
        merge: ``'joint'``: the softmax that weighs the two results runs over all 2C pooled
            channels, as in ScConv's public code; ``'pair'``: over the two values of each channel.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)``, kept.

    Raises:
        ValueError: If ``channels`` is no multiple of four, or ``merge`` is unknown.
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
    """Spatial pyramid of max-pooling, which keeps the details that a global mean blurs.

    Args:
        channels: C.
        kernel_sizes: Of the poolings, odd and ascending, stride 1.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)``, kept.

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
        # Of two windows in a row, the maximum is that of one as wide as both less one.
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
    """ASPP with selected and reconstructed features, and a pyramid instead of the global mean.

    Args:
        in_channels: C of the input.
        channels: D, width of the output.
        rates: Dilation of each FRM.
        with_frm: Let FRM follow FSM; without it the branch is FSM alone (one row of Table 1).
        with_sppm: Let SPPM replace the global mean.
        gate: See :class:`FSM`.
        merge: See :class:`FRM`.
        kernel_sizes: See :class:`SPPM`.
        attention: A module built with ``channels=...`` and applied to the fused map.
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
