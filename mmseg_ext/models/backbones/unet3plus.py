"""UNet 3+: a U-Net whose decoder stages see the maps of all sizes.

Source: "UNet 3+: A Full-Scale Connected UNet for Medical Image Segmentation", ICASSP 2020,
https://arxiv.org/abs/2004.08790, and the layer list of ZJUGiveLab/UNet-Version (8ecd067), which has
no licence, so no code of it is used.
Differs from them: any image size works (theirs must be a multiple of 16): poolings round up, and an
enlarged map is cut to the size of its stage; at multiples of 16 the graph equals theirs. The
classification-guided module is left out: it decides whether the one organ is in the image.
Shape letters: N image, C channel, H row, W column.
"""

from collections.abc import Sequence
from typing import Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.conv_stack import conv_stack


def rescale(x_NCHW: Tensor, steps: int, size: Sequence[int]) -> Tensor:
    """Bring a map to another stage: enlarge it bilinearly and cut it, or take maxima.

    Args:
        x_NCHW: The map.
        steps: By how many stages the map is too coarse; negative, if it is too fine. A stage is a
            factor of 2.
        size: (H, W) of the stage.
    """
    if steps < 0:
        return F.max_pool2d(x_NCHW, 2**-steps, ceil_mode=True)
    if steps > 0:
        x_NCHW = F.interpolate(x_NCHW, scale_factor=2**steps, mode='bilinear')
    return x_NCHW[..., : size[0], : size[1]]


class FullScaleStage(BaseModule):
    """Decoder stage: bring all maps to its size, give each the same width, and mix them.

    Args:
        in_channels: C of the maps of all stages, the finest first.
        level: Index of this stage.
        width: Channels that each map gets.

    Shape:
        Maps of all stages to ``(N, width * stages, H, W)`` at the size of the map at ``level``.
    """

    def __init__(self, in_channels: Sequence[int], *, level: int, width: int) -> None:
        super().__init__()
        self.level = level
        self.skips = nn.ModuleList(conv_stack((channels, width)) for channels in in_channels)
        total = width * len(in_channels)
        self.mix = conv_stack((total, total))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the map of this stage."""
        size = maps[self.level].shape[2:]
        parts = [
            skip(rescale(x, index - self.level, size))
            for index, (skip, x) in enumerate(zip(self.skips, maps, strict=True))
        ]
        return self.mix(torch.cat(parts, dim=1))


@MODELS.register_module()
class UNet3Plus(BaseModule):
    """Map an image to the decoder's maps of all stages, for one head and those of deep supervision.

    Args:
        in_channels: Channels of the image.
        widths: Channels of each encoder stage, the deepest last.
        skip_channels: Channels that each map gets in a decoder stage; ``None`` takes those of the
            first encoder stage.
        init_cfg: mmengine initialisation, applied after that of the public code.

    Shape:
        ``(N, in_channels, H, W)``, any H and W, to one map for each stage, the coarsest first: the
        encoder's deepest, ``widths[-1]`` channels, then those of the decoder,
        ``len(widths) * skip_channels`` channels, down to stride 1.

    Raises:
        ValueError: If ``widths`` has fewer than two stages.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        skip_channels: Union[int, None] = None,
        init_cfg: Union[dict, Sequence[dict], None] = None,
    ) -> None:
        super().__init__(_public_init(init_cfg))
        if len(widths) < 2:
            raise ValueError(f'widths needs two stages or more, got {list(widths)}')
        width = widths[0] if skip_channels is None else skip_channels
        self.down = nn.ModuleList(
            conv_stack((before, after, after))
            for before, after in zip((in_channels, *widths), widths)
        )
        stages, decoded = len(widths), width * len(widths)
        self.up = nn.ModuleList(  # a stage gets what the deeper ones have decoded
            FullScaleStage(
                [*widths[: level + 1], *[decoded] * (stages - level - 2), widths[-1]],
                level=level,
                width=width,
            )
            for level in reversed(range(stages - 1))
        )

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of all stages, the coarsest first."""
        maps: list[Tensor] = []
        for convs in self.down:
            x_NCHW = convs(F.max_pool2d(x_NCHW, 2, ceil_mode=True) if maps else x_NCHW)
            maps.append(x_NCHW)
        for level, stage in zip(reversed(range(len(self.up))), self.up):
            maps[level] = stage(maps)
        return tuple(reversed(maps))


def _public_init(init_cfg: Union[dict, Sequence[dict], None]) -> list[dict]:
    after = [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg or ())
    return [
        dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu'),
        dict(type='Normal', layer='BatchNorm2d', mean=1.0, std=0.02),
        *after,
    ]
