"""Prediction of images that are too large for the memory, window by window.

A model that is tested with mmseg's sliding windows keeps these windows, and their logits are
averaged as in mmseg. For a model that takes whole images, windows overlap by a quarter, and
Gaussian weights reduce the influence of their borders, as in nnU-Net
(https://arxiv.org/abs/1904.08128). Only one row of windows is kept in memory.
Shape letters: C channel, K class, H row, W column.
"""

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """How an image is divided into windows.

    Args:
        size: H and W of a window.
        stride: Rows and columns from one window to the next.
        smooth: Whether weights decrease towards the borders of a window.
        reason: Why windows are needed, for the user.
    """

    size: Size
    stride: Size
    smooth: bool = False
    reason: str = ''

    def __str__(self) -> str:
        (height, width), (down, across) = self.size, self.stride
        return f'{self.reason}in windows of {width}x{height}, one every {across}x{down} pixels'


# ------------------------------------------------------------------------------- memory


def parts_of(model: Any) -> list[Any]:
    """Return the models of an ensemble, or the single model."""
    return list(getattr(model, 'models', [model]))


# ------------------------------------------------------------------------------ windows


def as_batch(image: Tensor, meta: dict) -> dict:
    """Make a batch of one window, with the meta information of a whole image."""
    size = tuple(image.shape[-2:])
    own = {key: meta[key] for key in meta if key not in ('img_path', 'seg_map_path')}
    own.update(ori_shape=size, img_shape=size, pad_shape=size)
    return dict(inputs=[image], data_samples=[SegDataSample(metainfo=own)])


def starts(length: int, size: int, stride: int) -> list[int]:
    """Return where windows start along one axis; the last ends with the image, as in mmseg."""
    count = max(length - size + stride - 1, 0) // stride + 1
    return [max(min(index * stride + size, length) - size, 0) for index in range(count)]


def _weight(size: Size, smooth: bool, like: Tensor) -> Tensor:
    """Return the weight of each pixel in a window, ``(H, W)``."""
    if not smooth:
        return like.new_ones(size)
    sides = []
    for length in size:
        place = torch.arange(length, dtype=torch.float32) - (length - 1) / 2
        sides.append(torch.exp(-0.5 * (place / (length / 8)) ** 2).clamp(min=1e-3))
    return torch.outer(*sides).to(like)


class _Rows:
    """Weighted sums of the maps of windows, for unfinished image rows.

    Args:
        size: H of the windows and W of the image.
    """

    def __init__(self, size: Size) -> None:
        self.size, self.top = size, 0
        self.sums = self.weights = torch.empty(0)

    def add(self, maps: Tensor, weight: Tensor, top: int, left: int) -> None:
        """Add the maps ``(C, h, w)`` of one window."""
        if not self.sums.numel():
            self.sums = maps.new_zeros((len(maps), *self.size))
            self.weights = maps.new_zeros(self.size)
        height, width = maps.shape[-2:]
        place = slice(top - self.top, top - self.top + height), slice(left, left + width)
        self.sums[(slice(None), *place)] += maps * weight
        self.weights[place] += weight

    def finish(self, bottom: int) -> Tensor:
        """Return the means ``(C, rows, W)`` above ``bottom`` and free their rows."""
        rows = bottom - self.top
        means = self.sums[:, :rows] / self.weights[:rows]
        for held in (self.sums, self.weights):
            rest = held[..., rows:, :].clone()
            held.zero_()
            held[..., : rest.shape[-2], :] = rest
        self.top = bottom
        return means


def predict_windows(
    model: Any, inputs: Tensor, sample: Any, windows: Windows
) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """Predict an image window by window.

    Args:
        model: A segmentor in evaluation mode.
        inputs: ``(C, H, W)``, as the pipeline packs it.
        sample: Data sample of the image.
        windows: From :meth:`.memory.Memory.plan`.

    Returns:
        Labels ``(H, W)``, uint8 or, from 257 classes on, uint16; and the uncertainty ``(H, W)``
        float32 of models that give one.

    Raises:
        ValueError: If the model outputs NaN.
    """
    height, width = inputs.shape[-2:]
    tops = starts(height, windows.size[0], windows.stride[0])
    lefts = starts(width, windows.size[1], windows.stride[1])
    rows = _Rows((min(windows.size[0], height), width))
    labels, uncertainties = [], []
    for top, bottom in zip(tops, [*tops[1:], height]):
        for left in lefts:
            cut = inputs[:, top : top + windows.size[0], left : left + windows.size[1]]
            maps, uncertain = _maps(model, cut, sample.metainfo)
            shape = (int(maps.shape[-2]), int(maps.shape[-1]))
            rows.add(maps, _weight(shape, windows.smooth, maps), top, left)
        means = rows.finish(bottom)
        if uncertain:
            uncertainties.append(means[-1].cpu().numpy())
            means = means[:-1]
        labels.append(_labels(model, means))
    return np.concatenate(labels), np.concatenate(uncertainties) if uncertainties else None


def _maps(model: Any, cut: Tensor, meta: dict) -> tuple[Tensor, bool]:
    """Return the maps of one window, ``(C, h, w)``, and whether the last is an uncertainty."""
    result = model.test_step(as_batch(cut, meta))[0]
    maps, uncertain = result.seg_logits.data.float(), 'uncertainty' in result
    if uncertain:
        maps = torch.cat([maps, result.uncertainty.data.float()])
    if maps.isnan().any():
        raise ValueError('the model answers with NaN')
    return maps, uncertain


def _labels(model: Any, means: Tensor) -> np.ndarray:
    """Return the most probable class or, for a single channel, where it exceeds the threshold."""
    if len(means) == 1:
        parts = parts_of(model)
        threshold = sum(part.decode_head.threshold for part in parts) / len(parts)
        return (means[0] > threshold).cpu().numpy().astype(np.uint8)
    return means.argmax(0).cpu().numpy().astype(np.uint8 if len(means) <= 256 else np.uint16)
