"""Percentile bootstrap intervals over images for segmentation scores.

Source: the percentile bootstrap of Efron and Tibshirani, "An Introduction to the Bootstrap",
chapter 13, and the cluster bootstrap (whole groups are drawn, not images).
A resample of N images is a vector of multinomial weights; the summed counts of all resamples are
then one matrix product, so images are never drawn one by one.
Differs from it: nothing.
Shape letters: N images, K classes, R resamples.
"""

from collections.abc import Iterator, Sequence
from typing import Optional

import numpy as np

from .confusion import mean_names, metrics_from_counts

_CHUNK = 1024  # images at once; bounds the memory by R * 1024 weights, whatever N is


def resample_weights(
    num_images: int, num_resamples: int, *, seed: int = 0, chunk: int = _CHUNK
) -> Iterator[tuple[slice, np.ndarray]]:
    """Draw how often each image occurs in each resample, piece by piece.

    How many of the N draws fall into a piece is binomial given what the pieces before it took, so
    the pieces together are exactly one multinomial draw, without ever holding ``(R, N)``.

    Args:
        num_images: N, at least 1.
        num_resamples: R.
        seed: Seed of the generator; the same seed and ``chunk`` give the same weights.
        chunk: Images per piece.

    Yields:
        The images of the piece and their int64 weights, shape ``(R, len(piece))``. The weights of
        each resample sum to N over all pieces.
    """
    rng = np.random.default_rng(seed)
    remaining = np.full(num_resamples, num_images, np.int64)
    for start in range(0, num_images, chunk):
        size = min(chunk, num_images - start)
        taken = rng.binomial(remaining, size / (num_images - start))
        yield slice(start, start + size), rng.multinomial(taken, np.full(size, 1 / size))
        remaining -= taken


def _sum_by_group(counts: np.ndarray, groups: Sequence) -> np.ndarray:
    """Add up the counts of each group; groups keep the order of their sorted names."""
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), counts.shape[1]), counts.dtype)
    np.add.at(sums, place.reshape(-1), counts)
    return sums


def resampled_sums(
    counts: list[np.ndarray],
    *,
    num_resamples: int,
    seed: int,
    groups: Optional[Sequence] = None,
) -> list[np.ndarray]:
    """Sum each array of shape ``(N, K)`` over the images of each resample, to ``(R, K)``.

    Args:
        counts: Additive over images.
        num_resamples: R.
        seed: Seed of the draws.
        groups: One name per image; whole groups are drawn.
    """
    if groups is not None:
        counts = [_sum_by_group(array, groups) for array in counts]
    sums = np.zeros((num_resamples, sum(array.shape[1] for array in counts)))
    for piece, weights in resample_weights(len(counts[0]), num_resamples, seed=seed, chunk=_CHUNK):
        # Pixel counts stay far below 2**53, so float64 sums them exactly and calls BLAS.
        rows = np.concatenate([array[piece] for array in counts], 1).astype(np.float64)
        sums += weights.astype(np.float64) @ rows
    return np.split(sums, len(counts), axis=1)


def bootstrap_distribution(
    tp: np.ndarray,
    pred: np.ndarray,
    label: np.ndarray,
    *,
    num_resamples: int = 1000,
    seed: int = 0,
    groups: Optional[Sequence] = None,
    absent: str = 'skip',
    background: Optional[int] = None,
) -> dict[str, np.ndarray]:
    """Score every resample of the images.

    Args:
        tp: True-positive pixels per image and class, int array or memory map of shape ``(N, K)``.
        pred: Predicted pixels that are not ignored, same shape.
        label: Labelled pixels, same shape.
        num_resamples: R.
        seed: Seed of the draws.
        groups: One name per image; whole groups are drawn, for frames of one video, say.
        absent: See :func:`mmseg_ext.evaluation.confusion.metrics_from_counts`; it applies to each
            resample anew, because a rare class may be missing from it.
        background: See there.

    Returns:
        Each mean and per-class score with a leading axis of length R.

    Raises:
        ValueError: If there are no images, or shapes or the number of groups do not fit.
    """
    if not tp.shape == pred.shape == label.shape or tp.ndim != 2:
        raise ValueError(
            f'tp, pred and label need one shape (N, K), got {tp.shape}, {pred.shape}, {label.shape}'
        )
    if len(tp) == 0 or num_resamples < 1:
        raise ValueError(
            f'nothing to resample: {len(tp)} images, num_resamples={num_resamples}; both must be '
            'at least 1'
        )
    if groups is not None and len(groups) != len(tp):
        raise ValueError(f'{len(groups)} groups for {len(tp)} images: name one group per image')
    sums = resampled_sums([tp, pred, label], num_resamples=num_resamples, seed=seed, groups=groups)
    return metrics_from_counts(*sums, absent=absent, background=background)


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Cut the tails off; NaN when no resample defines the score."""
    values = values[~np.isnan(values)]
    if not len(values):
        return float('nan'), float('nan')
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_means(
    tp: np.ndarray,
    pred: np.ndarray,
    label: np.ndarray,
    *,
    num_resamples: int = 1000,
    seed: int = 0,
    groups: Optional[Sequence] = None,
    level: float = 0.95,
    absent: str = 'skip',
    background: Optional[int] = None,
) -> dict[str, dict[str, float]]:
    """Put an interval beside every mean.

    Args:
        tp: See :func:`bootstrap_distribution`, as are the next five.
        pred: Predicted pixels.
        label: Labelled pixels.
        num_resamples: R.
        seed: Seed of the draws.
        groups: Clusters of images.
        level: Share of the resamples inside of the interval.
        absent: What 0 / 0 becomes.
        background: Class that some means leave out.

    Returns:
        For each mean: ``value`` of all images, ``low`` and ``high``, fractions.

    Raises:
        ValueError: As :func:`bootstrap_distribution`, or if ``level`` is not in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f'level must lie in (0, 1), got {level}')
    drawn = bootstrap_distribution(
        tp,
        pred,
        label,
        num_resamples=num_resamples,
        seed=seed,
        groups=groups,
        absent=absent,
        background=background,
    )
    totals = [np.asarray(counts.sum(0), np.int64) for counts in (tp, pred, label)]
    scores = metrics_from_counts(*totals, absent=absent, background=background)
    result = {}
    for name in mean_names(scores):
        low, high = percentile_interval(drawn[name], level)
        result[name] = dict(value=float(scores[name]), low=low, high=high)
    return result
