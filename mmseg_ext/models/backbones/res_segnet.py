"""ResSegNet: a SegNet of three stages whose decoder adds the encoder's maps to the unpooled ones.

Source: Gao et al., "An Enhanced Encoder-Decoder Network Architecture for Reducing Information Loss
in Image Semantic Segmentation", section II.B, steps F1 to F4.
Differs from it: some of its formulas name a map twice or combine maps of different sizes. The sizes
it states settle most of these cases; every choice that is left is an argument (table in
``configs/segnet/README.md``). "Linear activation functions and batch normalization" is read as
SegNet's batch norm and ReLU.
Shape letters: N image, C channel, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.words import check_choice
from ..layers.conv_stack import conv_bn_pairs, conv_stack, msra
from ..layers.max_unpool import WAYS, max_pool, max_unpool


class _Fuse(nn.Module):
    """Join an unpooled map with the encoder map of the same shape."""

    def __init__(self, channels: int, mode: str) -> None:
        super().__init__()
        self.mode = mode
        if mode == 'concat1x1':
            self.project = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, unpooled: Tensor, encoded: Tensor) -> Tensor:
        if self.mode == 'none':
            return unpooled
        if self.mode == 'add':
            return unpooled + encoded
        return self.project(torch.cat([unpooled, encoded], dim=1))


@MODELS.register_module()
class ResSegNet(BaseModule):
    """Map an image to the decoder's maps, from coarse to fine; the last has the image's size.

    With E1 to E3 the encoder's maps and i1 to i3 the indices of their poolings, the stages are
    D3 = De(Fuse(Unpool(Pool(E3), i3), E3)), D2 = De(Fuse(Unpool(D3, i2), E2)) and the output
    Conc(Fuse(Unpool(D2, i1), E1), E1); De is a transposed convolution of stride 1, batch norm,
    ReLU.

    Args:
        in_channels: Channels of the image.
        widths: Channels of the three stages.
        convs_per_stage: 3x3 convolutions of each encoder stage. The paper draws boxes without
            numbers: ``(2, 2, 3)`` are VGG16's first three stages and can start from its weights,
            ``(1, 1, 1)`` is the text read literally.
        bottleneck_convs: 3x3 convolutions on the deepest map, F4. The default is 0, because the
            paper makes F4 "by down-sampling" alone.
        deconvs_per_stage: Transposed convolutions of the two decoder stages; the last of each
            reduces the channels. ``(1, 1)`` is the paper's single De, ``(3, 2)`` mirrors the
            encoder.
        fuse_mode: ``'add'`` is the only form that gives the stated sizes and has "minimal
            additional parameters". ``'concat1x1'`` concatenates and projects back by a 1x1
            convolution. ``'none'`` leaves the encoder's maps out, so the decoder gets only the
            pooling indices.
        last_fuse: Fuse at full size too, as in the formula; the text only has the concatenation. No
            effect if ``fuse_mode`` is ``'none'``.
        last_concat: Append E1 to the output. ``False`` with ``fuse_mode='none'`` leaves no skip
            connection.
        ceil_mode: See :func:`max_pool`.
        unpool: See ``way`` of :func:`max_unpool`.
        init_cfg: mmengine initialisation after Kaiming's, such as
            ``dict(type='VGG16BNPretrained', checkpoint=...)``.

    Shape:
        ``(N, in_channels, H, W)``, any size, to D3, D2 and the output: 128, 64 and 128 channels (64
        without ``last_concat``) at a quarter, half and all of the size, rounded up.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        widths: Sequence[int] = (64, 128, 256),
        convs_per_stage: Sequence[int] = (2, 2, 3),
        bottleneck_convs: int = 0,
        deconvs_per_stage: Sequence[int] = (1, 1),
        fuse_mode: str = 'add',
        last_fuse: bool = True,
        last_concat: bool = True,
        ceil_mode: bool = True,
        unpool: str = 'auto',
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(msra(init_cfg))
        _check_arguments(widths, convs_per_stage, deconvs_per_stage, bottleneck_convs, fuse_mode)
        check_choice('unpool', unpool, WAYS)
        self.ceil_mode, self.unpool, self.last_concat = ceil_mode, unpool, last_concat
        c1, c2, c3 = widths
        self.encoder = nn.ModuleList(
            conv_stack([before, *[after] * count])
            for before, after, count in zip((in_channels, c1, c2), widths, convs_per_stage)
        )
        self.bottleneck = conv_stack([c3] * (bottleneck_convs + 1))
        third, second = deconvs_per_stage
        self.de3 = conv_stack([*[c3] * third, c2], transposed=True)
        self.de2 = conv_stack([*[c2] * second, c1], transposed=True)
        self.fuse3, self.fuse2 = _Fuse(c3, fuse_mode), _Fuse(c2, fuse_mode)
        self.fuse1 = _Fuse(c1, fuse_mode if last_fuse else 'none')
        self.out_channels = (c2, c1, 2 * c1 if last_concat else c1)

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, ...]:
        """Return D3, D2 and the output."""
        encoded, switches, x = [], [], x_NCHW
        for convs in self.encoder:
            encoded.append(convs(x))
            x, where = max_pool(encoded[-1], ceil_mode=self.ceil_mode)
            switches.append(where)
        e1, e2, e3 = encoded
        x = max_unpool(self.bottleneck(x), switches[2], way=self.unpool)
        d3 = self.de3(self.fuse3(x, e3))
        d2 = self.de2(self.fuse2(max_unpool(d3, switches[1], way=self.unpool), e2))
        out = self.fuse1(max_unpool(d2, switches[0], way=self.unpool), e1)
        return d3, d2, torch.cat([out, e1], dim=1) if self.last_concat else out

    def vgg16_layers(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """List the encoder's convolutions with their norms, in VGG16's order."""
        return conv_bn_pairs(self.encoder)


def _check_arguments(
    widths: Sequence[int],
    convs: Sequence[int],
    deconvs: Sequence[int],
    bottleneck: int,
    fuse_mode: str,
) -> None:
    for name, values, length in (
        ('widths', widths, 3),
        ('convs_per_stage', convs, 3),
        ('deconvs_per_stage', deconvs, 2),
    ):
        if len(values) != length or min(values) < 1:
            raise ValueError(f'{name} needs {length} positive numbers, got {tuple(values)}')
    if bottleneck < 0:
        raise ValueError(f'bottleneck_convs must be 0 or more, got {bottleneck}')
    check_choice('fuse_mode', fuse_mode, ('add', 'none', 'concat1x1'))
