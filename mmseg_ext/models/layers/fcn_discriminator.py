"""A fully convolutional discriminator: tells label maps from predictions, pixel by pixel.

Source: "Adversarial Learning for Semi-Supervised Semantic Segmentation", BMVC 2018,
https://arxiv.org/abs/1802.07934, section 3.2, after DCGAN.
Differs from it: nothing.
Shape letters: N image, K class, H row, W column.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Optional

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

KERNEL, STRIDE, PADDING = 4, 2, 1


@MODELS.register_module()
class FCNDiscriminator(BaseModule):
    """Say of each pixel of a label map whether it is true, as a logit.

    Five convolutions halve the size each, which an input is enlarged for if it is less than 32
    pixels high or wide; the last one's map is enlarged to the input's size.

    Args:
        in_channels: K, the classes.
        widths: Channels of all convolutions but the last one, which has one.
        slope: Of the leaky ReLU after each convolution but the last one.
        init_cfg: mmengine initialisation; ``None`` keeps torch's for convolutions.

    Shape:
        Probabilities or one-hot labels ``(N, K, H, W)`` to logits ``(N, 1, H, W)``, any H and W.

    Raises:
        ValueError: If a width is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        widths: Sequence[int] = (64, 128, 256, 512),
        slope: float = 0.2,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        channels = (in_channels, *widths, 1)
        if min(channels) < 1:
            raise ValueError(
                f'in_channels and widths must be positive, got {in_channels}, {widths}'
            )
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [
                nn.Conv2d(before, after, KERNEL, STRIDE, PADDING),
                nn.LeakyReLU(slope),
            ]
        self.layers = nn.Sequential(*layers[:-1])
        self.least = STRIDE ** (len(channels) - 1)

    def forward(self, maps_NKHW: Tensor) -> Tensor:
        """Judge label maps."""
        size = maps_NKHW.shape[2:]
        height, width = (max(0, self.least - length) for length in size)
        logits = self.layers(F.pad(maps_NKHW, (0, width, 0, height)))
        return F.interpolate(logits, size, mode='bilinear', align_corners=False)
