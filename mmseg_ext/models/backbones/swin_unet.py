"""Swin-UNet: a U-Net with window attention in place of convolutions.

Source: "Swin-Unet: Unet-like Pure Transformer for Medical Image Segmentation", 2021,
https://arxiv.org/abs/2105.05537, and the layer list of HuCaoFighting/Swin-Unet (f48f623), which has
no licence, so no code of it is used. Blocks: ``layers/swin.py``.
Differs from them: any image size works (theirs is fixed): the image is padded to a multiple of 32
and each map to whole windows, see there; at a size that needs no padding the graph equals theirs.
The encoder uses the names of mmseg's Swin checkpoints, ``patch_embed`` and ``stages``.
Shape letters: N image, C channel, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional

import torch
from mmengine.model import BaseModule, ModuleList
from mmseg.models.utils.embed import PatchEmbed
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.drop_path import drop_path_rates
from ..layers.padding import pad_to_multiple
from ..layers.swin import DownStage, PatchExpand, embed_patches, swin_blocks


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
        stages = list(zip(widths, num_heads, drop_path_rates(depths, drop_path_rate)))
        last = len(stages) - 1
        self.stages = ModuleList(
            DownStage(width, swin_blocks(width, heads, window_size, rates), merge=index < last)
            for index, (width, heads, rates) in enumerate(stages)
        )
        self.norm = nn.LayerNorm(widths[-1])
        self.expand = PatchExpand(widths[-1], widths[-1] // 2, scale=2)
        self.up_stages = ModuleList(
            UpStage(width, swin_blocks(width, heads, window_size, rates), expand=index > 0)
            for index, (width, heads, rates) in reversed(list(enumerate(stages[:-1])))
        )
        self.norm_up = nn.LayerNorm(embed_dims)
        self.final_expand = PatchExpand(embed_dims, embed_dims, scale=patch_size)

    def forward(self, image_NCHW: Tensor) -> tuple[Tensor]:
        """Return the decoded map."""
        H, W = image_NCHW.shape[2:]
        x = embed_patches(self.patch_embed, pad_to_multiple(image_NCHW, self.divisor))
        skips: list[Tensor] = []
        for stage in self.stages:
            skips.append(x)
            x = stage(x)
        x = self.expand(self.norm(x))
        for stage, skip in zip(self.up_stages, skips[-2::-1]):
            x = stage(x, skip)
        x = self.final_expand(self.norm_up(x))
        return (x.permute(0, 3, 1, 2)[..., :H, :W],)
