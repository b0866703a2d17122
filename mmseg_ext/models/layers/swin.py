"""Parts of networks of shifted windows: attention, blocks, patch merging and expansion.

Source: "Swin Transformer", ICCV 2021, https://arxiv.org/abs/2103.14030; patch expansion:
"Swin-Unet", 2021, https://arxiv.org/abs/2105.05537.
Differs from them: maps of any size, padded to whole windows; attention masks the padding out. Where
the map is smaller than a window, the map is padded; the window does not shrink. Patch merging is
mmseg's, with the channel order of mmseg's Swin checkpoints.
Shape letters: N image, C channel, H row, W column, B window, L pixel of a window.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, Sequential
from mmseg.models.backbones.swin import WindowMSA
from mmseg.models.utils.embed import PatchMerging
from torch import Tensor, nn


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


def swin_blocks(
    channels: int, num_heads: int, window: int, drop_paths: Sequence[float]
) -> nn.Module:
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
        return self.merge(self.blocks(x_NHWC))

    def merge(self, x_NHWC: Tensor) -> Tensor:
        """Merge patches, if this stage is followed by another."""
        if self.downsample is None:
            return x_NHWC
        x_NLC, size = self.downsample(x_NHWC.flatten(1, 2), tuple(x_NHWC.shape[1:3]))
        return x_NLC.unflatten(1, size)
