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
from typing import Any, NamedTuple, Optional

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor

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


class Strip(NamedTuple):
    """Some rows of the prediction of an image.

    Args:
        top: Its first row.
        label: Class of each pixel, ``(h, W)``, uint8 or, above 255 classes, uint16.
        uncertainty: ``(h, W)`` float32 of models that give one.
    """

    top: int
    label: np.ndarray
    uncertainty: Optional[np.ndarray]


def parts_of(model: Any) -> list[Any]:
    """Return the models of an ensemble, or the single model."""
    return list(getattr(model, 'models', [model]))


def as_batch(image: Tensor, meta: dict) -> dict:
    """Make a batch of one window, with the meta information of a whole image."""
    size = tuple(image.shape[-2:])
    own = {key: meta[key] for key in meta if key not in ('img_path', 'seg_map_path')}
    own.update(ori_shape=size, img_shape=size, pad_shape=size)
    return dict(inputs=[image], data_samples=[SegDataSample(metainfo=own)])


def label_type(classes: int) -> type:
    """Return the type of class indices; 255 is no class of 8 bits, as it marks ignored pixels."""
    return np.uint8 if classes <= 255 else np.uint16


def starts(length: int, size: int, stride: int) -> list[int]:
    """Return where windows start along one axis; the last ends with the image, as in mmseg."""
    count = max(length - size + stride - 1, 0) // stride + 1
    return [max(min(index * stride + size, length) - size, 0) for index in range(count)]


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


def predict_strips(
    model: Any,
    read: Read,
    size: Size,
    meta: dict,
    windows: Windows,
    *,
    step: Callable[[int], Any] = lambda count: None,
) -> Iterator[Strip]:
    """Predict an image window by window, strip by strip.

    Args:
        model: A segmentor in evaluation mode.
        read: As in :func:`blended_blocks`.
        size: H and W of the image.
        meta: Meta information of the image.
        windows: From :meth:`.memory.Memory.plan`.
        step: Called with the number of windows so far, after each.

    Yields:
        Strips that cover the image from the top to the bottom.

    Raises:
        ValueError: If the model outputs NaN.
    """
    uncertain = False

    def maps_of(cut: Tensor) -> Tensor:
        nonlocal uncertain
        maps, uncertain = _maps(model, cut, meta)
        return maps

    for block in blended_blocks(maps_of, read, size, windows):
        means = block.maps
        step(block.progress)
        if block.left == 0:
            shape, classes = (means.shape[1], size[1]), max(2, len(means) - uncertain)
            label: np.ndarray = np.empty(shape, label_type(classes))
            uncertainty = np.empty(shape, np.float32) if uncertain else None
        columns = slice(block.left, block.left + means.shape[2])
        if uncertainty is not None:
            uncertainty[:, columns] = means[-1].numpy()
            means = means[:-1]
        label[:, columns] = _labels(model, means)
        if columns.stop == size[1]:
            yield Strip(block.top, label, uncertainty)


def predict_windows(
    model: Any, inputs: Tensor, sample: Any, windows: Windows
) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """Predict an image in memory window by window.

    Args:
        model: A segmentor in evaluation mode.
        inputs: ``(C, H, W)``, as the pipeline packs it.
        sample: Data sample of the image.
        windows: From :meth:`.memory.Memory.plan`.

    Returns:
        Labels ``(H, W)``, uint8 or, above 255 classes, uint16; and the uncertainty ``(H, W)``
        float32 of models that give one.

    Raises:
        ValueError: If the model outputs NaN.
    """
    size = (int(inputs.shape[-2]), int(inputs.shape[-1]))

    def read(top: int, bottom: int) -> Tensor:
        return inputs[:, top:bottom]

    strips = list(predict_strips(model, read, size, sample.metainfo, windows))
    uncertainties = [strip.uncertainty for strip in strips if strip.uncertainty is not None]
    label = np.concatenate([strip.label for strip in strips])
    return label, np.concatenate(uncertainties) if uncertainties else None


def _maps(model: Any, cut: Tensor, meta: dict) -> tuple[Tensor, bool]:
    """Return the maps of one window, ``(C, h, w)``, and whether the last is an uncertainty."""
    result = model.test_step(as_batch(cut, meta))[0]
    maps, uncertain = result.seg_logits.data.float(), 'uncertainty' in result
    if uncertain:
        maps = torch.cat([maps, result.uncertainty.data.float()])
    if maps.isnan().any():
        raise ValueError('the model answers with NaN')
    return maps.cpu(), uncertain


def _labels(model: Any, means: Tensor) -> np.ndarray:
    """Return the most probable class or, for a single channel, where it exceeds the threshold."""
    if len(means) == 1:
        parts = parts_of(model)
        threshold = sum(part.decode_head.threshold for part in parts) / len(parts)
        return (means[0] > threshold).numpy().astype(np.uint8)
    return means.argmax(0).numpy().astype(label_type(len(means)))
