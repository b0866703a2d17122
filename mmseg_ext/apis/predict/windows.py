"""Prediction of images that are too large for the memory, window by window.

A model that is tested with mmseg's sliding windows keeps these windows, and their logits are
averaged as in mmseg. For a model that takes whole images, windows overlap by a quarter or more, and
Gaussian weights reduce the influence of their borders, as in nnU-Net
(https://arxiv.org/abs/1904.08128). Of the maps, only what later windows will add to is kept in
memory: the lower rows of one row of windows.
Shape letters: C channel, K class, H row, W column.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from ...models.segmentors.windows_at_once import starts

Size = tuple[int, int]
Read = Callable[[int, int], Tensor]  # from two rows to the image between them, (C, rows, W)


@dataclass(frozen=True)
class Windows:
    """How an image is divided into windows.

    Args:
        size: H and W of a window.
        stride: Rows and columns from one window to the next, at most.
        smooth: Whether weights decrease towards the borders of a window, and windows lie at equal
            distances.
        reason: Why windows are needed, for the user.
    """

    size: Size
    stride: Size
    smooth: bool = False
    reason: str = ''

    def __str__(self) -> str:
        (height, width), (down, across) = self.size, self.stride
        return f'{self.reason}in windows of {width}x{height}, one every {across}x{down} pixels'

    def starts(self, size: Size) -> tuple[list[int], list[int]]:
        """Return the first rows and the first columns of the windows of an image of a size."""
        place = even_starts if self.smooth else starts
        tops, lefts = (place(*axis) for axis in zip(size, self.size, self.stride))
        return tops, lefts


class Block(NamedTuple):
    """A part of the blended maps, complete.

    Args:
        top: Its first row.
        left: Its first column.
        maps: ``(C, h, w)``.
        progress: Number of windows predicted so far.
    """

    top: int
    left: int
    maps: Tensor
    progress: int


def parts_of(model: Any) -> list[Any]:
    """Return the networks in an ensemble, or in what runs one of them several times."""
    if not hasattr(model, 'models'):
        return [model]
    return [part for inner in model.models for part in parts_of(inner)]


def threshold_of(model: Any) -> float:
    """Return the probability above which a pixel of a single output channel is foreground."""
    parts = parts_of(model)
    return sum(part.decode_head.threshold for part in parts) / len(parts)


def as_batch(image: Tensor, meta: dict) -> dict:
    """Make a batch of one window, with the meta information of a whole image."""
    size = tuple(image.shape[-2:])
    own = {key: meta[key] for key in meta if key not in ('img_path', 'seg_map_path')}
    own.update(ori_shape=size, img_shape=size, pad_shape=size)
    return dict(inputs=[image], data_samples=[SegDataSample(metainfo=own)])


def label_type(classes: int) -> type:
    """Return the type of class indices; 255 is no class of 8 bits, as it marks ignored pixels."""
    return np.uint8 if classes <= 255 else np.uint16


def even_starts(length: int, size: int, stride: int) -> list[int]:
    """As :func:`starts`, with the same number of windows at equal distances up to rounding."""
    last, count = max(0, length - size), len(starts(length, size, stride))
    return [round(index * last / max(1, count - 1)) for index in range(count)]


def window_weight(size: Size, *, smooth: bool) -> Tensor:
    """Return the weight of each pixel in a window, ``(H, W)`` float32.

    Args:
        size: H and W.
        smooth: A Gaussian with an eighth of the window as standard deviation, along each axis not
            below 0.001; else all weights are 1.
    """
    if not smooth:
        return torch.ones(size)
    sides = []
    for length in size:
        place = torch.arange(length, dtype=torch.float32) - (length - 1) / 2
        sides.append(torch.exp(-0.5 * (place / (length / 8)) ** 2).clamp(min=1e-3))
    return torch.outer(*sides)


class _Sums:
    """Weighted sums of maps, and in their last channel the sums of weights, while they grow.

    Args:
        channels: C of the maps.
        tops: First rows of the windows.
        lefts: First columns of the windows.
        window: H and W of the windows.
        size: H and W of the image.
    """

    def __init__(
        self, channels: int, tops: list[int], lefts: list[int], window: Size, size: Size
    ) -> None:
        self.window, self.size = window, size
        overlap = max((top + window[0] - below for top, below in zip(tops, tops[1:])), default=0)
        self.below = torch.zeros(channels + 1, overlap, size[1])  # of the rows of windows above
        self.kept = 0  # rows of ``below`` that hold sums
        self.row = torch.zeros(channels + 1, *window)  # of the windows to the left

    def add(self, maps: Tensor, weight: Tensor) -> None:
        """Add the maps ``(C, h, w)`` of the next window."""
        self.row[:-1] += maps * weight
        self.row[-1] += weight

    def finish(self, left: int, right: int, rows: int) -> Tensor:
        """Return the means ``(C, rows, w)`` from column ``left`` to ``right`` and move on there."""
        wide, kept = right - left, self.window[0] - rows
        done = self.row[:, :, :wide].clone()
        rest = self.row[:, :, wide:].clone()
        self.row.zero_()
        self.row[:, :, : rest.shape[2]] = rest
        done[:, : self.kept] += self.below[:, : self.kept, left:right]
        self.below[:, :kept, left:right] = done[:, rows:]
        return done[:-1, :rows] / done[-1:, :rows]


def blended_blocks(
    maps_of: Callable[[Tensor], Tensor], read: Read, size: Size, windows: Windows
) -> Iterator[Block]:
    """Run a function on the windows of an image, and blend its maps.

    Each pixel becomes the mean over the windows that hold it, by their weights.

    Args:
        maps_of: From a window ``(C, h, w)`` to its maps, of its size.
        read: The image; rows are asked for from the top downwards, each once.
        size: H and W of the image.
        windows: How to divide it.

    Yields:
        Blocks of mean maps that cover the image once, from the left to the right in each row.
    """
    height, width = size
    window = (min(windows.size[0], height), min(windows.size[1], width))
    tops, lefts = windows.starts(size)
    weight, sums, count = window_weight(window, smooth=windows.smooth), None, 0
    band, end = read(0, window[0]), window[0]
    for top, bottom in zip(tops, [*tops[1:], height]):
        if end < top + window[0]:
            kept = band[:, band.shape[1] - (end - top) :]
            band = torch.cat([kept, read(end, top + window[0])], dim=1)
            end = top + window[0]
        for left, right in zip(lefts, [*lefts[1:], width]):
            maps = maps_of(band[:, :, left : left + window[1]])
            sums = sums or _Sums(len(maps), tops, lefts, window, size)
            sums.add(maps, weight)
            count += 1
            yield Block(top, left, sums.finish(left, right, bottom - top), count)
        assert sums is not None
        sums.kept = end - bottom
