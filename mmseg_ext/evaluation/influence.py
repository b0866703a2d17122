"""How each image, patient or video moves a score: the infinitesimal jackknife, in closed form.

Source: Jaeckel, "The infinitesimal jackknife", Bell Laboratories 1972; Efron and Tibshirani, "An
Introduction to the Bootstrap", chapter 21. A score is a function of counts summed over units, so a
unit's influence is the gradient of the score with respect to the sums, times the unit's counts; for
the mean IoU that is ``mean_k (tp_ik U_k - TP_k u_ik) / U_k**2`` with the summed intersection TP and
union U. The variance of the score is ``n / (n - 1)`` times the sum of the squared influences.
Differs from it: a class that is labelled in n_k of the n units has ``n_k / (n_k - 1)`` for its
part, which is the same where every unit has it; and a class that is labelled in one unit only,
which says nothing about how it varies, is given the mean variance of the others.
Shape letters: N unit, K class, C kind of count (tp, pred, label, of each row).
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Optional

import numpy as np

from .confusion import metrics_from_counts

_CHUNK = 1024  # units at once; bounds the memory by chunk * C * K, whatever N is

# Coefficients of tp, pred and label above and below the line of each class's score.
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
        classes: Of each class's own score, ``(C, K)``.
        weights: Of these scores in the score, ``(K,)``.
        common: What does not go through the score of a class, ``(C, K)``.
    """

    classes: np.ndarray
    weights: np.ndarray
    common: np.ndarray

    @property
    def whole(self) -> np.ndarray:
        """The derivative itself, ``(C, K)``."""
        return self.weights * self.classes + self.common


class Spread(NamedTuple):
    """A standard error and the number of units behind it; NaN where there is none."""

    error: np.ndarray
    units: np.ndarray


def class_gradients(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Differentiate the score of each class.

    Args:
        sums: tp, pred and label, summed over units, ``(3, K)``.

    Returns:
        For each of ``PER_CLASS`` the derivative with respect to the class's own counts, ``(3, K)``;
        0 where the score is 0 / 0, whatever it is taken for.
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
        The means in their order, without those that are undefined.
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
    """What each class counts in a plain mean without NaNs."""
    defined = ~np.isnan(scores)
    return defined / max(1, int(defined.sum()))


def join(gradients: list[Gradient], factors: list[float]) -> Gradient:
    """Differentiate a weighted sum of scores, whose counts stand one after another.

    Args:
        gradients: Of R scores, each of its own counts ``(3, K)``.
        factors: R numbers, -1 and 1 for a difference, 1 / R for a mean.

    Returns:
        With C = 3 R; a class weighs as in the mean of the scores.
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
    """Give the standard error of each mean.

    Args:
        rows: Counts of each unit, ``(N, C, K)``, int array or memory map; at least two units.
        labelled: Number of units that each class is labelled in, ``(K,)``.
        gradients: Name to derivative.
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
    """Give the standard error of each class's score, over the units that it is labelled in.

    Args:
        rows: See :func:`mean_spreads`.
        labelled: See there.
        gradient: Derivative of each class's score, ``(C, K)``.

    Returns:
        Two arrays ``(K,)``; the error is NaN below two units.
    """
    variance = _bessel(labelled) * _class_squares(rows, gradient)
    return Spread(np.where(labelled > 1, np.sqrt(variance), np.nan), np.asarray(labelled))


def _pieces(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _CHUNK):
        yield np.asarray(rows[start : start + _CHUNK], np.float64)


def _class_squares(rows: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Squared influences on each class's score, summed over units, ``(K,)``."""
    squares = np.zeros(gradient.shape[1])
    for part in _pieces(rows):
        squares += (np.einsum('nck,ck->nk', part, gradient) ** 2).sum(0)
    return squares


def _bessel(n: object) -> np.ndarray:
    """``n / (n - 1)``, and 1 for a single unit, whose influence is about 0."""
    n = np.asarray(n, np.float64)
    return np.divide(n, n - 1, out=np.ones_like(n), where=n > 1)


def _of_single(rows: np.ndarray, labelled: np.ndarray, gradient: Gradient) -> float:
    """Variance through the classes of one unit each: that of one unit of the others, on average."""
    single, others = labelled == 1, labelled > 1
    weight = (gradient.weights[single] ** 2).sum()
    counted = others & (gradient.weights > 0)
    if not weight or not counted.any():
        return 0.0
    of_one = labelled * _bessel(labelled) * _class_squares(rows, gradient.classes)
    return float(weight * of_one[counted].mean())
