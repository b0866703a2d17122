"""U-Net as published: convolutions without padding, and skip maps cropped to fit.

Source: "U-Net", MICCAI 2015, https://arxiv.org/abs/1505.04597: figure 1, the overlap-tile strategy
with mirrored borders, Gaussian weights by fan-in, dropout at the end of the contracting path.
Differs from it: nothing known. The paper has dropout "at the end of the contracting path"; its
probability and places (the last two stages) are our reading. ``batch_norm`` is an addition.
Differs from mmseg's ``UNet``: that one pads every convolution and has batch norms.
Shape letters: N image, C channel, H row, W column.
"""

from collections.abc import Sequence
from typing import Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.words import check_choice
from ..layers.dropout import Dropout

_MIRROR = ('never', 'test', 'always')


def crop_centre(x: Tensor, size: Sequence[int]) -> Tensor:
    """Crop H and W to ``size`` around the centre; an odd pixel is cut off at the end."""
    top, left = ((x.shape[dim] - n) // 2 for dim, n in zip((-2, -1), size))
    return x[..., top : top + size[0], left : left + size[1]]


def mirror(x_NCHW: Tensor, top: int, left: int, size: Sequence[int]) -> Tensor:
    """Pad a map by reflection without repeating the border, as often as the size needs it.

    Args:
        x_NCHW: Map.
        top: Rows to add above.
        left: Columns to add on the left.
        size: H and W of the result.
    """
    for dim, before, length in zip((-2, -1), (top, left), size):
        last = x_NCHW.shape[dim] - 1
        position = torch.arange(-before, length - before, device=x_NCHW.device)
        # a tensor, as exporters to ONNX take no open size as a number to divide by
        period = torch.full_like(position, max(2 * last, 1))
        index = (position % period - last).abs()  # distance to the last pixel
        x_NCHW = x_NCHW.index_select(dim, last - index)
    return x_NCHW


@MODELS.register_module()
class UnpaddedUNet(BaseModule):
    """Map an image to the last map of U-Net's expansive path.

    Args:
        in_channels: Channels of the image.
        widths: Channels of each stage, the deepest last; the default is the paper's.
        dropout: Probability that an element is dropped, at the end of the last two encoder stages.
        batch_norm: Put a batch norm after each 3x3 convolution. The paper has none; without it,
            training from random weights needs a carefully chosen learning rate.
        mirror: When to pad the image by reflection, so that the map has the image's size:
            ``'test'``, ``'always'`` or ``'never'``. With ``'test'``, the training loss covers only
            the centre of a tile (:class:`UnpaddedSegHead` crops the labels).
        init_cfg: mmengine initialisation, applied after the paper's.

    Shape:
        ``(N, in_channels, H, W)`` to a tuple of one map ``(N, widths[0], h, w)``. With reflection,
        h equals H for any H. Without it and with five stages, H must be ``16 n + 124`` and h is ``H
        - 184``; for example, 572 becomes 388.

    Raises:
        ValueError: If an argument is out of range, or the size does not fit.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        dropout: float = 0.5,
        batch_norm: bool = False,
        mirror: str = 'test',
        init_cfg: Union[dict, Sequence[dict], None] = None,
    ) -> None:
        super().__init__(_gaussian(init_cfg))
        if len(widths) < 2:
            raise ValueError(f'widths needs two stages or more, got {list(widths)}')
        check_choice('mirror', mirror, _MIRROR)
        self.mirror = mirror
        self.down = nn.ModuleList(
            _two_convs(before, after, batch_norm)
            for before, after in zip((in_channels, *widths), widths)
        )
        last_two = range(len(widths) - 2, len(widths))
        self.drop = nn.ModuleList(
            Dropout(dropout) if i in last_two else nn.Identity() for i in range(len(widths))
        )
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(deep, width, 2, stride=2) for width, deep in zip(widths, widths[1:])
        )
        self.up = nn.ModuleList(_two_convs(2 * width, width, batch_norm) for width in widths[:-1])

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, ...]:
        """Return the last map, in a tuple."""
        if self.mirror == 'always' or (self.mirror == 'test' and not self.training):
            size = x_NCHW.shape[2:]
            return (crop_centre(self._valid(self._extend(x_NCHW)), size),)
        return (self._valid(x_NCHW),)

    def _valid(self, x: Tensor) -> Tensor:
        self._check_size(x)
        skips: list[Tensor] = []
        for convs, drop in zip(self.down, self.drop):
            x = drop(convs(F.max_pool2d(x, 2) if skips else x))
            skips.append(x)
        for skip, enlarge, convs in zip(skips[-2::-1], reversed(self.enlarge), reversed(self.up)):
            x = enlarge(x)
            x = convs(torch.cat([crop_centre(skip, x.shape[2:]), x], dim=1))
        return x

    def sizes(self, deepest: int) -> tuple[int, int]:
        """Return the side of the image and of the output for a deepest map of side ``deepest``."""
        before = after = deepest
        for _ in self.enlarge:
            before, after = 2 * (before + 4), 2 * after - 4
        return before + 4, after

    def _extend(self, x: Tensor) -> Tensor:
        """Pad the image by reflection so that the map covers it and no pooling gets an odd size."""
        step = 2 ** len(self.enlarge)
        border = self.sizes(step)[0] - self.sizes(step)[1]
        extent = [self._next_size(n + border) for n in x.shape[2:]]
        top, left = ((new - n) // 2 for new, n in zip(extent, x.shape[2:]))
        return mirror(x, top, left, extent)

    def _next_size(self, length: int) -> int:
        """Return the smallest side of at least ``length`` that every pooling can halve."""
        step, smallest = 2 ** len(self.enlarge), self.sizes(self._smallest())[0]
        # no division of a negative number: graphs of ONNX round it the other way
        return smallest + (max(length - smallest, 0) + step - 1) // step * step

    def _smallest(self) -> int:
        """Return the smallest side of the deepest map that leaves one output pixel or more."""
        deepest = 1
        while self.sizes(deepest)[1] < 1:
            deepest += 1
        return deepest

    def _check_size(self, x: Tensor) -> None:
        wrong = [n for n in x.shape[2:] if self._next_size(n) != n]
        if wrong:
            near = self._next_size(wrong[0])
            step = 2 ** len(self.enlarge)
            raise ValueError(
                f'an image of {tuple(x.shape[2:])} pixels does not fit convolutions without '
                f'padding: sides must be {near} or differ from it by multiples of {step}; '
                "or set mirror='always', which takes any size"
            )


def _two_convs(in_channels: int, channels: int, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (in_channels, channels):
        norm = [nn.BatchNorm2d(channels)] if batch_norm else []
        layers += [nn.Conv2d(width, channels, 3), *norm, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _gaussian(init_cfg: Union[dict, Sequence[dict], None]) -> list[dict]:
    after = [init_cfg] if isinstance(init_cfg, dict) else init_cfg
    kaiming = dict(type='Kaiming', nonlinearity='relu')
    return [
        dict(kaiming, layer='Conv2d', mode='fan_in'),
        # torch swaps the channels of a transposed kernel, so its "fan-out" is the real fan-in
        dict(kaiming, layer='ConvTranspose2d', mode='fan_out'),
        *(after or ()),
    ]
