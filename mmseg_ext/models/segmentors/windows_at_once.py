"""The sliding windows of mmseg's segmentors, several at once.

Source: mmseg's ``EncoderDecoder.slide_inference``.
Differs from it: windows that together have no more pixels than 512x512 go through the network as
one batch, whose products are larger, and each is added where it lies, not padded to the image. The
sums are those of mmseg, in its order.
"""

import math
from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor

_MOST_PIXELS = 512 * 512  # at once; more takes more memory, and no less time


def take_windows_at_once(model: Any) -> None:
    """Let a segmentor predict small windows together, if it has windows.

    Args:
        model: Changed in place; its copies do so, too.
    """
    if hasattr(model, 'slide_inference'):
        model.slide_inference = MethodType(windows_at_once, model)


def count_at_once(model: Any, window: Sequence[int], images: int = 1) -> int:
    """Say how many windows of each image ``model`` takes at once.

    Args:
        model: Any segmentor.
        window: Height and width of a window, in pixels.
        images: Images at once.
    """
    if 'slide_inference' not in vars(model):  # mmseg's, one by one
        return 1
    return max(1, _MOST_PIXELS // (images * math.prod(window)))


def windows_at_once(model: Any, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
    """Predict logits in overlapping windows.

    Args:
        model: A segmentor with ``test_cfg.mode='slide'``, in evaluation mode.
        inputs: Images, ``(N, C, H, W)``.
        batch_img_metas: Facts of each image; the first one's ``img_shape`` becomes that of a
            window, as in mmseg.

    Returns:
        Mean logits of the windows of each pixel, ``(N, K, H, W)``.
    """
    (n, _, *size), cfg = inputs.shape, model.test_cfg
    sides = [min(crop, side) for crop, side in zip(cfg.crop_size, size)]
    windows = [
        (..., slice(y, y + sides[0]), slice(x, x + sides[1]))
        for y in starts(size[0], cfg.crop_size[0], cfg.stride[0])
        for x in starts(size[1], cfg.crop_size[1], cfg.stride[1])
    ]
    batch_img_metas[0]['img_shape'] = torch.Size(sides)
    total = inputs.new_zeros(n, model.out_channels, *size)
    count = inputs.new_zeros(n, 1, *size)
    step = count_at_once(model, sides, n)
    for first in range(0, len(windows), step):
        some = windows[first : first + step]
        crops = torch.cat([inputs[window] for window in some])
        metas = batch_img_metas[:1] * len(crops)
        for window, logits_NKHW in zip(some, model.encode_decode(crops, metas).split(n)):
            total[window] += logits_NKHW
            count[window] += 1
    return total / count


def starts(length: int, size: int, stride: int) -> list[int]:
    """Return where windows start along one axis; the last ends with the image, as in mmseg."""
    count = max(length - size + stride - 1, 0) // stride + 1
    return [max(min(index * stride + size, length) - size, 0) for index in range(count)]
