"""DilateFormer: pixels attend to dilated 3x3 neighbourhoods while maps are large, then to all.

Source: "DilateFormer: Multi-Scale Dilated Transformer for Visual Recognition", IEEE Transactions on
Multimedia 2023, https://arxiv.org/abs/2302.01791, and the layer list of JIAOJIAYUASD/dilateformer
(99f85bb), which has no licence, so no code of it is used.
Differs from them: any image size works (theirs is fixed); each map that a head gets has a layer
norm, as in mmseg's ``SwinTransformer``: the public code is a classifier and norms the last map.
Neighbours outside of the map have keys and values of zero, as there: they take part in the softmax.
Shape letters: N image, C channel, H row, W column, A head, D channel of a head, K neighbour.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Optional, Union

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, ModuleList, Sequential
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.words import check_choice
from ..layers.drop_path import drop_path_rates

_EPS = 1e-6  # of layer norms
_ARCHS: dict[str, dict[str, Any]] = dict(
    tiny=dict(embed_dims=72, depths=(2, 2, 6, 2)),
    small=dict(embed_dims=72, depths=(3, 5, 8, 3)),
    base=dict(embed_dims=96, depths=(4, 8, 10, 3)),
)


def _neighbours(x: Tensor, kernel_size: int, dilation: int) -> Iterator[Tensor]:
    """List a map ``(..., H, W)`` as each neighbour of a pixel sees it, by rows; zeros outside."""
    H, W = x.shape[-2:]
    border = dilation * (kernel_size // 2)
    padded = F.pad(x, [border] * 4)
    for row in range(0, dilation * kernel_size, dilation):
        for column in range(0, dilation * kernel_size, dilation):
            yield padded[..., row : row + H, column : column + W]


def sliding_attention(
    query: Tensor, key: Tensor, value: Tensor, *, kernel_size: int, dilation: int
) -> Tensor:
    """Let each pixel attend to the dilated neighbourhood around it.

    Args:
        query: ``(N, A, D, H, W)``.
        key: The same shape.
        value: The same shape.
        kernel_size: Odd number of neighbours in a row, the pixel itself among them.
        dilation: Distance of neighbours in pixels.

    Returns:
        ``(N, A, D, H, W)``.
    """
    scaled = query * query.shape[2] ** -0.5
    scores = [(scaled * near).sum(2) for near in _neighbours(key, kernel_size, dilation)]
    weight_KNAHW = torch.stack(scores).softmax(0)
    out = torch.zeros_like(value)
    for weight, near in zip(weight_KNAHW, _neighbours(value, kernel_size, dilation)):
        out = out + weight.unsqueeze(2) * near
    return out


class MultiScaleDilatedAttention(BaseModule):
    """Attention to neighbourhoods (MSDA) of another dilation in each group of heads.

    Args:
        channels: C.
        num_heads: A; a multiple of the number of dilations.
        kernel_size: Side of a neighbourhood.
        dilations: Dilation of each group.

    Shape:
        ``(N, H, W, C)``, unchanged.
    """

    def __init__(
        self, channels: int, *, num_heads: int, kernel_size: int, dilations: Sequence[int]
    ) -> None:
        super().__init__()
        self.num_heads, self.kernel_size = num_heads, kernel_size
        self.dilations = tuple(dilations)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x_NHWC: Tensor) -> Tensor:
        """Attend in each group of heads, then mix them."""
        qkv = self.qkv(x_NHWC.permute(0, 3, 1, 2))
        parts = qkv.unflatten(
            1, (3, len(self.dilations), self.num_heads // len(self.dilations), -1)
        )
        groups = [
            sliding_attention(*group.unbind(1), kernel_size=self.kernel_size, dilation=dilation)
            for dilation, group in zip(self.dilations, parts.unbind(2))
        ]
        return self.proj(torch.cat(groups, 1).flatten(1, 2).permute(0, 2, 3, 1))


class GlobalAttention(BaseModule):
    """Attention of each pixel to all.

    Shape:
        ``(N, H, W, C)``, unchanged.
    """

    def __init__(self, channels: int, *, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x_NHWC: Tensor) -> Tensor:
        """Attend to all pixels."""
        qkv_NLC = self.qkv(x_NHWC).flatten(1, 2)
        query, key, value = qkv_NLC.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        out_NALD = F.scaled_dot_product_attention(query, key, value)
        return self.proj(out_NALD.transpose(1, 2).flatten(2).view_as(x_NHWC))


class DilateBlock(BaseModule):
    """Position by a depthwise convolution, attention, then an MLP per pixel, each added.

    Shape:
        ``(N, C, H, W)``, unchanged.
    """

    def __init__(self, channels: int, attention: nn.Module, *, drop_path: float) -> None:
        super().__init__()
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels, eps=_EPS)
        self.attn = attention
        self.norm2 = nn.LayerNorm(channels, eps=_EPS)
        drop = dict(type='DropPath', drop_prob=drop_path)
        self.ffn = FFN(channels, 4 * channels, act_cfg=dict(type='GELU'), dropout_layer=drop)
        self.drop_path = DropPath(drop_path)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return a map of the same shape."""
        x = (x_NCHW + self.position(x_NCHW)).permute(0, 2, 3, 1)
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return self.ffn(self.norm2(x), identity=x).permute(0, 3, 1, 2)


def _stem(in_channels: int, embed_dims: int) -> nn.Sequential:
    """Embed overlapping patches: four convolutions, the second and the last of stride 2."""
    widths = (in_channels, 16, 32, 64)
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(zip(widths, widths[1:])):
        conv = nn.Conv2d(before, after, 3, stride=1 + index % 2, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(after), nn.GELU()]
    return nn.Sequential(*layers, nn.Conv2d(64, embed_dims, 3, stride=2, padding=1, bias=False))


@MODELS.register_module()
class DilateFormer(BaseModule):
    """Return the maps of four stages; the first two attend to dilated neighbourhoods.

    Args:
        arch: ``'tiny'``, ``'small'`` or ``'base'``, or a dict with ``embed_dims`` and ``depths``.
        in_channels: Channels of the image.
        num_heads: Attention heads of each stage.
        kernel_size: Side of a neighbourhood, odd.
        dilations: Dilations of the neighbourhoods, which share the heads of a stage equally.
        drop_path_rate: Share of images that skip the last block in training; the rate grows
            linearly from 0 at the first block.
        out_indices: Stages whose maps are returned.
        init_cfg: mmengine initialisation, applied after the paper's.

    Shape:
        ``(N, in_channels, H, W)``, any H and W, to maps of ``embed_dims * 2**i`` channels at a
        stride of ``4 * 2**i``, sides rounded up.

    Raises:
        ValueError: If ``arch`` is unknown, heads do not divide the channels or dilations the heads,
            or ``kernel_size`` is even.
    """

    def __init__(
        self,
        arch: Union[str, dict] = 'tiny',
        *,
        in_channels: int = 3,
        num_heads: Sequence[int] = (3, 6, 12, 24),
        kernel_size: int = 3,
        dilations: Sequence[int] = (1, 2, 3),
        drop_path_rate: float = 0.1,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        init_cfg: Optional[dict] = None,
    ) -> None:
        after = [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg or ())
        super().__init__([dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0), *after])
        if isinstance(arch, str):
            check_choice('arch', arch, _ARCHS)
            arch = _ARCHS[arch]
        depths = arch['depths']
        widths = [arch['embed_dims'] * 2**index for index in range(len(depths))]
        _check(widths, num_heads, kernel_size, dilations)
        self.out_indices = tuple(out_indices)
        self.patch_embed = _stem(in_channels, widths[0])
        local = dict(kernel_size=kernel_size, dilations=dilations)
        self.stages = ModuleList(
            Sequential(
                *(
                    DilateBlock(width, _attention(index, width, heads, local), drop_path=rate)
                    for rate in rates
                )
            )
            for index, (width, heads, rates) in enumerate(
                zip(widths, num_heads, drop_path_rates(depths, drop_path_rate))
            )
        )
        self.merge = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.BatchNorm2d(2 * width))
            for width in widths[:-1]
        )
        for index in self.out_indices:
            self.add_module(f'norm{index}', nn.LayerNorm(widths[index], eps=_EPS))

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of ``out_indices``."""
        x, maps = self.patch_embed(x_NCHW), []
        for index, stage in enumerate(self.stages):
            x = stage(self.merge[index - 1](x) if index else x)
            if index in self.out_indices:
                norm = getattr(self, f'norm{index}')
                maps.append(norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous())
        return tuple(maps)


def _attention(stage: int, width: int, num_heads: int, local: dict) -> nn.Module:
    if stage < 2:
        return MultiScaleDilatedAttention(width, num_heads=num_heads, **local)
    return GlobalAttention(width, num_heads=num_heads)


def _check(
    widths: Sequence[int], num_heads: Sequence[int], kernel_size: int, dilations: Sequence[int]
) -> None:
    if len(num_heads) != len(widths) or any(w % n for w, n in zip(widths, num_heads)):
        raise ValueError(f'num_heads needs one divisor of each width {widths}, got {[*num_heads]}')
    if not dilations or any(heads % len(dilations) for heads in num_heads[:2]):
        raise ValueError(
            f'num_heads {[*num_heads[:2]]} of the first stages cannot be shared equally by '
            f'{len(dilations)} dilations'
        )
    if kernel_size % 2 == 0:
        raise ValueError(f'kernel_size must be odd, got {kernel_size}')
