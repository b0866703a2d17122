"""The prediction of an image window by window, handed on in strips.

Shape letters: C channel, K class, H row, W column.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor

from ...core.probabilities import as_probabilities
from ...models.layers.highest import highest
from .windows import Read, Size, Windows, as_batch, blended_blocks, label_type, threshold_of

# what models may say of each pixel beside its class, and folders of outputs are called
MAPS = ('uncertainty', 'entropy', 'bald')


class Strip(NamedTuple):
    """Some rows of the prediction of an image.

    Args:
        top: Its first row.
        label: Class of each pixel, ``(h, W)``, uint8 or, above 255 classes, uint16.
        maps: What else the model says, by the names in ``MAPS``: ``(h, W)`` float32.
        prob: Probability of each class, ``(K, h, W)`` float16, if it is kept.
    """

    top: int
    label: np.ndarray
    maps: dict[str, np.ndarray]
    prob: Optional[np.ndarray] = None


def predict_strips(
    model: Any,
    read: Read,
    size: Size,
    meta: dict,
    windows: Windows,
    *,
    keep_prob: bool = False,
    step: Callable[[int], Any] = lambda count: None,
) -> Iterator[Strip]:
    """Predict an image window by window, strip by strip.

    Args:
        model: A segmentor in evaluation mode.
        read: As in :func:`blended_blocks`.
        size: H and W of the image.
        meta: Meta information of the image.
        windows: From :meth:`.memory.Memory.plan`.
        keep_prob: Also return probabilities.
        step: Called with the number of windows so far, after each.

    Yields:
        Strips that cover the image from the top to the bottom.

    Raises:
        ValueError: If the model outputs NaN.
    """
    names: tuple[str, ...] = ()

    def maps_of(cut: Tensor) -> Tensor:
        nonlocal names
        maps, names = _maps(model, cut, meta)
        return maps

    for block in blended_blocks(maps_of, read, size, windows):
        step(block.progress)
        scores = block.maps[: len(block.maps) - len(names)]
        if block.left == 0:
            shape = (block.maps.shape[1], size[1])
            strip = _empty(block.top, shape, max(2, len(scores)), names, keep_prob)
        columns = slice(block.left, block.left + block.maps.shape[2])
        for name, values in zip(names, block.maps[len(scores) :]):
            strip.maps[name][:, columns] = values.numpy()
        strip.label[:, columns] = _labels(model, scores)
        if strip.prob is not None:
            strip.prob[:, :, columns] = as_probabilities(scores).numpy()
        if columns.stop == size[1]:
            yield strip


def _empty(top: int, shape: Size, classes: int, names: tuple[str, ...], keep_prob: bool) -> Strip:
    return Strip(
        top,
        np.empty(shape, label_type(classes)),
        {name: np.empty(shape, np.float32) for name in names},
        np.empty((classes, *shape), np.float16) if keep_prob else None,
    )


def joined(strips: Sequence[Strip]) -> Strip:
    """Put strips together that cover an image."""
    first = strips[0]
    prob = None
    if first.prob is not None:
        prob = np.concatenate([strip.prob for strip in strips if strip.prob is not None], 1)
    maps = {name: np.concatenate([strip.maps[name] for strip in strips]) for name in first.maps}
    return Strip(0, np.concatenate([strip.label for strip in strips]), maps, prob)


def predict_windows(
    model: Any, inputs: Tensor, sample: Any, windows: Windows, *, keep_prob: bool = False
) -> Strip:
    """Predict an image in memory window by window.

    Args:
        model: A segmentor in evaluation mode.
        inputs: ``(C, H, W)``, as the pipeline packs it.
        sample: Data sample of the image.
        windows: From :meth:`.memory.Memory.plan`.
        keep_prob: Also return probabilities.

    Returns:
        The whole image as one strip.

    Raises:
        ValueError: If the model outputs NaN.
    """
    size = (int(inputs.shape[-2]), int(inputs.shape[-1]))

    def read(top: int, bottom: int) -> Tensor:
        return inputs[:, top:bottom]

    strips = predict_strips(model, read, size, sample.metainfo, windows, keep_prob=keep_prob)
    return joined(list(strips))


def _maps(model: Any, cut: Tensor, meta: dict) -> tuple[Tensor, tuple[str, ...]]:
    """Return the maps of one window, ``(C, h, w)``, and the names of those after the classes'."""
    result = model.test_step(as_batch(cut, meta))[0]
    names = tuple(name for name in MAPS if name in result)
    every = [result.seg_logits.data, *(result.get(name).data for name in names)]
    maps = torch.cat([one.float() for one in every])
    if maps.isnan().any():
        raise ValueError('the model answers with NaN')
    return maps.cpu(), names


def _labels(model: Any, means: Tensor) -> np.ndarray:
    """Return the most probable class or, for a single channel, where it exceeds the threshold."""
    if len(means) == 1:
        return (means[0] > threshold_of(model)).numpy().astype(np.uint8)
    return highest(means, 0).numpy().astype(label_type(len(means)))
