"""DySample: upsampling by sampling at learnt points.

Source: Liu et al., "Learning to Upsample by Learning to Sample", ICCV 2023,
https://arxiv.org/abs/2308.15085, equations 1-5 and the two styles of its figure 3. Parameter names
and channel order are those of the authors' code, so its weights load. Only its buffer ``init_pos``,
the fixed initial positions, is unused: they are computed here.

Differs from it: only in the computation, not in the result. Shuffling pixels for the ``'pl'`` style
and back equals a 1x1 convolution of a reshaped map, so no pixel moves. :func:`sample` has two
implementations with the same result.
Shape letters: N image, C channel, G group, S scale factor, H, W coarse size; SH is S * H.
"""

from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, constant_init, normal_init
from mmengine.registry import MODELS
from torch import Tensor, nn

from ...core.words import check_choice
from .grid_sampling import exporting, grid_sample, traced


def sample(x_NCHW: Tensor, offset: Tensor, *, scale_factor: int, groups: int = 1) -> Tensor:
    """Upsample a map bilinearly at displaced sampling points.

    Coordinates and sampling are float32 or better; the result has the dtype of ``x_NCHW``. Points
    beyond the border, also at infinity, get the border value. A NaN displacement makes its own
    samples NaN.

    ``F.grid_sample`` does the work wherever a graph is recorded (training, ONNX, ``torch.compile``)
    and on CUDA. Its backward is not deterministic on CUDA, and its output is never channels_last.
    So under ``torch.use_deterministic_algorithms`` on CUDA, and for channels_last maps on the CPU
    without gradients, ``F.embedding_bag`` sums four weighted pixels instead: on one CPU thread, (1,
    256, 32, 32) at scale 4 takes 3 ms, against 7 ms for ``F.grid_sample`` and 15 ms for its change
    of layout. With gradients it is slower for maps of few channels: 20 against 8 ms for (1, 32, 64,
    64) at scale 2.

    Args:
        x_NCHW: The map; each group of C / G adjacent channels has its own points.
        offset: Displacements in pixels of ``x_NCHW``, ``(N, 2 * G * S * S, H, W)``. Channels are
            ordered by axis (column, row), group, fine row and fine column.
        scale_factor: S.
        groups: G.

    Returns:
        ``(N, C, S * H, S * W)``.
    """
    offset = offset.to(torch.promote_types(x_NCHW.dtype, torch.float32))
    if _gathers(x_NCHW, offset):
        return _by_gather(x_NCHW, offset, scale_factor, groups)
    return _by_grid(x_NCHW, offset, scale_factor, groups)


def _gathers(x: Tensor, offset: Tensor) -> bool:
    if traced() or exporting():
        return False
    if x.device.type != 'cpu':
        return torch.are_deterministic_algorithms_enabled()
    learns = torch.is_grad_enabled() and (x.requires_grad or offset.requires_grad)
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return last and not learns


def _by_grid(x: Tensor, offset: Tensor, s: int, groups: int) -> Tensor:
    n, c, h, w = x.shape
    offset = F.pixel_shuffle(offset, s).view(n, 2, groups, s * h, s * w)
    # grid_sample's coordinates go from -1 to 1 between the borders; a pixel is 2 / W wide
    columns = torch.add(_line(w * s, offset), offset[:, 0], alpha=2 / w)
    rows = torch.add(_line(h * s, offset)[:, None], offset[:, 1], alpha=2 / h)
    out = grid_sample(
        x.reshape(n * groups, c // groups, h, w),
        torch.stack((columns, rows), -1).flatten(0, 1),
        padding_mode='border',
    )
    return out.view(n, c, s * h, s * w).to(x.dtype)


def _line(count: int, like: Tensor) -> Tensor:
    """Return the centres of ``count`` pixels between -1 and 1."""
    return (2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1) / count - 1


def _by_gather(x: Tensor, offset: Tensor, s: int, groups: int) -> Tensor:
    n, c, h, w = x.shape
    offset = offset.reshape(n, 2, groups, s, s, h, w).permute(1, 0, 5, 3, 6, 4, 2)
    columns, rows = offset.reshape(2, n, s * h, s * w, groups)
    left, right_weight = _split(columns, s, w, 2)
    top, bottom_weight = _split(rows, s, h, 1)
    image = torch.arange(n, device=x.device, dtype=torch.int32).view(-1, 1, 1, 1) * (h * w)
    first = (image + top * w + left) * groups
    first = first + torch.arange(groups, device=x.device, dtype=torch.int32)
    # a map that is one pixel wide or high has no second column or row; its weight is zero
    right, down = (groups if w > 1 else 0), (groups * w if h > 1 else 0)
    both = right_weight * bottom_weight
    weights = (1 - right_weight - bottom_weight + both, right_weight - both, bottom_weight - both)
    out = F.embedding_bag(
        torch.stack((first, first + right, first + down, first + right + down), -1).view(-1, 4),
        x.to(offset.dtype).permute(0, 2, 3, 1).reshape(-1, c // groups),
        per_sample_weights=torch.stack((*weights, both), -1).view(-1, 4),
        mode='sum',
    )
    return out.view(n, s * h, s * w, c).permute(0, 3, 1, 2).to(x.dtype)


def _split(offset: Tensor, s: int, limit: int, dim: int) -> tuple[Tensor, Tensor]:
    """Return the first of the two pixels around each point on one axis and the second's weight."""
    centre = (torch.arange(s * limit, dtype=offset.dtype, device=offset.device) + 0.5) / s - 0.5
    shape = [-1 if i == dim else 1 for i in range(4)]
    point = (centre.view(shape) + offset).clamp(0, limit - 1)
    first = point.detach().floor().clamp(max=max(limit - 2, 0))
    return first.nan_to_num(0).int(), point - first  # a NaN goes into the weight, not the index


@MODELS.register_module(name='dysample')
class DySample(BaseModule):
    """Upsample by bilinear sampling at points displaced by a 1x1 convolution.

    With weights of zero it equals bilinear interpolation (``align_corners=False``); the initial
    weights are small. Registered in mmengine's registry, as mmcv's upsamplers are, so that
    ``build_upsample_layer`` finds it under any default scope.

    Args:
        channels: C, the same at input and output.
        scale_factor: S, an integer.
        style: ``'lp'`` (linear, then pixel shuffle) predicts the points of all fine pixels from the
            coarse one; ``'pl'`` (pixel shuffle, then linear) predicts each point from its own C /
            S^2 channels.
        groups: Number of channel groups that have their own points.
        dynamic_scope: Scale the displacements by half a learnt gate in (0, 1) instead of by the
            constant 0.25. The initial scale is 0.25 in both cases.
        init_cfg: mmengine initialisation. It does not change the convolutions of this layer, whose
            small initial weights belong to the method.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, S * H, S * W)``, any H and W.

    Raises:
        ValueError: If a setting is unknown, or ``channels`` is not divisible as the settings need.
    """

    def __init__(
        self,
        channels: int,
        *,
        scale_factor: int = 2,
        style: str = 'lp',
        groups: int = 4,
        dynamic_scope: bool = False,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if not isinstance(scale_factor, int) or scale_factor < 1:
            raise ValueError(f'scale_factor must be a positive integer, got {scale_factor!r}')
        check_choice('style', style, ('lp', 'pl'))
        if channels % groups:
            raise ValueError(f'channels ({channels}) must be a multiple of groups ({groups})')
        fine = scale_factor**2
        if style == 'pl' and channels % fine:
            raise ValueError(
                f"style 'pl' needs channels ({channels}) to be a multiple of scale_factor^2 "
                f"({fine}): take 'lp'"
            )
        self.channels, self.scale_factor = channels, scale_factor
        self.style, self.groups = style, groups
        width, points = (channels, fine) if style == 'lp' else (channels // fine, 1)
        self.offset = nn.Conv2d(width, 2 * groups * points, 1)
        self.scope = nn.Conv2d(width, 2 * groups * points, 1, bias=False) if dynamic_scope else None
        self._reset()

    def _reset(self) -> None:
        normal_init(self.offset, std=0.001)
        if self.scope is not None:
            constant_init(self.scope, 0)

    def init_weights(self) -> None:
        """Initialise as mmengine does, then reset the convolutions to their small weights."""
        super().init_weights()
        self._reset()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the upsampled map."""
        n, c, h, w = x_NCHW.shape
        view = x_NCHW
        if self.style == 'pl':  # split the channels among the fine pixels, which lie side by side
            view = x_NCHW.reshape(n, self.offset.in_channels, self.scale_factor**2 * h, w)
        # from here on in float32: bfloat16 is off by half a pixel at 128 columns
        offset = self.offset(view).to(torch.promote_types(x_NCHW.dtype, torch.float32))
        gate = 0.5 if self.scope is None else self.scope(view).to(offset.dtype).sigmoid()
        move = (0.5 * gate * offset).reshape(n, -1, h, w)
        return sample(x_NCHW, move, scale_factor=self.scale_factor, groups=self.groups)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return (
            f'{self.channels}, scale_factor={self.scale_factor}, style={self.style!r}, '
            f'groups={self.groups}, dynamic_scope={self.scope is not None}'
        )
