"""Swin-UNet: a U-Net with window attention in place of convolutions.

Source: "Swin-Unet: Unet-like Pure Transformer for Medical Image Segmentation", 2021,
https://arxiv.org/abs/2105.05537, and the layer list of HuCaoFighting/Swin-Unet (f48f623), which has
no licence, so no code of it is used. Blocks: "Swin Transformer", ICCV 2021,
https://arxiv.org/abs/2103.14030.
Differs from them: any image size works (theirs is fixed): the image is padded to a multiple of 32
and each map to whole windows. Attention masks the padding out; at a size that needs no padding the
graph equals theirs. Where the map is smaller than a window, the map is padded; the window does not
shrink. Patch merging is mmseg's, with the channel order of mmseg's Swin checkpoints. The encoder
also uses the names of these checkpoints, ``patch_embed`` and ``stages``.
Shape letters: N image, C channel, H row, W column, B window, L pixel of a window.
"""

from collections.abc import Sequence
from typing import Optional

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, ModuleList, Sequential
from mmseg.models.backbones.swin import WindowMSA
from mmseg.models.utils.embed import PatchEmbed, PatchMerging
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.padding import pad_to_multiple


def to_windows(x_NHWC: Tensor, window: int) -> Tensor:
    """Cut a map into windows, row by row: ``(N, H, W, C)`` to ``(N * B, L, C)``."""
    N, H, W, C = x_NHWC.shape
    x = x_NHWC.view(N, H // window, window, W // window, window, C)
    return x.transpose(2, 3).reshape(-1, window * window, C)


def from_windows(x_BLC: Tensor, window: int, size: Sequence[int]) -> Tensor:
    """Undo :func:`to_windows` for maps of ``size`` = (H, W)."""
    H, W = size
    x = x_BLC.view(-1, H // window, W // window, window, window, x_BLC.shape[-1])
    return x.transpose(2, 3).reshape(-1, H, W, x_BLC.shape[-1])


def window_mask(
    size: Sequence[int], padded: Sequence[int], window: int, shift: Sequence[int]
) -> Tensor:
    """Return the attention mask of each window, for a map rolled by ``-shift``.

    Two pixels may attend to each other if they were neighbours before the rolling wrapped some of
    them around, and if both belong to the map or both to the padding.

    Args:
        size: (H, W) of the map.
        padded: (H, W) with the padding below and on the right.
        window: Side of a window.
        shift: Rows and columns that the map was rolled by.

    Returns:
        ``(B, L, L)``: 0 where the first pixel may attend to the second, else minus infinity.
    """
    wrapped, outside = [], []
    for real, full, step in zip(size, padded, shift):
        source = torch.arange(full) + step
        wrapped.append((source >= full).long())
        outside.append(source % full >= real)
    region_HW = 2 * wrapped[0][:, None] + wrapped[1]
    region_HW[outside[0][:, None] | outside[1]] = 4
    region_BL = to_windows(region_HW[None, :, :, None], window).squeeze(-1)
    apart_BLL = region_BL[:, :, None] != region_BL[:, None]
    return torch.zeros(apart_BLL.shape).masked_fill(apart_BLL, float('-inf'))


class ShiftedWindowAttention(BaseModule):
    """Self-attention inside windows; shifted windows lie across those of the previous block.

    Args:
        channels: C.
        num_heads: Number of attention heads; must divide C.
        window: Side of a window in pixels of the map.
        shift: Rows and columns by which the windows move; 0 along a side that fits into one window.

    Shape:
        ``(N, H, W, C)``, unchanged.
    """

    def __init__(self, channels: int, *, num_heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.w_msa = WindowMSA(channels, num_heads, (window, window))

    def forward(self, x_NHWC: Tensor) -> Tensor:
        """Attend within each window."""
        H, W = size = tuple(x_NHWC.shape[1:3])
        below, right = (-s % self.window for s in size)
        shift = tuple(0 if s <= self.window else self.shift for s in size)
        x = F.pad(x_NHWC, (0, 0, 0, right, 0, below))
        padded = (H + below, W + right)
        mask = None
        if any((*shift, below, right)):
            mask = window_mask(size, padded, self.window, shift).to(x)
        x = x.roll((-shift[0], -shift[1]), (1, 2)) if any(shift) else x
        x = from_windows(self.w_msa(to_windows(x, self.window), mask), self.window, padded)
        x = x.roll(shift, (1, 2)) if any(shift) else x
        return x[:, :H, :W]


class SwinBlock(BaseModule):
    """Window attention, then an MLP per pixel, each with a residual connection."""

    def __init__(
        self, channels: int, *, num_heads: int, window: int, shift: int, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = ShiftedWindowAttention(
            channels, num_heads=num_heads, window=window, shift=shift
        )
        self.norm2 = nn.LayerNorm(channels)
        drop = dict(type='DropPath', drop_prob=drop_path)
        self.ffn = FFN(channels, 4 * channels, act_cfg=dict(type='GELU'), dropout_layer=drop)
        self.drop_path = DropPath(drop_path)

    def forward(self, x_NHWC: Tensor) -> Tensor:
        """Return a map of the same shape."""
        x = x_NHWC + self.drop_path(self.attn(self.norm1(x_NHWC)))
        return self.ffn(self.norm2(x), identity=x)


def _blocks(channels: int, num_heads: int, window: int, drop_paths: Sequence[float]) -> nn.Module:
    """Stack blocks; every second block shifts its windows by half a window."""
    return Sequential(  # mmengine's, as torch's would not call init_weights of the blocks
        *(
            SwinBlock(
                channels,
                num_heads=num_heads,
                window=window,
                shift=window // 2 if index % 2 else 0,
                drop_path=drop_path,
            )
            for index, drop_path in enumerate(drop_paths)
        )
    )


class PatchExpand(BaseModule):
    """Split the channels of each pixel into ``scale`` x ``scale`` pixels, then apply layer norm.

    Shape:
        ``(N, H, W, C)`` to ``(N, scale * H, scale * W, out_channels)``.
    """

    def __init__(self, channels: int, out_channels: int, *, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.expand = nn.Linear(channels, scale * scale * out_channels, bias=False)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, x_NHWC: Tensor) -> Tensor:
        """Return the larger map."""
        N, H, W, _ = x_NHWC.shape
        s = self.scale
        x = self.expand(x_NHWC).view(N, H, W, s, s, -1)
        return self.norm(x.transpose(2, 3).reshape(N, H * s, W * s, -1))


class DownStage(BaseModule):
    """Encoder stage: blocks, then patch merging, which halves H and W and doubles C."""

    def __init__(self, channels: int, blocks: nn.Module, *, merge: bool) -> None:
        super().__init__()
        self.blocks = blocks
        self.downsample = PatchMerging(channels, 2 * channels) if merge else None

    def forward(self, x_NHWC: Tensor) -> Tensor:
        """Return the map for the next stage."""
        x = self.blocks(x_NHWC)
        if self.downsample is None:
            return x
        x_NLC, size = self.downsample(x.flatten(1, 2), tuple(x.shape[1:3]))
        return x_NLC.unflatten(1, size)


class UpStage(BaseModule):
    """Decoder stage: concatenate the encoder's map, halve the channels, blocks, patch expansion."""

    def __init__(self, channels: int, blocks: nn.Module, *, expand: bool) -> None:
        super().__init__()
        self.fuse = nn.Linear(2 * channels, channels)
        self.blocks = blocks
        self.upsample = PatchExpand(channels, channels // 2, scale=2) if expand else nn.Identity()

    def forward(self, x_NHWC: Tensor, skip_NHWC: Tensor) -> Tensor:
        """Return the map for the next stage."""
        return self.upsample(self.blocks(self.fuse(torch.cat([x_NHWC, skip_NHWC], dim=-1))))


@MODELS.register_module()
class SwinUNet(BaseModule):
    """Encode by four stages of shifted windows, decode by their mirror, at full resolution.

    The skip connections start before the blocks of an encoder stage. The decoder has the same
    depths as the encoder. A classifier of 1x1 without bias (:class:`ConvSegHead`) completes the
    network: 27,170,052 parameters with 21 classes.

    Args:
        embed_dims: C of the first stage; each further stage has twice as many.
        depths: Blocks per stage. The default is that of the public configuration, which is called
            Swin-T although Swin-T itself has ``(2, 2, 6, 2)``.
        num_heads: Attention heads per stage.
        window_size: Side of a window in tokens.
        patch_size: Pixels per side of one token.
        in_channels: Channels of the image.
        drop_path_rate: Share of images that skip the last block of the deepest stage in training.
            The rate grows linearly from 0 at the first block. The paper states none, the public
            configuration has 0.2.
        init_cfg: mmengine initialisation, applied after the paper's.

    Shape:
        ``(N, in_channels, H, W)`` to one map ``(N, embed_dims, H, W)``, any H and W.

    Raises:
        ValueError: If ``depths`` and ``num_heads`` differ in length, or heads do not divide C.
    """

    def __init__(
        self,
        embed_dims: int = 96,
        *,
        depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: int = 7,
        patch_size: int = 4,
        in_channels: int = 3,
        drop_path_rate: float = 0.2,
        init_cfg: Optional[dict] = None,
    ) -> None:
        after = [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg or ())
        super().__init__([dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0), *after])
        widths = [embed_dims * 2**index for index in range(len(depths))]
        if len(num_heads) != len(depths) or any(w % n for w, n in zip(widths, num_heads)):
            raise ValueError(
                f'num_heads needs one divisor of each width {widths}, got {list(num_heads)}'
            )
        self.divisor = patch_size * 2 ** (len(depths) - 1)
        self.patch_embed = PatchEmbed(
            in_channels, embed_dims, kernel_size=patch_size, norm_cfg=dict(type='LN')
        )
        stages = list(zip(widths, num_heads, _drop_paths(depths, drop_path_rate)))
        last = len(stages) - 1
        self.stages = ModuleList(
            DownStage(width, _blocks(width, heads, window_size, rates), merge=index < last)
            for index, (width, heads, rates) in enumerate(stages)
        )
        self.norm = nn.LayerNorm(widths[-1])
        self.expand = PatchExpand(widths[-1], widths[-1] // 2, scale=2)
        self.up_stages = ModuleList(
            UpStage(width, _blocks(width, heads, window_size, rates), expand=index > 0)
            for index, (width, heads, rates) in reversed(list(enumerate(stages[:-1])))
        )
        self.norm_up = nn.LayerNorm(embed_dims)
        self.final_expand = PatchExpand(embed_dims, embed_dims, scale=patch_size)

    def forward(self, image_NCHW: Tensor) -> tuple[Tensor]:
        """Return the decoded map."""
        H, W = image_NCHW.shape[2:]
        x_NLC, size = self.patch_embed(pad_to_multiple(image_NCHW, self.divisor))
        x = x_NLC.unflatten(1, size)
        skips: list[Tensor] = []
        for stage in self.stages:
            skips.append(x)
            x = stage(x)
        x = self.expand(self.norm(x))
        for stage, skip in zip(self.up_stages, skips[-2::-1]):
            x = stage(x, skip)
        x = self.final_expand(self.norm_up(x))
        return (x.permute(0, 3, 1, 2)[..., :H, :W],)


def _drop_paths(depths: Sequence[int], rate: float) -> list[list[float]]:
    """List the drop-path rate of each block by stage, growing linearly from 0 to ``rate``."""
    total = sum(depths)
    rates = [rate * index / max(1, total - 1) for index in range(total)]
    return [[rates.pop(0) for _ in range(depth)] for depth in depths]
