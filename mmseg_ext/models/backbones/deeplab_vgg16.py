"""The VGG16 of DeepLab-v2: five stages of which the last two keep the resolution.

Source: https://arxiv.org/abs/1606.00915, section 4.1.1, and the authors' network definition: 3x3
poolings with padding 1, strides 2, 2, 2, 1, 1 and sizes rounded up; dilation 2 in the fifth stage.
Differs from it: nothing.
"""

from typing import Any

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

# convolutions, channels, dilation and pooling stride of each stage
_STAGES = ((2, 64, 1, 2), (2, 128, 1, 2), (3, 256, 1, 2), (3, 512, 1, 1), (3, 512, 2, 1))


@MODELS.register_module()
class DeepLabVGG16(BaseModule):
    """VGG16's convolutions at output stride 8, without batch norm.

    Parameters have torchvision's names, ``features.0.weight`` to ``features.28.bias``, so that
    ``init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://vgg16_caffe')`` and torchvision's
    files load. Caffe's weights expect BGR values of 0 to 255 minus the mean; torchvision's expect
    RGB of zero mean and unit variance.

    Args:
        init_cfg: mmengine initialisation; ``None`` takes Kaiming's.

    Shape:
        ``(N, 3, H, W)`` to a tuple of one map, ``(N, 512, h, w)``. A side of n pixels becomes
        ``ceil((n - 1) / 2) + 1`` in each of three poolings, so that 8n + 1 pixels become n + 1.
    """

    def __init__(self, init_cfg: Any = None) -> None:
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d'))
        layers: list[nn.Module] = []
        width = 3
        for count, channels, dilation, stride in _STAGES:
            for _ in range(count):
                layers.append(nn.Conv2d(width, channels, 3, padding=dilation, dilation=dilation))
                layers.append(nn.ReLU(inplace=True))
                width = channels
            layers.append(nn.MaxPool2d(3, stride, padding=1, ceil_mode=True))
        self.features = nn.Sequential(*layers)

    def forward(self, x_N3HW: Tensor) -> tuple[Tensor, ...]:
        """Return the map after the fifth pooling."""
        return (self.features(x_N3HW),)
