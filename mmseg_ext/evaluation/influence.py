"""Influence of each image, patient or video on a score, by the infinitesimal jackknife.

Source: Jaeckel, "The infinitesimal jackknife", Bell Laboratories 1972; Efron and Tibshirani, "An
Introduction to the Bootstrap", chapter 21. A score is a function of counts summed over units. The
influence of a unit is the gradient of the score with respect to these sums, times the unit's
counts. For the mean IoU it is ``mean_k (tp_ik U_k - TP_k u_ik) / U_k**2`` with the summed
intersection TP and union U. The variance of the score is ``n / (n - 1)`` times the sum of the
squared influences.
Differs from it: a class that is labelled in n_k of the n units has the factor ``n_k / (n_k - 1)``
for its part, which is equal if all units contain it. A class that is labelled in one unit only
tells nothing about its variance, so it gets the mean variance of the other classes.
Shape letters: N unit, K class, C kind of count (tp, pred, label).
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Optional

import numpy as np

from .confusion import metrics_from_counts

_CHUNK = 1024  # units at a time; memory is at most chunk * C * K for any N

# Coefficients of tp, pred and label in numerator and denominator of each class score.
_RATIOS = {
    'IoU': ((1, 0, 0), (-1, 1, 1)),
    'Acc': ((1, 0, 0), (0, 0, 1)),
    'Precision': ((1, 0, 0), (0, 1, 0)),
    'F1': ((2, 0, 0), (0, 1, 1)),
    'Dice': ((2, 0, 0), (0, 1, 1)),
}
_MEAN_OF = dict(mIoU='IoU', mPA='Acc', mPrecision='Precision', mF1='F1', mDice='Dice')


class Gradient(NamedTuple):
    """Derivative of a score with respect to the summed counts, in two parts.

    Args:
        classes: Derivative of each class score, ``(C, K)``.
        weights: Weight of each class score in the mean, ``(K,)``.
        common: Derivative of the part that does not depend on class scores, ``(C, K)``.
    """

    classes: np.ndarray
    weights: np.ndarray
    common: np.ndarray

    @property
    def whole(self) -> np.ndarray:
        """Return the full derivative, ``(C, K)``."""
        return self.weights * self.classes + self.common


class Spread(NamedTuple):
    """A standard error (NaN if undefined) and the number of units behind it."""

    error: np.ndarray
    units: np.ndarray


def class_gradients(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Differentiate the score of each class.

    Args:
        sums: tp, pred and label, summed over units, ``(3, K)``.

    Returns:
        For each score in ``PER_CLASS``, the derivative with respect to the counts of the class,
        ``(3, K)``; 0 where the score is 0 / 0.
    """
    sums = np.asarray(sums, np.float64)
    found = {}
    for name, coefficients in _RATIOS.items():
        above, below = (np.array(part, np.float64)[:, None] for part in coefficients)
        total = (below * sums).sum(0)
        score = np.divide((above * sums).sum(0), total, out=np.zeros_like(total), where=total > 0)
        change = above - below * score
        found[name] = np.divide(change, total, out=np.zeros_like(change), where=total > 0)
    return found


def mean_gradients(
    sums: np.ndarray, *, absent: str = 'skip', background: Optional[int] = None
) -> dict[str, Gradient]:
    """Differentiate every mean of :func:`metrics_from_counts`.

    Args:
        sums: tp, pred and label, summed over units, ``(3, K)``.
        absent: See there.
        background: See there.

    Returns:
        The derivative of each mean that is defined, in their order.
    """
    scores = metrics_from_counts(*sums, absent=absent, background=background)
    ours, none = class_gradients(sums), np.zeros_like(sums, np.float64)
    total = float(sums[2].sum())
    if not total:
        return {}
    tp, label = np.eye(3)[0][:, None], np.eye(3)[2][:, None]
    right = np.broadcast_to((tp - label * scores['aAcc']) / total, none.shape)
    found = {'aAcc': Gradient(none, none[0], right)}
    found.update(
        {mean: Gradient(ours[name], _shares(scores[name]), none) for mean, name in _MEAN_OF.items()}
    )
    moved = label * (np.nan_to_num(scores['IoU']) - scores['FWIoU']) / total
    found['FWIoU'] = Gradient(ours['IoU'], sums[2] / total, moved)
    if background is not None:
        for mean, name in (('mPA_no_bg', 'Acc'), ('mPrecision_no_bg', 'Precision')):
            kept = scores[name].copy()
            kept[background] = np.nan
            found[mean] = Gradient(ours[name], _shares(kept), none)
    return {name: gradient for name, gradient in found.items() if not np.isnan(scores[name])}


def _shares(scores: np.ndarray) -> np.ndarray:
    """Return the weight of each class in a plain mean without NaNs."""
    defined = ~np.isnan(scores)
    return defined / max(1, int(defined.sum()))


def join(gradients: list[Gradient], factors: list[float]) -> Gradient:
    """Differentiate a weighted sum of scores, whose counts are concatenated.

    Args:
        gradients: Derivatives of R scores, each with respect to its own counts ``(3, K)``.
        factors: R factors: -1 and 1 for a difference, 1 / R for a mean.

    Returns:
        The derivative with C = 3 R; a class has its weight in the mean of the scores.
    """
    weights = np.mean([gradient.weights for gradient in gradients], 0)
    parts = [
        factor * np.divide(g.weights * g.classes, weights, out=0 * g.classes, where=weights > 0)
        for factor, g in zip(factors, gradients)
    ]
    common = [factor * g.common for factor, g in zip(factors, gradients)]
    return Gradient(np.concatenate(parts), weights, np.concatenate(common))


def mean_spreads(
    rows: np.ndarray, labelled: np.ndarray, gradients: Mapping[str, Gradient]
) -> dict[str, Spread]:
    """Return the standard error of each mean.

    Args:
        rows: Counts of each unit, ``(N, C, K)``, as int array or memory map; at least two units.
        labelled: Number of units that each class is labelled in, ``(K,)``.
        gradients: Derivative of each mean by name.
    """
    n = len(rows)
    correction = np.sqrt(_bessel(labelled) / _bessel(n))
    names = list(gradients)
    whole = np.stack(
        [(g.weights * correction * g.classes + g.common).reshape(-1) for g in gradients.values()], 1
    )
    squares = np.zeros(len(names))
    for part in _pieces(rows):
        squares += ((part.reshape(len(part), -1) @ whole) ** 2).sum(0)
    spreads = {}
    for name, square in zip(names, squares):
        variance = _bessel(n) * square + _of_single(rows, labelled, gradients[name])
        spreads[name] = Spread(np.sqrt(variance), np.asarray(n))
    return spreads


def class_spreads(rows: np.ndarray, labelled: np.ndarray, gradient: np.ndarray) -> Spread:
    """Return the standard error of each class score over the units where the class is labelled.

    Args:
        rows: See :func:`mean_spreads`.
        labelled: See there.
        gradient: Derivative of each class's score, ``(C, K)``.

    Returns:
        Two arrays ``(K,)``; the error is NaN for fewer than two units.
    """
    variance = _bessel(labelled) * _class_squares(rows, gradient)
    return Spread(np.where(labelled > 1, np.sqrt(variance), np.nan), np.asarray(labelled))


def _pieces(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _CHUNK):
        yield np.asarray(rows[start : start + _CHUNK], np.float64)


def _class_squares(rows: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the sum over units of squared influences on each class score, ``(K,)``."""
    squares = np.zeros(gradient.shape[1])
    for part in _pieces(rows):
        squares += (np.einsum('nck,ck->nk', part, gradient) ** 2).sum(0)
    return squares


def _bessel(n: object) -> np.ndarray:
    """Return ``n / (n - 1)``, or 1 for a single unit, whose influence is about 0."""
    n = np.asarray(n, np.float64)
    return np.divide(n, n - 1, out=np.ones_like(n), where=n > 1)


def _of_single(rows: np.ndarray, labelled: np.ndarray, gradient: Gradient) -> float:
    """Return the variance from classes labelled in one unit: the mean of the other classes."""
    single, others = labelled == 1, labelled > 1
    weight = (gradient.weights[single] ** 2).sum()
    counted = others & (gradient.weights > 0)
    if not weight or not counted.any():
        return 0.0
    of_one = labelled * _bessel(labelled) * _class_squares(rows, gradient.classes)
    return float(weight * of_one[counted].mean())
