"""Spatial Group-wise Enhance (SGE).

Source: "Spatial Group-wise Enhance", 2019, https://arxiv.org/abs/1905.09646: 64 groups, initial
scale 0 and shift 1.
Differs from it: nothing. The deviation divides by the number of pixels, as in the paper's
equations, so it is 0 for one pixel. The authors' code divides by one less, which gives NaN for one
pixel.
Shape letters: N image, C channel, G group, D = C / G, H row, W column.
"""

from typing import Optional

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from .moments import mean_and_deviation


@MODELS.register_module()
class SGE(BaseModule):
    """Gate each pixel of a channel group by its similarity to the group's mean vector.

    Args:
        channels: C, the same at input and output.
        groups: G, the number of channel groups; each has its own scale and shift.
        eps: Added to the deviation.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W; gate in (0, 1).

    Raises:
        ValueError: If ``channels`` is not a multiple of ``groups``.
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 64,
        eps: float = 1e-5,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if channels % groups:
            raise ValueError(
                f'channels ({channels}) must be a multiple of groups ({groups}): set groups'
            )
        self.groups, self.eps = groups, eps
        self.weight = nn.Parameter(torch.zeros(1, groups, 1, 1))
        self.bias = nn.Parameter(torch.ones(1, groups, 1, 1))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the gated map."""
        x_NGDHW = x_NCHW.unflatten(1, (self.groups, -1))
        like_NGHW = torch.einsum('ngdhw,ngd->nghw', x_NGDHW, x_NGDHW.mean(dim=(3, 4)))
        mean, std = (m[:, :, None, None] for m in mean_and_deviation(like_NGHW))
        gate = ((like_NGHW - mean) / (std + self.eps) * self.weight + self.bias).sigmoid()
        return (x_NGDHW * gate.to(x_NCHW.dtype).unsqueeze(2)).flatten(1, 2)
