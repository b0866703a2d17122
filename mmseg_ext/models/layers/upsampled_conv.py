"""3x3 convolution of an upsampled map concatenated with a fine one, computed at the coarse size.

Bilinear upsampling and convolution are both linear. So the C channels are mixed at the coarse
pixels, once for each of the nine taps, and the D results are upsampled. Upsampling and the shift of
a tap by one pixel are separable: one matrix for the rows and one for the columns does both. At a
factor of four this takes about a seventh of the multiplications. It is exact up to rounding.
Shape letters: N image, C channel, D output channel, H, W fine size, h, w coarse size, K tap.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_of_upsampled(
    coarse_NChw: Tensor, fine_NBHW: Tensor, conv: nn.Conv2d, *, align_corners: bool
) -> Tensor:
    """Return ``conv(cat([upsample(coarse), fine], dim=1))``.

    Args:
        coarse_NChw: The map to upsample bilinearly to the size of ``fine_NBHW``.
        fine_NBHW: The map to concatenate.
        conv: A 3x3 convolution of C + B channels with stride, dilation and groups 1 and zero
            padding 1.
        align_corners: As in ``torch.nn.functional.interpolate``.

    Shape:
        ``(N, C, h, w)`` and ``(N, B, H, W)`` to ``(N, D, H, W)``.

    Raises:
        ValueError: If the convolution is of another kind, or does not fit the two maps.
    """
    width = coarse_NChw.shape[1]
    _check(conv, width + fine_NBHW.shape[1])
    weight_DCKK, weight_DBKK = conv.weight[:, :width], conv.weight[:, width:]
    fine = F.conv2d(fine_NBHW, weight_DBKK, conv.bias, padding=1)
    mixed = F.conv2d(coarse_NChw, weight_DCKK.permute(2, 3, 0, 1).reshape(-1, width, 1, 1))
    rows, columns = (
        _spread_matrix(n, size, align_corners, mixed)
        for n, size in zip(mixed.shape[2:], fine.shape[2:])
    )
    return fine + _spread(mixed, rows, columns)


def _check(conv: nn.Conv2d, channels: int) -> None:
    kind = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    if kind != ((3, 3), (1, 1), (1, 1), (1, 1), 1) or conv.padding_mode != 'zeros':
        raise ValueError(f'conv must be 3x3 with padding 1 and nothing else, got {conv}')
    if conv.in_channels != channels:
        raise ValueError(f'the maps have {channels} channels, conv takes {conv.in_channels}')


def _spread(mixed: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Sum over taps and coarse pixels by two batched matrix products, with channels innermost."""
    n, _, h, w = mixed.shape
    taps = mixed.permute(0, 2, 3, 1).reshape(n, h, w, 3, 3, -1)  # N h w Ky Kx D
    taps = taps.permute(0, 1, 3, 2, 4, 5).reshape(n, h * 3, w * 3, -1)  # N hKy wKx D
    wide = torch.matmul(columns, taps)  # N hKy W D
    tall = torch.matmul(rows, wide.flatten(2))  # N H WD
    return tall.reshape(n, rows.shape[0], columns.shape[0], -1).permute(0, 3, 1, 2)


def _spread_matrix(n: int, size: int, align_corners: bool, like: Tensor) -> Tensor:
    """Return the weights of (coarse pixel, tap) for each fine pixel: ``(size, n * 3)``."""
    eye = torch.eye(n, device=like.device)[None, None]
    dense = F.interpolate(eye, size=(size, n), mode='bilinear', align_corners=align_corners)
    padded = F.pad(dense[0, 0], (0, 0, 1, 1))  # a tap outside of the map reads zero
    shifted = [padded[k : k + size] for k in range(3)]
    return torch.stack(shifted, dim=2).reshape(size, n * 3).to(like.dtype)
