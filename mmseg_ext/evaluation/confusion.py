"""Confusion matrices of label maps, and the scores computed from them.

Source: the usual definitions, with tp, fp and fn counted over all pixels of a data set: IoU = tp /
(tp + fp + fn), recall = tp / (tp + fn), precision = tp / (tp + fp), F1 = Dice = 2 tp / (2 tp + fp +
fn). mIoU, mPA (mean recall), mPrecision, mF1 and mDice are plain means over classes. FWIoU is the
IoU weighted by labelled pixels, aAcc the share of correct pixels.

Differs from mmseg's ``IoUMetric``: counts are integers, not float32, and nothing is rounded. A
labelled class that is never predicted has precision 0, and one without a true positive has F1 0;
mmseg leaves them out of the mean, which raises it. A class that is predicted but never labelled has
IoU 0, as in mmseg (the PyTorch port of DeepLab leaves it out of the mean). For a class without any
pixel ``absent`` decides (bubbliiiing's repositories count it as 0: ``'zero'``).
Shape letters: K class, ``...`` any leading dimensions, such as resamples.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Optional, Union

import numpy as np
import torch
from torch import Tensor

from ..core.labels import IGNORE
from ..core.words import check_choice

ABSENT = {'skip': float('nan'), 'zero': 0.0, 'one': 1.0}
MEANS = ('aAcc', 'mIoU', 'mPA', 'mPrecision', 'mF1', 'mDice', 'FWIoU')
PER_CLASS = ('IoU', 'Acc', 'Precision', 'F1', 'Dice')

Labels = Union[np.ndarray, Tensor]
_PIECE = 2**17  # pixels; an int64 piece of them is read twice from a cache of 1 MiB
_MIN_PART = 2**18  # pixels that are worth a thread
_INT16 = 2**15


def _as_integers(ids: Labels, name: str) -> Tensor:
    """Convert integer ids of any type to a tensor, without a copy where torch allows it."""
    if isinstance(ids, np.ndarray):
        if ids.dtype in (np.uint16, np.uint32, np.uint64):  # torch counts only signed integers
            ids = ids.astype(np.int64)
        ids = torch.from_numpy(np.ascontiguousarray(ids))
    if ids.is_floating_point() or ids.is_complex():
        raise ValueError(f'{name} must hold integer class ids, got {ids.dtype}')
    return ids.to(torch.uint8) if ids.dtype == torch.bool else ids


def _check(pred: Tensor, label: Tensor, num_classes: int, ignore_index: int) -> None:
    """Raise an error that names the ids out of range; slow, so only called after a failure."""
    wrong = torch.unique(pred[(pred < 0) | (pred >= num_classes)]).tolist()
    if wrong:
        raise ValueError(
            f'the prediction holds the class ids {wrong[:10]}, outside of 0..{num_classes - 1}: '
            f'the model and the dataset disagree about num_classes={num_classes}'
        )
    known = (label >= 0) & (label < num_classes) | (label == ignore_index)
    wrong = torch.unique(label[~known]).tolist()
    if wrong:
        raise ValueError(
            f'the label map holds the ids {wrong[:10]}, which are neither classes '
            f'0..{num_classes - 1} nor ignore_index={ignore_index}: correct the masks, the class '
            'list or reduce_zero_label'
        )


def _count_on_cpu(pred: Tensor, label: Tensor, num_rows: int, num_classes: int) -> Optional[Tensor]:
    """Count pairs in as many parts as torch has threads; None if an id is out of range."""
    ours, truth = pred.reshape(-1).numpy(), label.reshape(-1).numpy()
    parts = max(1, min(torch.get_num_threads(), ours.size // _MIN_PART))
    bounds = [ours.size * i // parts for i in range(parts + 1)]
    jobs = [(ours[a:b], truth[a:b], num_rows, num_classes) for a, b in zip(bounds, bounds[1:])]
    if parts == 1:
        return _count_part(*jobs[0])
    # The last part runs in this thread; numpy and torch release the GIL while they count.
    waiting = [_pool(os.getpid()).submit(_count_part, *job) for job in jobs[:-1]]
    counts = [_count_part(*jobs[-1]), *(job.result() for job in waiting)]
    known = [c for c in counts if c is not None]
    return torch.stack(known).sum(0) if len(known) == parts else None


@lru_cache(maxsize=1)
def _pool(pid: int) -> ThreadPoolExecutor:
    """Start threads once per process id, as a forked process inherits a pool without threads."""
    return ThreadPoolExecutor(thread_name_prefix='confusion')


def _count_part(
    ours: np.ndarray, truth: np.ndarray, num_rows: int, num_classes: int
) -> Optional[Tensor]:
    """Count ``label * K + pred`` as the narrowest integer type; None if an id is out of range.

    Labels are int64, so memory is the bottleneck: pieces that fit into the cache are checked and
    narrowed together, where numpy is faster than torch. As unsigned integers, negative ids are
    huge, so one maximum checks both limits.
    """
    bins = num_rows * num_classes
    dtype = np.int16 if bins <= _INT16 else np.int32
    phases = _phases(ours.size, bins)
    fused: Any = np.empty(ours.size, dtype)
    narrow = np.empty(min(ours.size, _PIECE), dtype)
    for start in range(0, ours.size, _PIECE):
        p, t = ours[start : start + _PIECE], truth[start : start + _PIECE]
        out, column = fused[start : start + _PIECE], narrow[: p.size]
        if p.view(f'u{p.itemsize}').max() >= num_classes:
            return None
        column[...] = p
        if t.view(f'u{t.itemsize}').max() >= num_rows:
            return None
        out[...] = t
        out *= num_classes
        out += column
        if phases > 1:
            out += _shifts(phases, bins)[: p.size]
    counts = torch.bincount(torch.from_numpy(fused), minlength=phases * bins)
    return counts.view(phases, bins).sum(0)


def _phases(pixels: int, bins: int) -> int:
    """Return how many counters each pair gets, which neighbouring pixels use by turns.

    Inside a segment every pixel would wait until the sum of its neighbour is stored. More counters
    pay only while they are few against the pixels and their index still has 16 bits.
    """
    return max(1, min(4, _INT16 // bins, pixels // bins))


@lru_cache(maxsize=4)
def _shifts(phases: int, bins: int) -> np.ndarray:
    """Offset of the counters of each pixel of a piece."""
    return np.resize(np.arange(phases, dtype=np.int16) * np.int16(bins), _PIECE)


def _count_on_device(
    pred: Tensor, label: Tensor, num_rows: int, num_classes: int
) -> Optional[Tensor]:
    """Do the same as :func:`_count_on_cpu` on the accelerator."""
    pred, label = pred.reshape(-1).long(), label.reshape(-1).long()
    right = (pred >= 0) & (pred < num_classes) & (label >= 0) & (label < num_rows)
    if not bool(right.all()):
        return None
    return torch.bincount(label * num_classes + pred, minlength=num_rows * num_classes)


def confusion_matrix(
    pred: Labels, label: Labels, num_classes: int, ignore_index: int = IGNORE
) -> np.ndarray:
    """Count pixels by (true class, predicted class).

    One ``bincount`` over a fused 16-bit index does it. Ignored pixels get a row of their own, so
    nothing is masked or copied.

    Args:
        pred: Predicted class ids of any shape, as integer array or tensor on any device.
        label: True class ids of the same shape.
        num_classes: K.
        ignore_index: Id of ignored pixels; a value below K leaves that class without labels.

    Returns:
        int64 array of shape ``(K, K)``; rows are the truth, columns the prediction.

    Raises:
        ValueError: If the shapes differ or an id is neither a class nor ignored.
    """
    pred, label = _as_integers(pred, 'pred'), _as_integers(label, 'label')
    if pred.shape != label.shape:
        raise ValueError(
            f'prediction and label map differ in size: {tuple(pred.shape)} and {tuple(label.shape)}'
        )
    if pred.numel() == 0:
        return np.zeros((num_classes, num_classes), np.int64)
    label, truth, num_rows = label.to(pred.device), label, max(num_classes, 256)
    row = ignore_index
    if not 0 <= ignore_index < num_rows:  # such as -100: map it to the row after the last class
        _check(pred, label, num_classes, ignore_index)
        row, num_rows = num_rows, num_rows + 1
        label = torch.where(label == ignore_index, row, label.long())
    count = _count_on_cpu if pred.device.type == 'cpu' else _count_on_device
    counts = count(pred, label, num_rows, num_classes)
    if counts is None:
        _check(pred, truth.to(pred.device), num_classes, ignore_index)
        raise AssertionError('unreachable: an id is out of range')
    matrix = counts.view(num_rows, num_classes).cpu().numpy()
    matrix[row] = 0
    if matrix[num_classes:].any():
        _check(pred, truth.to(pred.device), num_classes, ignore_index)
    return matrix[:num_classes].copy()


def counts_from_confusion(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reduce ``(K, K)`` to the true-positive, predicted and labelled pixels of each class."""
    return np.diagonal(matrix).copy(), matrix.sum(0), matrix.sum(1)


def _ratio(above: np.ndarray, below: np.ndarray, empty: Union[float, np.ndarray]) -> np.ndarray:
    """Divide in float64 with ``empty`` for 0 / 0."""
    out = np.full(np.broadcast(above, below).shape, empty, np.float64)
    return np.divide(above, below, out=out, where=below > 0)


def nanmean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis without NaNs; NaN without a warning if nothing is left."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(-1), defined.sum(-1), float('nan'))


def metrics_from_counts(
    tp: np.ndarray,
    pred: np.ndarray,
    label: np.ndarray,
    *,
    absent: str = 'skip',
    background: Optional[int] = None,
) -> dict[str, np.ndarray]:
    """Turn pixel counts into every mean and per-class score, as fractions in float64.

    Args:
        tp: True-positive pixels, shape ``(..., K)``.
        pred: Predicted pixels of each class that are not ignored, same shape.
        label: Labelled pixels of each class, same shape.
        absent: Value of a score of 0 / 0: ``'skip'`` leaves it out of the mean (NaN per class),
            ``'zero'`` and ``'one'`` count it as 0 or 1. The precision of a labelled class that is
            never predicted is always 0. A mean with nothing to average is NaN.
        background: Class id that ``mPA_no_bg`` and ``mPrecision_no_bg`` leave out; None omits both
            scores.

    Returns:
        The means with shape ``(...)``, ``MEANS`` first, and the ``PER_CLASS`` scores with ``(...,
        K)``.

    Raises:
        ValueError: If ``absent`` is unknown.
    """
    check_choice('absent', absent, ABSENT)
    empty, nan = ABSENT[absent], float('nan')
    iou = _ratio(tp, pred + label - tp, empty)
    f1 = _ratio(2 * tp, pred + label, empty)
    per_class = dict(
        IoU=iou,
        Acc=_ratio(tp, label, empty),
        Precision=_ratio(tp, pred, np.where(label > 0, 0.0, empty)),  # a labelled class was missed
        F1=f1,
        Dice=f1.copy(),
    )
    total = label.sum(-1)
    means = dict(
        aAcc=_ratio(tp.sum(-1), total, nan),
        mIoU=nanmean(iou),
        mPA=nanmean(per_class['Acc']),
        mPrecision=nanmean(per_class['Precision']),
        mF1=nanmean(f1),
        mDice=nanmean(f1),
        FWIoU=_ratio((label * np.nan_to_num(iou)).sum(-1), total, nan),
    )
    if background is not None:
        means['mPA_no_bg'] = nanmean(np.delete(per_class['Acc'], background, -1))
        means['mPrecision_no_bg'] = nanmean(np.delete(per_class['Precision'], background, -1))
    return {**means, **per_class}


def mean_names(scores: dict) -> list[str]:
    """List the names of the means in ``scores``, in their order."""
    return [name for name in scores if name not in PER_CLASS]


def metrics_from_confusion(
    matrix: np.ndarray, *, absent: str = 'skip', background: Optional[int] = None
) -> dict[str, Any]:
    """Compute all scores of a confusion matrix.

    Args:
        matrix: Integer array of shape ``(K, K)``, rows the truth, columns the prediction.
        absent: See :func:`metrics_from_counts`.
        background: See :func:`metrics_from_counts`.

    Returns:
        The means as floats, the per-class scores as arrays ``(K,)``, and ``absent_classes``, the
        sorted ids of classes without a labelled pixel.

    Raises:
        ValueError: If the matrix is not square or ``absent`` is unknown.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f'a confusion matrix is square, got the shape {matrix.shape}')
    tp, pred, label = counts_from_confusion(matrix)
    scores = metrics_from_counts(tp, pred, label, absent=absent, background=background)
    result: dict[str, Any] = {name: float(scores[name]) for name in mean_names(scores)}
    result.update({name: scores[name] for name in PER_CLASS})
    result['absent_classes'] = np.flatnonzero(label == 0).tolist()
    return result
