"""VGG16 with outputs before and after each pooling, and fully connected layers as convolutions.

Source: "Very Deep Convolutional Networks", ICLR 2015, https://arxiv.org/abs/1409.1556, under the
names of torchvision's ``vgg16`` and ``vgg16_bn``. Fully connected layers as convolutions, and the
padding of 100 pixels at the input: "Fully Convolutional Networks for Semantic Segmentation", CVPR
2015, https://arxiv.org/abs/1411.4038, and the authors' network definition
(shelhamer/fcn.berkeleyvision.org, 44f93ec).
Differs from it: ``padding='same'`` keeps every map on the image's grid without a border of zeros.
Differs from mmcv's and mmpretrain's ``VGG``: it returns maps before a pooling, which U-Net needs,
and has fc6 and fc7.
Shape letters: N image, C channel, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional, Union

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.words import check_choice
from ..layers.dropout import Dropout

# channels and number of convolutions of each stage, which a 2x2 pooling ends
_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_TAPS = ('image', *(f'{kind}{i}' for i in range(1, 6) for kind in ('conv', 'pool')), 'fc7')
# padding of the first convolution and of fc6, whose kernel is 7x7
_PADDINGS = dict(same=(1, 3), pad100=(100, 0))


@MODELS.register_module()
class VGG16(BaseModule):
    """Map an image to the maps named in ``out``; deeper layers are not built.

    Parameters have torchvision's names; ``init_cfg=dict(type='VGG16Pretrained', checkpoint=...)``
    loads its files.

    Args:
        out: Names of the maps to return, in this order. ``'conv1'`` to ``'conv5'`` are the maps
            before a stage's pooling (strides 1 to 16), ``'pool1'`` to ``'pool5'`` those after it
            (strides 2 to 32), ``'fc7'`` that of the second fully connected layer (stride 32).
            ``'image'`` is the input itself, for heads that need its size.
        batch_norm: Put a batch norm after each convolution, as ``vgg16_bn`` does.
        padding: ``'same'``: the first convolution pads by 1, fc6 by 3. ``'pad100'``: by 100 and 0,
            as FCN's authors do, so that an image of any size reaches fc6. Maps then begin outside
            of the image; :class:`FCNSkipHead` takes this into account.
        ceil_mode: Round sizes up in the poolings, as Caffe does; torchvision rounds down.
        fc_channels: Channels of fc6 and fc7; ImageNet weights need 4096.
        dropout: Probability that an element is dropped after fc6 and fc7.
        init_cfg: mmengine initialisation, applied after Kaiming's.

    Shape:
        ``(N, 3, H, W)`` to one ``(N, C, h, w)`` per name; C is 64, 128, 256, 512, 512 by stage.

    Raises:
        ValueError: If a name in ``out`` or ``padding`` is unknown.
    """

    def __init__(
        self,
        out: Sequence[str] = ('pool5',),
        *,
        batch_norm: bool = False,
        padding: str = 'same',
        ceil_mode: bool = False,
        fc_channels: int = 4096,
        dropout: float = 0.5,
        init_cfg: Union[dict, Sequence[dict], None] = None,
    ) -> None:
        super().__init__(_kaiming(init_cfg))
        unknown = [name for name in out if name not in _TAPS]
        if unknown or not out:
            raise ValueError(f'out must name maps among {", ".join(_TAPS)}, got {list(out)}')
        check_choice('padding', padding, _PADDINGS)
        self.out, self.batch_norm = tuple(out), batch_norm
        self.pad, fc_pad = _PADDINGS[padding]
        deepest = max(_TAPS.index(name) for name in out)
        layers: list[nn.Module] = []
        self.stops: list[tuple[str, int]] = []  # layer after which each named map is complete
        width = 3
        for index, (channels, count) in enumerate(_STAGES[: (min(deepest, 10) + 1) // 2], 1):
            for _ in range(count):
                pad = 1 if layers else self.pad
                layers += _conv(width, channels, pad, batch_norm=batch_norm)
                width = channels
            self.stops.append((f'conv{index}', len(layers)))
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=ceil_mode))
            self.stops.append((f'pool{index}', len(layers)))
        self.features = nn.Sequential(*layers)
        self.classifier: Optional[nn.Sequential] = None
        if 'fc7' in out:
            self.classifier = nn.Sequential(
                nn.Conv2d(width, fc_channels, 7, padding=fc_pad),
                nn.ReLU(inplace=True),
                Dropout(dropout),
                nn.Conv2d(fc_channels, fc_channels, 1),
                nn.ReLU(inplace=True),
                Dropout(dropout),
            )

    def forward(self, x_N3HW: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of ``out``."""
        x, start, maps = x_N3HW, 0, {'image': x_N3HW}
        for name, stop in self.stops:
            x = self.features[start:stop](x)
            maps[name], start = x, stop
        if self.classifier is not None:
            maps['fc7'] = self.classifier(x)
        return tuple(maps[name] for name in self.out)


def _conv(width: int, channels: int, padding: int, *, batch_norm: bool) -> list[nn.Module]:
    norm = [nn.BatchNorm2d(channels)] if batch_norm else []
    return [nn.Conv2d(width, channels, 3, padding=padding), *norm, nn.ReLU(inplace=True)]


def _kaiming(init_cfg: Union[dict, Sequence[dict], None]) -> list[dict]:
    after = [init_cfg] if isinstance(init_cfg, dict) else init_cfg
    kaiming = dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu')
    return [kaiming, *(after or ())]
