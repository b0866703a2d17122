"""TransDeepLab: DeepLabv3+ of shifted windows in place of convolutions.

Source: "TransDeepLab: Convolution-Free Transformer-based DeepLab v3+ for Medical Image
Segmentation", PRIME at MICCAI 2022, https://arxiv.org/abs/2208.00713, and the layer list of
rezazad68/TransDeepLab (c2069c0), which has no licence, so no code of it is used. Blocks:
``layers/swin.py``.
Differs from them: any image size works (theirs is fixed): the image is padded to a multiple of 16
and each map to whole windows, see there. Windows keep their size; the largest of the pyramid
covers the map of an image of 224 pixels only, as in the paper.
The encoder uses the names of mmseg's Swin checkpoints, ``patch_embed`` and ``stages``.
Shape letters: N image, C channel, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional

import torch
from mmengine.model import BaseModule, ModuleList, Sequential
from mmseg.models.utils.embed import PatchEmbed
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.cbam import CBAM
from ..layers.drop_path import drop_path_rates
from ..layers.padding import pad_to_multiple
from ..layers.swin import DownStage, PatchExpand, embed_patches, swin_blocks

_PATCH = 4  # pixels per side of a token: the two last expansions, by two each, undo it


class SwinSpatialPyramid(BaseModule):
    """Spatial pyramid of windows (SSPP): blocks of several window sizes side by side, then mixed.

    A branch's ``depth`` blocks shift every second time; that of the largest windows is one block.
    Channels and pixels of the joined maps are gated (cross-contextual attention) and added to them.

    Args:
        channels: C of the map.
        out_channels: C of the result.
        windows: Side of a window of each branch.
        depth: Blocks of a branch.
        num_heads: Attention heads of a block.
        drop_path: Share of images that skip a block in training.
        dropout: Share of values of the result that are zero in training.

    Shape:
        ``(N, H, W, C)`` to ``(N, H, W, out_channels)``.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        windows: Sequence[int],
        depth: int,
        num_heads: int,
        drop_path: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.branches = ModuleList(
            swin_blocks(
                channels, num_heads, window, [drop_path] * (1 if window == max(windows) else depth)
            )
            for window in windows
        )
        joined = len(windows) * channels
        self.attn = CBAM(joined, reduction=12, kernel_size=1, spatial_bias=True)
        self.proj = nn.Linear(joined, out_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_NHWC: Tensor) -> Tensor:
        """Return the mixed map."""
        x = torch.cat([branch(x_NHWC) for branch in self.branches], dim=-1)
        x = x + self.attn(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.dropout(self.proj(x).relu())


@MODELS.register_module()
class TransDeepLab(BaseModule):
    """Encode by three stages of shifted windows, a pyramid of windows, decode with one skip.

    A classifier of 1x1 without bias (:class:`ConvSegHead`) completes the network: 21,143,676
    parameters with 9 classes.

    Args:
        embed_dims: C of the first stage; each further stage has twice as many.
        depths: Blocks per stage of the encoder.
        num_heads: Attention heads per stage of the encoder.
        window_size: Side of a window in tokens, in encoder and decoder.
        pyramid_windows: Side of a window of each branch of the pyramid: its "levels". The default
            is the two levels of the paper's main result.
        pyramid_depth: Blocks of a branch; that of the largest windows has one.
        decoder_depth: Blocks of a decoder stage before the skip joins.
        last_depth: Blocks of the stage behind it.
        decoder_heads: Attention heads of pyramid and decoder.
        in_channels: Channels of the image.
        drop_path_rate: Share of images that skip a block of the pyramid and of the decoder, but
            not of its last stage, in training. In the encoder, it grows linearly from 0.
        dropout: Share of values behind the pyramid that are zero in training.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, in_channels, H, W)`` to one map ``(N, 2 * embed_dims, H, W)``, any H and W.

    Raises:
        ValueError: If ``depths`` and ``num_heads`` differ in length, heads do not divide C, or
            windows of the pyramid are not different.
    """

    def __init__(
        self,
        embed_dims: int = 96,
        *,
        depths: Sequence[int] = (2, 2, 6),
        num_heads: Sequence[int] = (3, 6, 12),
        window_size: int = 7,
        pyramid_windows: Sequence[int] = (7, 14),
        pyramid_depth: int = 2,
        decoder_depth: int = 2,
        last_depth: int = 6,
        decoder_heads: int = 3,
        in_channels: int = 3,
        drop_path_rate: float = 0.1,
        dropout: float = 0.1,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        widths = [embed_dims * 2**index for index in range(len(depths))]
        _check(widths, num_heads, decoder_heads, pyramid_windows)
        self.divisor = _PATCH * 2 ** (len(depths) - 1)
        self.patch_embed = PatchEmbed(
            in_channels, embed_dims, kernel_size=_PATCH, norm_cfg=dict(type='LN')
        )
        last = len(depths) - 1
        self.stages = ModuleList(
            DownStage(width, swin_blocks(width, heads, window_size, rates), merge=index < last)
            for index, (width, heads, rates) in enumerate(
                zip(widths, num_heads, drop_path_rates(depths, drop_path_rate))
            )
        )
        self.norm_low = nn.LayerNorm(embed_dims)
        self.pyramid = SwinSpatialPyramid(
            widths[-1],
            embed_dims,
            windows=pyramid_windows,
            depth=pyramid_depth,
            num_heads=decoder_heads,
            drop_path=drop_path_rate,
            dropout=dropout,
        )
        rates = [drop_path_rate] * decoder_depth
        self.up_stages = Sequential(
            *(_up_stage(embed_dims, decoder_heads, window_size, rates) for _ in range(last))
        )
        self.last_stage = _up_stage(2 * embed_dims, decoder_heads, window_size, [0.0] * last_depth)
        self.norm_up = nn.LayerNorm(2 * embed_dims)
        self.final_expand = PatchExpand(2 * embed_dims, 2 * embed_dims, scale=2)

    def forward(self, image_NCHW: Tensor) -> tuple[Tensor]:
        """Return the decoded map."""
        H, W = image_NCHW.shape[2:]
        x = embed_patches(self.patch_embed, pad_to_multiple(image_NCHW, self.divisor))
        maps = []
        for stage in self.stages:
            maps.append(stage.blocks(x))
            x = stage.merge(maps[-1])
        x = self.up_stages(self.pyramid(x))
        x = self.last_stage(torch.cat([self.norm_low(maps[0]), x], dim=-1))
        x = self.final_expand(self.norm_up(x))
        return (x.permute(0, 3, 1, 2)[..., :H, :W],)


def _up_stage(channels: int, heads: int, window: int, drop_paths: Sequence[float]) -> nn.Module:
    """Blocks, then a map of twice the size and equal channels."""
    return Sequential(
        swin_blocks(channels, heads, window, drop_paths), PatchExpand(channels, channels, scale=2)
    )


def _check(
    widths: Sequence[int], num_heads: Sequence[int], decoder_heads: int, windows: Sequence[int]
) -> None:
    if len(num_heads) != len(widths) or any(w % n for w, n in zip(widths, num_heads)):
        raise ValueError(f'num_heads needs one divisor of each width {widths}, got {[*num_heads]}')
    if widths[0] % decoder_heads:
        raise ValueError(f'decoder_heads must divide embed_dims {widths[0]}, got {decoder_heads}')
    if not windows or len(set(windows)) != len(windows):
        raise ValueError(f'pyramid_windows needs different sides, got {[*windows]}')
