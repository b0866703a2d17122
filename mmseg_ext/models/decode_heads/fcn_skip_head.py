"""FCN-32s, FCN-16s and FCN-8s: class scores of several depths, upsampled and added step by step.

Source: "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
https://arxiv.org/abs/1411.4038, and the authors' network definitions
(shelhamer/fcn.berkeleyvision.org, 44f93ec): scores start at zero, kernels are twice the stride, "at
once" scales pool4 and pool3 by 1e-2 and 1e-4.
Differs from it: the inner upsamplings are learnt, as the paper says; the release keeps them
bilinear (``learn_upsampling=False``). ``padding='same'`` adds no border of 100 pixels.
Differs from mmseg's ``FCNHead``: that one is two convolutions on one map.
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
# For each padding of VGG16: the image row at which a map of stride 1 begins (pad100 adds 99 more
# rows on top), and the pixels of stride 32 that fc6 loses at the top and left.
_FIRST_ROW = dict(same=0.0, pad100=-99.0)
_FIRST_FC = dict(same=0, pad100=3)


@MODELS.register_module()
class FCNSkipHead(BaseDecodeHead):
    """Score each map by a 1x1 convolution and add the upsampled scores of the deeper maps.

    The number of maps decides the network: image and fc7 give FCN-32s, pool4 between them gives
    FCN-16s, pool3 and pool4 between them give FCN-8s.

    Args:
        in_channels: C of the maps at ``in_index``: the image, of which only the size is used; then
            the skip maps in order of ascending stride, up to 16; then fc7.
        in_index: Indices of these backbone maps; ``None`` takes all.
        skip_scales: Factor of each skip map before it is scored; ``None`` takes 1. The "at once"
            networks have 1e-4 for pool3 and 1e-2 for pool4.
        learn_upsampling: Learn all upsamplings except the last; ``False`` keeps all bilinear.
        padding: The ``padding`` of the :class:`VGG16` backbone.
        kwargs: Arguments of mmseg's ``BaseDecodeHead``, such as ``num_classes``.

    Shape:
        Backbone maps to logits ``(N, K, H, W)`` at the image's size, which may be any.

    Raises:
        ValueError: If the number of maps is not 2 to 4, there is not one scale per skip,
            ``padding`` is unknown, the first map does not have the channels of the image, or the
            maps do not cover the image.
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
            dropout_ratio=0,  # VGG16 has its own dropout after fc6 and fc7
            align_corners=False,
            **kwargs,
        )
        self.stride = _DEEPEST >> len(skips)
        self.padding = padding
        # Deepest first, so that FCN-8s can load the weights of FCN-16s by name.
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
        if image.shape[1] != self.in_channels[0]:  # the logits are cropped to its size
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
        """Return the image row of a pooled map's first pixel: the middle of its window."""
        return _FIRST_ROW[self.padding] + (stride - 1) / 2


def _row_after(row: float, stride: int, factor: int) -> float:
    """Return the image row of pixel 0 after :class:`BilinearDeconv`, which adds a border."""
    return row - stride * (factor - 0.5) / factor


def _add(x: Tensor, row: float, skip: Tensor, skip_row: float, stride: int) -> tuple[Tensor, float]:
    """Add two maps of one stride where they overlap; return the sum and the row of its pixel 0."""
    ahead = round((row - skip_row) / stride)  # by so many pixels the skip begins earlier
    if ahead >= 0:
        return x + _cut(skip, ahead, x.shape[2:]), row
    return _cut(x, -ahead, skip.shape[2:]) + skip, skip_row


def _cut(x: Tensor, start: int, size: Sequence[int]) -> Tensor:
    return x[..., start : start + size[0], start : start + size[1]]
