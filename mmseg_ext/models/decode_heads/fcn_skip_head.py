"""FCN-32s, FCN-16s and FCN-8s: class scores of several depths, added while they are enlarged.

Source: "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
https://arxiv.org/abs/1411.4038, and the authors' network definitions
(shelhamer/fcn.berkeleyvision.org, 44f93ec): scores start at zero, kernels are twice the stride,
"at once" scales pool4 and pool3 by 1e-2 and 1e-4.
Differs from it: the inner upsamplings are learnt, as the paper says; the release keeps them as they
are (``learn_upsampling=False``). ``padding='same'`` has no border of 100 pixels.
Differs from mmseg's ``FCNHead``, which is two convolutions on one map.
Shape letters: N image, C channel, H row, W column, K class.
"""

from collections.abc import Sequence
from typing import Any, Optional

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.words import check_choice
from ..layers.bilinear_deconv import BilinearDeconv

_DEEPEST = 32  # stride of fc7
# By VGG16's padding: image row at which a map of stride 1 begins, as pad100 puts 99 more rows in
# front; and pixels of stride 32 that fc6 loses at its start.
_FIRST_ROW = dict(same=0.0, pad100=-99.0)
_FIRST_FC = dict(same=0, pad100=3)


@MODELS.register_module()
class FCNSkipHead(BaseDecodeHead):
    """Score each map by a 1x1 convolution, and add what is deeper to it, enlarged.

    The number of maps says which network it is: image and fc7 make FCN-32s; pool4 between them
    FCN-16s; pool3 and pool4 FCN-8s.

    Args:
        in_channels: C of the maps at ``in_index``: the image's, of which only the size is used; the
            skips', strides ascending, up to 16; fc7's.
        in_index: Which backbone maps those are; ``None`` is all of them.
        skip_scales: Factor of each skip before it is scored; ``None`` is 1. "At once": 1e-4 for
            pool3, 1e-2 for pool4.
        learn_upsampling: Learn all upsamplings but the last; otherwise all stay bilinear.
        padding: That of :class:`VGG16`.
        kwargs: Arguments of mmseg's ``BaseDecodeHead``, ``num_classes`` among them.

    Shape:
        Backbone maps to logits ``(N, K, H, W)`` at the image's size, any size.

    Raises:
        ValueError: If the number of maps is not 2 to 4, the scales are not one per skip,
            ``padding`` is unknown, the first map has not the channels of the image, or the maps do
            not cover it.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (3, 256, 512, 4096),
        *,
        in_index: Optional[Sequence[int]] = None,
        skip_scales: Optional[Sequence[float]] = None,
        learn_upsampling: bool = True,
        padding: str = 'same',
        **kwargs: Any,
    ) -> None:
        skips = list(in_channels[1:-1])
        if not 2 <= len(in_channels) <= 4:
            raise ValueError(
                'in_channels must name the image, up to two skips and fc7, got '
                f'{list(in_channels)}: 2 maps make FCN-32s, 3 FCN-16s, 4 FCN-8s'
            )
        check_choice('padding', padding, _FIRST_ROW)
        if skip_scales is not None and len(skip_scales) != len(skips):
            raise ValueError(f'skip_scales needs {len(skips)} factors, got {list(skip_scales)}')
        kwargs.setdefault('init_cfg', dict(type='Constant', layer='Conv2d', val=0.0))
        super().__init__(
            list(in_channels),
            in_channels[-1],
            in_index=list(range(len(in_channels)) if in_index is None else in_index),
            input_transform='multiple_select',
            dropout_ratio=0,  # VGG16 has its own behind fc6 and fc7
            align_corners=False,
            **kwargs,
        )
        self.stride = _DEEPEST >> len(skips)
        self.padding = padding
        # Deepest first, so that FCN-8s finds the weights of FCN-16s under the same names.
        self.skip_scales = tuple(reversed(skip_scales or [1.0] * len(skips)))
        classes = self.out_channels
        self.score_skips = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in skips[::-1])
        self.enlarge_skips = nn.ModuleList(
            BilinearDeconv(classes, stride=2, learnable=learn_upsampling) for _ in skips
        )
        self.enlarge = BilinearDeconv(classes, stride=self.stride)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits at the image's size, in single precision."""
        image, *skips, fc = self._transform_inputs(inputs)
        x, stride = self.cls_seg(fc), _DEEPEST
        row = self._first_row(stride) + stride * _FIRST_FC[self.padding]
        for skip, scale, score, enlarge in zip(
            skips[::-1], self.skip_scales, self.score_skips, self.enlarge_skips
        ):
            x, row, stride = enlarge(x), _row_after(row, stride, 2), stride // 2
            x, row = _add(x, row, score(skip * scale), self._first_row(stride), stride)
        self._check_cover(x, image)
        x, row = self.enlarge(x), _row_after(row, stride, stride)
        return _cut(x, round(-row), image.shape[2:]).float()

    def _check_cover(self, x: Tensor, image: Tensor) -> None:
        if image.shape[1] != self.in_channels[0]:  # its size cuts the result
            raise ValueError(
                f'the first map has {image.shape[1]} channels, not the {self.in_channels[0]} of '
                "the image: name 'image' first in VGG16's out, and its place first in in_index"
            )
        covered = tuple(n * self.stride for n in x.shape[2:])
        if any(have < want for have, want in zip(covered, image.shape[2:])):
            raise ValueError(
                f'the maps cover {covered} pixels of an image of {tuple(image.shape[2:])}: give '
                f'VGG16 ceil_mode=True and the padding of this head, {self.padding!r}'
            )

    def _first_row(self, stride: int) -> float:
        """Image row of the centre of pixel 0 of a map behind poolings: the middle of its window."""
        return _FIRST_ROW[self.padding] + (stride - 1) / 2


def _row_after(row: float, stride: int, factor: int) -> float:
    """Image row of pixel 0 after :class:`BilinearDeconv`, whose first tap hangs over the border."""
    return row - stride * (factor - 0.5) / factor


def _add(x: Tensor, row: float, skip: Tensor, skip_row: float, stride: int) -> tuple[Tensor, float]:
    """Add two maps of one stride where both are; return the sum and the row of its pixel 0."""
    ahead = round((row - skip_row) / stride)  # pixels by which the skip begins earlier
    if ahead >= 0:
        return x + _cut(skip, ahead, x.shape[2:]), row
    return _cut(x, -ahead, skip.shape[2:]) + skip, skip_row


def _cut(x: Tensor, start: int, size: Sequence[int]) -> Tensor:
    return x[..., start : start + size[0], start : start + size[1]]
