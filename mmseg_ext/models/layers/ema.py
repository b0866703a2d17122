"""Efficient Multi-scale Attention (EMA).

An attention that the FMSI paper discusses for comparison; not part of FMSI.
Source: "Efficient Multi-Scale Attention Module with Cross-Spatial Learning", ICASSP 2023,
https://arxiv.org/abs/2305.13563, with the published code's 32 groups.
Differs from it: nothing. After an instance norm, the mean over pixels equals the norm's shift, so
it is not computed. The paper leaves the number of groups for a given number of channels open.
Shape letters: N image, C channel, B image and group, D channel of a group, H row, W column, L = HW.
"""

from typing import Optional

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from .norms import GroupNorm


@MODELS.register_module()
class EMA(BaseModule):
    """Gate each pixel of a channel group by two branches that weight each other's channels.

    Args:
        channels: C, the same at input and output.
        groups: Number of channel groups. All share the convolutions, which have C / ``groups``
            channels.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W; gate in (0, 1).

    Raises:
        ValueError: If ``channels`` is not a multiple of ``groups``.
    """

    def __init__(self, channels: int, *, groups: int = 32, init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if channels % groups:
            raise ValueError(
                f'channels ({channels}) must be a multiple of groups ({groups}): set groups'
            )
        width = channels // groups
        self.groups = groups
        self.conv1x1 = nn.Conv2d(width, width, 1)
        self.conv3x3 = nn.Conv2d(width, width, 3, padding=1)
        self.norm = GroupNorm(width, width)

    def _by_coordinate(self, x: Tensor) -> Tensor:
        """Gate each row and each column by its own mean."""
        rows_BDH, columns_BDW = x.mean(3), x.mean(2)
        both = self.conv1x1(torch.cat([rows_BDH, columns_BDW], dim=2).unsqueeze(3)).sigmoid()
        rows_BDH1, columns_BDW1 = both.split([x.shape[2], x.shape[3]], dim=2)
        return x * rows_BDH1 * columns_BDW1.transpose(2, 3)

    def _gate(self, x: Tensor) -> Tensor:
        local, gated = self.conv3x3(x), self.norm(self._by_coordinate(x))
        # Each branch's mean vector weights the other's channels.
        of_gated_1D = self.norm.bias.softmax(dim=0).unsqueeze(0)
        of_local_B1D = local.mean(dim=(2, 3)).softmax(dim=1).unsqueeze(1)
        score_B1L = of_gated_1D @ local.flatten(2) + of_local_B1D @ gated.flatten(2)
        return score_B1L.sigmoid()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the gated map."""
        n, c, h, w = x_NCHW.shape
        gate = self._gate(x_NCHW.reshape(n * self.groups, c // self.groups, h, w))
        gate = gate.to(x_NCHW.dtype).reshape(n, self.groups, 1, h, w)
        return (x_NCHW.unflatten(1, (self.groups, -1)) * gate).flatten(1, 2)
