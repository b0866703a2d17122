"""ResNet that also returns its stem's map, for U-Net's decoder.

Source: bubbliiiing/unet-pytorch (5bcd6b4), its ResNet-50.
Differs from mmseg's ``ResNet``: the map before the pooling is returned first, and the pooling has
no padding and rounds sizes up. Parameters and their names are the same.
Shape letters: N image, C channel, H row, W column.
"""

from typing import Any

from mmseg.models.backbones import ResNet
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class ResNetWithStem(ResNet):
    """Map an image to five maps; same arguments as mmseg's ``ResNet``.

    Shape:
        ``(N, 3, H, W)`` to maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size: first the stem's map
        with 64 channels, then one map per stage.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=0, ceil_mode=True)

    def forward(self, x_N3HW: Tensor) -> tuple[Tensor, ...]:
        """Return the maps, strides ascending."""
        x = self.relu(self.norm1(self.conv1(x_N3HW)))
        maps = [x]
        x = self.maxpool(x)
        for name in self.res_layers:
            x = getattr(self, name)(x)
            maps.append(x)
        return tuple(maps)
