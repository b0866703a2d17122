"""Parts of networks of shifted windows: attention, blocks, patch merging and expansion.

Source: "Swin Transformer", ICCV 2021, https://arxiv.org/abs/2103.14030; patch expansion:
"Swin-Unet", 2021, https://arxiv.org/abs/2105.05537.
Differs from them: maps of any size, padded to whole windows; attention masks the padding out. Where
the map is smaller than a window, the map is padded; the window does not shrink. Patches are
embedded and merged with the weights of mmseg's modules, in the channel order of its checkpoints,
but not with their padding and ``Unfold``, whose sizes exporters hardly follow. A recorded graph
computes the shift from the size of the map.
Shape letters: N image, C channel, H row, W column, B window, L pixel of a window.
"""

from collections.abc import Sequence
from typing import Union

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, Sequential
from mmseg.models.backbones.swin import WindowMSA
from mmseg.models.utils.embed import PatchEmbed, PatchMerging
from torch import Tensor, nn

from .grid_sampling import exporting

Shift = Sequence[Union[int, Tensor]]  # rows and columns; tensors in a recorded graph


def to_windows(x_NHWC: Tensor, window: int) -> Tensor:
    """Cut a map into windows, row by row: ``(N, H, W, C)`` to ``(N * B, L, C)``."""
    N, H, W, C = x_NHWC.shape
    x = x_NHWC.view(N, H // window, window, W // window, window, C)
    return _copied(x.transpose(2, 3)).view(-1, window * window, C)


def from_windows(x_BLC: Tensor, window: int, size: Sequence[int]) -> Tensor:
    """Undo :func:`to_windows` for maps of ``size`` = (H, W)."""
    H, W = size
    x = x_BLC.view(-1, H // window, W // window, window, window, x_BLC.shape[-1])
    return _copied(x.transpose(2, 3)).view(-1, H, W, x_BLC.shape[-1])


def _copied(x: Tensor) -> Tensor:
    """Copy, also where a view would do: that would depend on the number of windows in a graph."""
    return x.clone(memory_format=torch.contiguous_format)


def window_mask(size: Sequence[int], padded: Sequence[int], window: int, shift: Shift) -> Tensor:
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
    for real, full, step in zip(map(_last, size), padded, shift):
        source, last = torch.arange(full) + step, _last(full)
        wrapped.append((source > last).long())
        outside.append(source % (last + 1) > real)
    region_HW = 2 * wrapped[0][:, None] + wrapped[1]
    region_HW = region_HW.masked_fill(outside[0][:, None] | outside[1], 4)
    region_BL = to_windows(region_HW[None, :, :, None], window).squeeze(-1)
    apart_BLL = region_BL[:, :, None] != region_BL[:, None]
    return torch.zeros(apart_BLL.shape).masked_fill(apart_BLL, float('-inf'))


def _last(count: int) -> Tensor:
    """Return ``count - 1`` as a tensor; in a recorded graph, it stays a result of the size."""
    return torch.arange(count).max()


def roll_back(x_NHWC: Tensor, shift: Shift) -> Tensor:
    """Move a map up and to the left by ``shift``; what leaves it comes in on the other side."""
    known = [-step for step in shift if isinstance(step, int)]
    if len(known) == len(shift):
        return x_NHWC.roll(known, (1, 2)) if any(known) else x_NHWC
    for axis, step in zip((1, 2), shift):
        full = x_NHWC.shape[axis]
        source = (torch.arange(full) + step) % (_last(full) + 1)
        x_NHWC = x_NHWC.index_select(axis, source.to(x_NHWC.device))
    return x_NHWC


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
        padded = tuple((s + self.window - 1) // self.window * self.window for s in size)
        shift = self._shift(padded)
        x = F.pad(x_NHWC, (0, 0, 0, padded[1] - W, 0, padded[0] - H))
        mask = None
        if exporting() or any(shift) or padded != size:
            mask = window_mask(size, padded, self.window, shift).to(x)
        x = to_windows(roll_back(x, shift), self.window)
        x = from_windows(self.w_msa(x, mask), self.window, padded)
        return roll_back(x, [-step for step in shift])[:, :H, :W]

    def _shift(self, padded: Sequence[int]) -> Shift:
        """Return the shift of each side of the map: 0 where there is one window only."""
        if self.shift == 0:
            return [0, 0]
        if not exporting():
            return [0 if full == self.window else self.shift for full in padded]
        return [(_last(full) >= self.window).long() * self.shift for full in padded]


def embed_patches(embed: PatchEmbed, image_NCHW: Tensor) -> Tensor:
    """Embed an image whose sides are multiples of a patch: ``(N, C, H, W)`` to ``(N, h, w, C)``."""
    return embed.norm(embed.projection(image_NCHW).permute(0, 2, 3, 1))


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
        """Merge patches of two by two, if this stage is followed by another."""
        if self.downsample is None:
            return x_NHWC
        N, H, W, C = x_NHWC.shape
        h, w = (H + 1) // 2, (W + 1) // 2
        x = F.pad(x_NHWC, (0, 0, 0, 2 * w - W, 0, 2 * h - H)).view(N, h, 2, w, 2, C)
        x = x.permute(0, 1, 3, 5, 2, 4).reshape(N, h, w, 4 * C)  # as Unfold orders them
        return self.downsample.reduction(self.downsample.norm(x))
