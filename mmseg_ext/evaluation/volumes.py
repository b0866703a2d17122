"""Volumes of a patient's or another group's images: predicted against true.

Source: Bland and Altman, "Statistical methods for assessing agreement between two methods of
clinical measurement", Lancet 1986: mean and standard deviation of the differences, and the limits
of agreement, 1.96 standard deviations on either side of the mean.
Differs from it: nothing. Few groups leave the limits uncertain.
Shape letters: N image, G group, K class.
"""

from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np

_WIDTH = 1.96  # standard deviations


class Volumes(NamedTuple):
    """Pixels of each group and class.

    Args:
        groups: Names of the groups, ``(G,)``.
        truth: Labelled pixels, int64 ``(G, K)``.
        predicted: Predicted pixels, without those that are ignored, int64 ``(G, K)``.
    """

    groups: list[str]
    truth: np.ndarray
    predicted: np.ndarray


class Agreement(NamedTuple):
    """Predicted minus true volumes of one class, in pixels.

    Args:
        mean: Mean of the differences.
        low: Lower limit of agreement; ``None`` for fewer than two groups.
        high: Upper limit of agreement.
        relative: Mean of the absolute differences, as shares of the true volume; ``None`` if no
            group has any.
    """

    mean: float
    low: Optional[float]
    high: Optional[float]
    relative: Optional[float]


def group_volumes(rows: np.ndarray, groups: Sequence[str]) -> Volumes:
    """Add up the pixels of each group.

    Args:
        rows: True-positive, predicted and labelled pixels of each image, ``(N, 3, K)``.
        groups: Group of each image, ``(N,)``.
    """
    names, places = np.unique(np.asarray(groups, str), return_inverse=True)
    sums = np.zeros((len(names), *rows.shape[1:]), np.int64)
    np.add.at(sums, places, rows)
    return Volumes(names.tolist(), sums[:, 2], sums[:, 1])


def agreement(truth: np.ndarray, predicted: np.ndarray) -> Agreement:
    """Compare the volumes of one class over groups.

    Args:
        truth: True volume of each group, ``(G,)``.
        predicted: Predicted volume of each group, ``(G,)``.
    """
    difference = predicted.astype(np.float64) - truth
    mean, known = float(difference.mean()), truth > 0
    relative = float((np.abs(difference)[known] / truth[known]).mean()) if known.any() else None
    if len(difference) < 2:
        return Agreement(mean, None, None, relative)
    width = _WIDTH * float(difference.std(ddof=1))
    return Agreement(mean, mean - width, mean + width, relative)
