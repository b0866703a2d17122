"""TransUNet: a convolutional stem, a vision transformer on its map, and a U-Net decoder.

Source: "TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation", 2021,
https://arxiv.org/abs/2102.04306, and the networks of Beckschen/TransUNet (``R50-ViT-B_16``; files
read at ee8accec and 26de0c4d). The stem is the ResNetV2 with standardised weights and group norm of
"Big Transfer (BiT)", ECCV 2020, https://arxiv.org/abs/1912.11370. The transformer is that of
https://arxiv.org/abs/2010.11929.
Differs from them: any image size works: the image is padded to a multiple of 16, and the position
embedding is resized bilinearly with aligned corners, as the public code resizes the pre-trained one
(mmseg and timm resize bicubically). Dropout also follows the attention, as in the vision
transformer's paper and mmseg's encoder layer; the public code has rate 0 there.
Shape letters: N image, C channel, H row, W column, L token.
"""

from collections.abc import Sequence
from typing import Any, Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.model.weight_init import trunc_normal_
from mmseg.models.backbones.vit import TransformerEncoderLayer
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.aspp import conv_bn_relu, upsample
from ..layers.grid_sampling import exporting
from ..layers.padding import pad_to_multiple

_LAYER_NORM = dict(type='LN', eps=1e-6)


class StdConv2d(nn.Conv2d):
    """Convolution whose weights have mean 0 and variance 1 for each output channel.

    mmcv's ``ConvWS2d`` divides by the unbiased standard deviation plus epsilon instead, so weights
    trained with one do not fit the other.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the standardised weights."""
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), keepdim=True, unbiased=False)
        weight = (self.weight - mean) * (variance + 1e-5).rsqrt()
        return self._conv_forward(x, weight, self.bias)


def _conv_norm(
    in_channels: int, out_channels: int, kernel_size: int = 1, *, stride: int = 1
) -> nn.Sequential:
    conv = StdConv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
    )
    return nn.Sequential(conv, nn.GroupNorm(32, out_channels, eps=1e-6))


class Bottleneck(BaseModule):
    """Residual block of 1x1, 3x3 and 1x1 convolutions with group norm; ReLU follows the sum.

    The projection's norm has one group per channel, as in the public code.
    """

    def __init__(self, in_channels: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        out_channels = 4 * width
        self.reduce = _conv_norm(in_channels, width)
        self.conv = _conv_norm(width, width, 3, stride=stride)
        self.restore = _conv_norm(width, out_channels)
        self.project: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            conv = StdConv2d(in_channels, out_channels, 1, stride, bias=False)
            self.project = nn.Sequential(conv, nn.GroupNorm(out_channels, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        y = self.restore(self.conv(self.reduce(x).relu()).relu())
        return (self.project(x) + y).relu()


class HybridStem(BaseModule):
    """The first three stages of a ResNet-50, the third with nine blocks.

    Args:
        in_channels: Channels of the image.
        width: Channels of the first convolution.
        depths: Blocks per stage.

    Shape:
        ``(N, in_channels, H, W)`` to maps at 1/2, 1/4, 1/8 and 1/16 of the size with 1, 4, 8 and 16
        times ``width`` channels; H and W multiples of 16.
    """

    def __init__(self, in_channels: int, width: int, depths: Sequence[int]) -> None:
        super().__init__()
        self.root = _conv_norm(in_channels, width, 7, stride=2)
        self.stages = nn.ModuleList()
        before = width
        for index, depth in enumerate(depths):
            inner = width * 2**index
            first = Bottleneck(before, inner, stride=2 if index else 1)
            before = 4 * inner
            rest = [Bottleneck(before, inner) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(first, *rest))

    def forward(self, image_NCHW: Tensor) -> list[Tensor]:
        """Return the maps, strides ascending."""
        maps = [self.root(image_NCHW).relu()]
        # Without padding this map is one row and one column short of a quarter of the image. The
        # public code runs the first stage like that, and pads only the map for the decoder.
        x = F.max_pool2d(maps[0], 3, stride=2)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        maps[1] = F.pad(maps[1], (0, 1, 0, 1))
        return maps


class UpBlock(BaseModule):
    """Double the size bilinearly, concatenate the stem's map, then two convolutions."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(in_channels, out_channels, 3, bias=False)
        self.conv2 = conv_bn_relu(out_channels, out_channels, 3, bias=False)

    def forward(self, x_NCHW: Tensor, skip_NCHW: Optional[Tensor] = None) -> Tensor:
        """Return the decoded map."""
        size = [2 * s for s in x_NCHW.shape[2:]]
        x = upsample(x_NCHW, size, align_corners=True)
        if skip_NCHW is not None:
            x = torch.cat([x, skip_NCHW], dim=1)
        return self.conv2(self.conv1(x))


@MODELS.register_module()
class TransUNet(BaseModule):
    """Encode by R50 and ViT-B/16, decode by cascaded upsampling with the stem's maps.

    A classifier of 3x3 (:class:`ConvSegHead`) completes the network. With 9 classes at 224x224 it
    has 105,277,081 parameters. The paper gives no count; an issue of its repository (#156) speaks
    of 105 million. The count was checked by layer-by-layer arithmetic; that of the stem and
    transformer (97,888,576) equals timm's ``vit_base_r50_s16_224`` without its class token.

    Args:
        img_size: Side of the training images in pixels; it sets the grid of the position embedding.
            Weights of another size load, with their position embedding resized.
        in_channels: Channels of the image.
        stem_width: Channels of the first convolution.
        stem_depths: Blocks of the stem's stages.
        embed_dims: C of a token.
        num_layers: Layers of the transformer.
        num_heads: Attention heads.
        decoder_channels: Channels after each doubling of the size; the last step has no skip
            connection.
        drop_rate: Dropout of the tokens and inside the transformer.
        init_cfg: mmengine initialisation, applied after that of the parts.

    Shape:
        ``(N, in_channels, H, W)`` to one map ``(N, decoder_channels[-1], H, W)``, any H and W.

    Raises:
        ValueError: If ``img_size`` is not a multiple of 16, or the numbers of stages and decoder
            blocks do not match.
    """

    def __init__(
        self,
        img_size: int = 224,
        *,
        in_channels: int = 3,
        stem_width: int = 64,
        stem_depths: Sequence[int] = (3, 4, 9),
        embed_dims: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        decoder_channels: Sequence[int] = (256, 128, 64, 16),
        drop_rate: float = 0.1,
        init_cfg: Optional[dict] = None,
    ) -> None:
        after = [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg or ())
        super().__init__([dict(type='Xavier', layer='Linear', distribution='uniform'), *after])
        self.divisor = 2 ** (len(stem_depths) + 1)
        if img_size % self.divisor or len(decoder_channels) != len(stem_depths) + 1:
            raise ValueError(
                f'img_size must be a multiple of {self.divisor}, got {img_size}, and '
                f'decoder_channels have one width more than stem_depths ({len(stem_depths)}), '
                f'got {list(decoder_channels)}'
            )
        self.stem = HybridStem(in_channels, stem_width, stem_depths)
        widths = [stem_width, *(4 * stem_width * 2**i for i in range(len(stem_depths)))]
        self.patch_embed = nn.Conv2d(widths[-1], embed_dims, 1)
        grid = img_size // self.divisor
        self.pos_embed = nn.Parameter(torch.zeros(1, embed_dims, grid, grid))
        self.drop = nn.Dropout(drop_rate)
        self.layers = nn.Sequential(
            *(_layer(embed_dims, num_heads, drop_rate) for _ in range(num_layers))
        )
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.enter = conv_bn_relu(embed_dims, widths[-2], 3, bias=False)
        skips = [*widths[-2::-1], 0]
        inputs = [widths[-2], *decoder_channels[:-1]]
        self.decoder = nn.ModuleList(
            UpBlock(width + skip, out) for width, skip, out in zip(inputs, skips, decoder_channels)
        )

    def init_weights(self) -> None:
        """Initialise the parts, then the position embedding, as the vision transformer does."""
        trunc_normal_(self.pos_embed, std=0.02)
        super().init_weights()

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # resized as in the forward pass, so that positions of another image size can be used
        key = f'{prefix}pos_embed'
        given = state_dict.get(key)
        if given is not None and given.shape[:-2] == self.pos_embed.shape[:-2]:
            state_dict = {**state_dict, key: _resize_positions(given, self.pos_embed.shape[2:])}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, image_NCHW: Tensor) -> tuple[Tensor]:
        """Return the decoded map."""
        H, W = image_NCHW.shape[2:]
        *skips, x = self.stem(pad_to_multiple(image_NCHW, self.divisor))
        x = self.enter(self.encode(x))
        for block, skip in zip(self.decoder, [*skips[::-1], None]):
            x = block(x, skip)
        return (x[..., :H, :W],)

    def encode(self, x_NCHW: Tensor) -> Tensor:
        """Run the transformer on the stem's map and return a map ``(N, embed_dims, H, W)``."""
        x = self.patch_embed(x_NCHW)
        size = x.shape[2:]
        x = x + _resize_positions(self.pos_embed, size)
        x_NLC = self.norm(self.layers(self.drop(x.flatten(2).transpose(1, 2))))
        return x_NLC.transpose(1, 2).unflatten(2, size)


def _layer(embed_dims: int, num_heads: int, drop_rate: float) -> nn.Module:
    return TransformerEncoderLayer(
        embed_dims,
        num_heads,
        4 * embed_dims,
        drop_rate=drop_rate,
        norm_cfg=_LAYER_NORM,
        attn_cfg=dict(),
        ffn_cfg=dict(),
    )


def _resize_positions(x_NCHW: Tensor, size: Sequence[int]) -> Tensor:
    """Resize a map of positions as ``ndimage.zoom(order=1)`` of the public code does."""
    if not exporting() and x_NCHW.shape[2:] == tuple(size):
        return x_NCHW
    return F.interpolate(x_NCHW, size=tuple(size), mode='bilinear', align_corners=True)
