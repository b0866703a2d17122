"""The class of each pixel from logits of a smaller size, without logits of the full size.

Bilinear interpolation gives each pixel a weighted mean of four neighbours, and the weights are not
negative. If one class is the highest at all four, it is the highest of the mean. So only pixels
between neighbours of different classes are interpolated. Where the scale is a whole number, the
pixels between four neighbours have the same weights everywhere: one matrix product gives them all.

The result is that of ``F.interpolate(...).argmax(1)``. It can differ only where two classes are
equal up to rounding, and logits of half precision are interpolated in float32.
Shape letters: N image, K class, h w and H W sizes before and after, M square of four neighbours
that differ, Q pixel of a square, P pixel.
"""

from typing import NamedTuple, Optional

import torch
from torch import Tensor

from .highest import highest

_VALUES = 1 << 18  # float32 numbers interpolated at once: they stay in the cache
_MOST_MIXED = 0.3  # share of pixels above which all are interpolated, row by row


class _Axis(NamedTuple):
    """Where the pixels of one axis lie between those of the smaller map."""

    low: Tensor
    high: Tensor
    weight: Tensor  # of the neighbour ``high``

    def at(self, index: Tensor) -> '_Axis':
        return _Axis(*(part[index] for part in self))


def upsampled_argmax(
    logits_NKhw: Tensor, size: tuple[int, int], *, align_corners: bool = False
) -> Tensor:
    """Return the class of each pixel of bilinearly resized logits.

    Args:
        logits_NKhw: Logits, ``(N, K, h, w)``; memory of ``channels_last`` is read without a copy.
        size: Height and width of the result.
        align_corners: As of :func:`torch.nn.functional.interpolate`.

    Returns:
        Class indices, ``(N, H, W)`` int64.

    Raises:
        ValueError: If there is a single class, which a threshold decides.
    """
    if logits_NKhw.shape[1] < 2:
        raise ValueError('a single logit has no highest class: compare it with a threshold')
    with torch.autocast(logits_NKhw.device.type, enabled=False):
        last = logits_NKhw.contiguous(memory_format=torch.channels_last)
        return _labels(last, tuple(size), align_corners)


def _labels(logits_NKhw: Tensor, size: tuple, align_corners: bool) -> Tensor:
    best_Nhw = highest(logits_NKhw, 1)
    h, w = best_Nhw.shape[1:]
    if (h, w) == size:
        return best_Nhw
    scale = _whole_scale((h, w), size, align_corners)
    if scale is not None:
        return _by_squares(logits_NKhw, best_Nhw, scale)
    rows = _axis(h, size[0], align_corners, logits_NKhw)
    columns = _axis(w, size[1], align_corners, logits_NKhw)
    mixed_NHW = _mixed(best_Nhw)[:, rows.low][:, :, columns.low]
    if mixed_NHW.float().mean() > _MOST_MIXED:
        return _by_rows(logits_NKhw, rows, columns)
    label_NHW = best_Nhw[:, rows.low][:, :, columns.low]
    return _by_pixels(logits_NKhw, mixed_NHW, label_NHW, rows, columns)


# --- a whole scale: squares between four neighbours -----------------------------------------------


def _whole_scale(
    before: tuple[int, int], after: tuple[int, int], align_corners: bool
) -> Optional[tuple[int, int]]:
    if align_corners or after[0] % before[0] or after[1] % before[1]:
        return None
    return after[0] // before[0], after[1] // before[1]


def _by_squares(logits_NKhw: Tensor, best_Nhw: Tensor, scale: tuple[int, int]) -> Tensor:
    """Interpolate the squares of four neighbours that differ; the border repeats itself once."""
    num, num_classes, h, w = logits_NKhw.shape
    rows, columns = (
        torch.arange(-1, n + 1, device=best_Nhw.device).clamp(0, n - 1) for n in (h, w)
    )
    wide_Nhw = best_Nhw[:, rows][:, :, columns]
    squares = wide_Nhw[:, :-1, None, :-1, None].repeat(1, 1, scale[0], 1, scale[1])
    image_M, row_M, column_M = _mixed(wide_Nhw)[:, :-1, :-1].nonzero(as_tuple=True)
    vectors = logits_NKhw.permute(0, 2, 3, 1).reshape(-1, num_classes)
    weight_Q4 = _weights(scale, logits_NKhw)
    step = max(_VALUES // (num_classes * len(weight_Q4)), 1)
    for start in range(0, len(image_M), step):
        image, row, column = (part[start : start + step] for part in (image_M, row_M, column_M))
        corners = [
            vectors[(image * h + (row + down - 1).clamp(0, h - 1)) * w
                    + (column + right - 1).clamp(0, w - 1)].float()
            for down in (0, 1) for right in (0, 1)
        ]  # fmt: skip
        found_QMK = weight_Q4 @ torch.stack(corners).flatten(1)
        label_QM = highest(found_QMK.view(len(weight_Q4), len(image), num_classes), 2)
        squares[image, row, :, column] = label_QM.T.reshape(-1, *scale)
    label_NHW = squares.flatten(3, 4).flatten(1, 2)
    top, left = (one - one // 2 for one in scale)
    return label_NHW[:, top : top + h * scale[0], left : left + w * scale[1]].contiguous()


def _weights(scale: tuple[int, int], like: Tensor) -> Tensor:
    """Weights of the upper left, upper right, lower left and lower right neighbour, ``(Q, 4)``."""
    down, right = (
        (torch.arange(one, device=like.device, dtype=torch.float32) + (one + 1) % 2 / 2) / one
        for one in scale
    )
    pairs = (
        torch.stack((1 - down, down), 1)[:, None, :, None]
        * (torch.stack((1 - right, right), 1)[None, :, None, :])
    )
    return pairs.flatten(2).flatten(0, 1)


# --- any other scale: pixels, or rows -------------------------------------------------------------


def _axis(before: int, after: int, align_corners: bool, like: Tensor) -> _Axis:
    index = torch.arange(after, device=like.device, dtype=torch.float32)
    if align_corners:
        place = index * ((before - 1) / (after - 1) if after > 1 else 0.0)
    else:
        place = ((index + 0.5) * (before / after) - 0.5).clamp(min=0)
    low = place.long().clamp(max=before - 1)
    return _Axis(low, (low + 1).clamp(max=before - 1), (place - low).unsqueeze(1))


def _mixed(best_Nhw: Tensor) -> Tensor:
    """Whether a pixel, its right, its lower and its lower right neighbour differ in class."""
    mixed = torch.zeros_like(best_Nhw, dtype=torch.bool)
    beside = best_Nhw[:, :, :-1] != best_Nhw[:, :, 1:]
    below = best_Nhw[:, :-1] != best_Nhw[:, 1:]
    mixed[:, :, :-1] |= beside
    mixed[:, :-1] |= below
    mixed[:, :-1, :-1] |= beside[:, 1:]
    return mixed


def _by_pixels(
    logits_NKhw: Tensor, mixed_NHW: Tensor, label_NHW: Tensor, rows: _Axis, columns: _Axis
) -> Tensor:
    """Interpolate the pixels between neighbours that differ."""
    _, num_classes, h, w = logits_NKhw.shape
    vectors = logits_NKhw.permute(0, 2, 3, 1).reshape(-1, num_classes)
    image_P, row_P, column_P = mixed_NHW.nonzero(as_tuple=True)
    step = max(_VALUES // num_classes, 1)
    for start in range(0, len(image_P), step):
        image, row, column = (part[start : start + step] for part in (image_P, row_P, column_P))
        at_row, at_column = rows.at(row), columns.at(column)
        both = []
        for low_or_high in (at_row.low, at_row.high):
            line = (image * h + low_or_high) * w
            left = vectors[line + at_column.low].float()
            both.append(left.lerp_(vectors[line + at_column.high].float(), at_column.weight))
        label_NHW[image, row, column] = highest(both[0].lerp_(both[1], at_row.weight), 1)
    return label_NHW


def _by_rows(logits_NKhw: Tensor, rows: _Axis, columns: _Axis) -> Tensor:
    """Interpolate all pixels, a few rows at a time."""
    maps_NhwK = logits_NKhw.permute(0, 2, 3, 1)
    label_NHW = logits_NKhw.new_empty(
        (len(logits_NKhw), len(rows.low), len(columns.low)), dtype=torch.int64
    )
    step = max(_VALUES // (len(columns.low) * logits_NKhw.shape[1]), 1)
    for number, map_hwK in enumerate(maps_NhwK):
        for start in range(0, len(rows.low), step):
            low, high, weight = (part[start : start + step] for part in rows)
            lines = map_hwK[low].float().lerp_(map_hwK[high].float(), weight.unsqueeze(2))
            found = lines[:, columns.low].lerp_(lines[:, columns.high], columns.weight)
            label_NHW[number, start : start + step] = highest(found, 2)
    return label_NHW
