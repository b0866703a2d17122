"""Scores of an image whose probabilities do not fit into memory: strip by strip, from windows.

Differs from the scores of whole images: probabilities are blended where windows overlap and rounded
to float16, and features are means over windows instead of over pixels.
Shape letters: K class, H row, W column, T pass, C feature.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Optional

import torch
from torch import Tensor

from ...models.layers.highest import highest
from ..predict.scores import entropy
from ..predict.strips import Strip, predict_strips
from ..predict.windows import Read, Windows


class Totals(NamedTuple):
    """Means and counts over all pixels of an image.

    Args:
        score: Mean score, a scalar.
        pixels: Pixels predicted of each class, ``(K,)``.
        class_scores: Entropy times the probability of each class, mean over pixels, ``(K,)``.
    """

    score: Tensor
    pixels: Tensor
    class_scores: Tensor


def score_in_strips(
    model: Any,
    images: Sequence[Tensor],
    meta: dict,
    windows: Windows,
    rule: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> Totals:
    """Predict an image, once or several times, and add up the scores of its pixels.

    Args:
        model: A segmentor in evaluation mode.
        images: What is predicted, ``(C, H, W)`` each: the image T times, or its mirror image, too.
        meta: Meta information of the image.
        windows: From :meth:`..predict.memory.Memory.windows_of_probabilities`.
        rule: From the probabilities of some rows, ``(T, K, h, W)``, to those that decide about the
            class ``(K, h, W)`` and the score ``(h, W)``.

    Raises:
        ValueError: If the model answers with NaN.
    """
    size = (int(images[0].shape[-2]), int(images[0].shape[-1]))
    passes = [
        predict_strips(model, _reader(image), size, meta, windows, keep_prob=True)
        for image in images
    ]
    total: Optional[Totals] = None
    for strips in zip(*passes):  # the same windows, so the same rows
        prob, score = rule(torch.stack([_prob_of(strip) for strip in strips]))
        part = _sums(prob, score)
        total = part if total is None else Totals(*(a + b for a, b in zip(total, part)))
    assert total is not None
    number = size[0] * size[1]
    return Totals(total.score / number, total.pixels, total.class_scores / number)


def _reader(image: Tensor) -> Read:
    return lambda top, bottom: image[:, top:bottom]


def _prob_of(strip: Strip) -> Tensor:
    return torch.from_numpy(strip.prob).float()


def _sums(prob_KHW: Tensor, score_HW: Tensor) -> Totals:
    weighted = (prob_KHW * entropy(prob_KHW)).double().sum((1, 2))
    pixels = torch.bincount(highest(prob_KHW, 0).ravel(), minlength=len(prob_KHW))
    return Totals(score_HW.double().sum(), pixels, weighted)
