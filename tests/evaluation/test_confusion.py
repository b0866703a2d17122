"""Confusion matrices and scores against loops over pixels, hand tables and mmseg."""

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmseg_ext.evaluation.confusion import (
    MEANS,
    PER_CLASS,
    confusion_matrix,
    metrics_from_confusion,
    metrics_from_counts,
)

IGNORE = 255


def count_by_loop(pred, label, num_classes, ignore_index=IGNORE):
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for p, t in zip(np.ravel(pred), np.ravel(label)):
        if t != ignore_index:
            matrix[t, p] += 1
    return matrix


def score_by_loop(matrix):
    """The definitions, class by class, absent classes skipped."""
    total = matrix.sum()
    scores = {name: [] for name in ('IoU', 'Acc', 'Precision', 'F1')}
    weighted = 0.0
    for k in range(len(matrix)):
        tp = int(matrix[k, k])
        fn = int(matrix[k].sum()) - tp
        fp = int(matrix[:, k].sum()) - tp
        if tp + fp + fn:
            scores['IoU'].append(tp / (tp + fp + fn))
            scores['F1'].append(2 * tp / (2 * tp + fp + fn))
            weighted += (tp + fn) / total * scores['IoU'][-1]
        if tp + fn:
            scores['Acc'].append(tp / (tp + fn))
        if tp + fp + fn:  # labelled but never predicted: 0
            scores['Precision'].append(tp / max(tp + fp, 1))
    mean = {name: sum(values) / len(values) for name, values in scores.items()}
    return dict(
        aAcc=sum(int(matrix[k, k]) for k in range(len(matrix))) / total,
        mIoU=mean['IoU'],
        mPA=mean['Acc'],
        mPrecision=mean['Precision'],
        mF1=mean['F1'],
        mDice=mean['F1'],
        FWIoU=weighted,
    )


def draw(shape, num_classes, *, seed=0, ignored=0.2):
    random = np.random.default_rng(seed)
    pred = random.integers(0, num_classes, shape)
    label = random.integers(0, num_classes, shape)
    return pred, np.where(random.random(shape) < ignored, IGNORE, label)


@pytest.mark.parametrize('num_classes', [1, 2, 21, 128, 150, 256, 300])
def test_equals_a_loop_over_pixels(num_classes):
    # 150 classes overflow a 16-bit fused index; 300 have a class called 255, which is ignored.
    pred, label = draw((37, 41), num_classes)
    expected = count_by_loop(pred, label, num_classes)
    assert np.array_equal(confusion_matrix(pred, label, num_classes), expected)


def count_at_once(pred, label, num_classes):
    expected, kept = np.zeros((num_classes, num_classes), np.int64), label != IGNORE
    np.add.at(expected, (label[kept], pred[kept]), 1)
    return expected


def test_pieces_join_without_loss():
    pred, label = draw((501, 603), 21)  # longer than two pieces, and no multiple of one
    assert np.array_equal(confusion_matrix(pred, label, 21), count_at_once(pred, label, 21))


@pytest.mark.parametrize('dtype', ['bool', 'uint8', 'int16', 'uint16', 'int32', 'int64'])
@pytest.mark.parametrize('num_classes', [2, 40, 100, 150])
def test_segments_are_counted_by_turns_without_loss(dtype, num_classes):
    # many pixels a pair: four counters each with 2 classes, three with 40, one with 100 and 150
    if dtype == 'bool' and num_classes > 2:
        pytest.skip('a mask has two classes')
    pred, label = (np.repeat(x, 37, 1) for x in draw((301, 7), num_classes))
    label = np.where(label == IGNORE, 1, label) if dtype == 'bool' else label
    got = confusion_matrix(pred.astype(dtype), label.astype(dtype), num_classes)
    assert np.array_equal(got, count_at_once(pred, label, num_classes))


@pytest.mark.parametrize('dtype', ['uint8', 'int16', 'uint16', 'int32', 'int64'])
def test_containers_and_widths_agree(dtype):
    pred, label = draw((1, 9, 14), 5, seed=1)
    expected = count_by_loop(pred, label, 5)
    arrays = pred.astype(dtype), label.astype(dtype)
    assert np.array_equal(confusion_matrix(*arrays, 5), expected)
    mixed = torch.from_numpy(pred), arrays[1]
    assert np.array_equal(confusion_matrix(*mixed, 5), expected)


def test_views_are_counted_as_they_look():
    pred, label = draw((20, 30), 4)
    turned = torch.from_numpy(pred).t(), torch.from_numpy(label).t()
    expected = count_by_loop(pred[:, 3:17:2], label[:, 3:17:2], 4)
    assert np.array_equal(confusion_matrix(turned[0][3:17:2], turned[1][3:17:2], 4), expected)


def test_inputs_stay_untouched():
    pred, label = (torch.from_numpy(x.astype(np.int16)) for x in draw((8, 8), 4))
    before = pred.clone(), label.clone()
    confusion_matrix(pred, label, 4)
    assert torch.equal(pred, before[0]) and torch.equal(label, before[1])


@pytest.mark.parametrize('ignore_index', [-1, -100, 254, 255, 256, 2**31, 2])
def test_any_ignore_index(ignore_index):
    pred, label = draw((15, 16), 5)
    label = np.where(label == IGNORE, ignore_index, label)
    expected = count_by_loop(pred, label, 5, ignore_index)
    assert np.array_equal(confusion_matrix(pred, label, 5, ignore_index), expected)


@pytest.mark.parametrize('bad', [7, 254, 256, 65536 + 1, 2**40, -1])
def test_an_unknown_label_is_named(bad):
    pred, label = draw((6, 6), 5)
    label[2, 3] = bad
    with pytest.raises(ValueError, match=rf'\[{bad}\].*ignore_index=255'):
        confusion_matrix(pred, label, 5)


@pytest.mark.parametrize('bad', [5, 300, 65536, -1])
def test_an_unknown_prediction_is_named(bad):
    pred, label = draw((6, 6), 5)
    pred[2, 3] = bad
    with pytest.raises(ValueError, match=rf'\[{bad}\].*num_classes=5'):
        confusion_matrix(pred, label, 5)


def test_sizes_must_agree_and_floats_are_refused():
    with pytest.raises(ValueError, match=r'differ in size: \(2, 3\) and \(3, 2\)'):
        confusion_matrix(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)
    with pytest.raises(ValueError, match='pred must hold integer'):
        confusion_matrix(np.zeros((2, 2)), np.zeros((2, 2), int), 2)
    assert confusion_matrix(np.zeros((0, 3), int), np.zeros((0, 3), int), 2).sum() == 0


@pytest.mark.parametrize('seed', range(3))
def test_scores_equal_the_definitions(seed):
    pred, label = draw((23, 24), 7, seed=seed)
    pred[pred == 3] = 2  # class 3 is never predicted
    pred[pred == 5], label[label == 5] = 4, 4  # class 5 occurs nowhere
    matrix = confusion_matrix(pred, label, 7)
    got, expected = metrics_from_confusion(matrix), score_by_loop(matrix)
    for name in MEANS:
        assert got[name] == pytest.approx(expected[name], abs=1e-9)
    assert got['absent_classes'] == [5]
    assert np.isnan(got['IoU'][5]) and got['IoU'][3] == 0


def test_the_four_mious_of_one_prediction():
    """Data-set sums that skip the absent class give 0.600; the other readings differ."""
    images = [  # (prediction, label); class 2 occurs nowhere
        (np.array([[0, 1, 1]]), np.array([[0, 0, 1]])),  # IoU 1/2 and 1/2
        (np.array([[0, 0, 1, 1, 1]]), np.array([[0, 0, 0, 1, 1]])),  # IoU 2/3 and 2/3
    ]
    matrices = [confusion_matrix(pred, label, 3) for pred, label in images]
    total = sum(matrices)  # IoU (1 + 2) / (2 + 3) for both classes

    def mean_over_images(absent):
        return np.mean([metrics_from_confusion(m, absent=absent)['mIoU'] for m in matrices])

    assert metrics_from_confusion(total)['mIoU'] == pytest.approx(0.6, abs=1e-12)
    assert metrics_from_confusion(total)['mF1'] == pytest.approx(0.75, abs=1e-12)
    assert metrics_from_confusion(total, absent='one')['mIoU'] == pytest.approx(2.2 / 3, abs=1e-12)
    assert metrics_from_confusion(total, absent='zero')['mIoU'] == pytest.approx(0.4, abs=1e-12)
    assert mean_over_images('skip') == pytest.approx(7 / 12, abs=1e-12)
    assert mean_over_images('one') == pytest.approx(13 / 18, abs=1e-12)


def test_perfect_disjoint_and_empty():
    label = np.array([[0, 1, 2, IGNORE]])
    perfect = metrics_from_confusion(confusion_matrix(np.array([[0, 1, 2, 0]]), label, 3))
    assert all(perfect[name] == 1 for name in MEANS)
    disjoint = metrics_from_confusion(confusion_matrix(np.array([[1, 2, 0, 0]]), label, 3))
    assert all(disjoint[name] == 0 for name in MEANS)
    nothing = confusion_matrix(np.array([[0, 1]]), np.array([[IGNORE, IGNORE]]), 3)
    assert nothing.sum() == 0
    scores = metrics_from_confusion(nothing)
    assert all(np.isnan(scores[name]) for name in MEANS)
    assert scores['absent_classes'] == [0, 1, 2]


@pytest.mark.parametrize('absent, value', [('skip', np.nan), ('zero', 0), ('one', 1)])
def test_absent_classes_follow_the_declared_policy(absent, value):
    matrix = np.diag([4, 6, 0])
    scores = metrics_from_confusion(matrix, absent=absent)
    for name in PER_CLASS:
        assert scores[name][2] == pytest.approx(value, nan_ok=True)
    expected = 1 if absent == 'skip' else (2 + value) / 3
    for name in ('mIoU', 'mPA', 'mPrecision', 'mF1'):
        assert scores[name] == pytest.approx(expected, abs=1e-12)
    assert scores['aAcc'] == 1 and scores['FWIoU'] == 1  # weighted by labels: no policy needed
    with pytest.raises(ValueError, match="got 'none'"):
        metrics_from_confusion(matrix, absent='none')


def test_means_without_the_background():
    matrix = np.array([[90, 5, 5], [2, 6, 2], [0, 5, 15]])
    scores = metrics_from_confusion(matrix, background=0)
    assert scores['mPA_no_bg'] == pytest.approx((6 / 10 + 15 / 20) / 2, abs=1e-12)
    assert scores['mPrecision_no_bg'] == pytest.approx((6 / 16 + 15 / 22) / 2, abs=1e-12)


def test_leading_axes_are_scored_one_by_one():
    counts = np.random.default_rng(0).integers(0, 50, (4, 3, 6))
    tp = counts[:, 0]
    pred, label = tp + counts[:, 1], tp + counts[:, 2]
    together = metrics_from_counts(tp, pred, label)
    for index in range(4):
        alone = metrics_from_counts(tp[index], pred[index], label[index])
        for name in (*MEANS, *PER_CLASS):
            assert np.allclose(together[name][index], alone[name], atol=0, rtol=0, equal_nan=True)


def test_sums_beyond_float32_stay_exact():
    # 2**24 + 1 is the first integer that float32, and with it mmseg's histogram, cannot hold.
    scores = metrics_from_confusion(np.array([[2**24, 1], [0, 1]]))
    assert scores['Acc'][0] == 2**24 / (2**24 + 1)
    assert scores['IoU'][0] < 1


def test_equals_mmseg_where_both_agree():
    pred, label = draw((64, 64), 6, seed=4)
    pred[pred == 2], label[label == 2] = 0, 0
    areas = IoUMetric.intersect_and_union(torch.tensor(pred), torch.tensor(label), 6, IGNORE)
    areas = [area.double() for area in areas]
    theirs = IoUMetric.total_area_to_metrics(*areas, ['mIoU', 'mDice', 'mFscore'])
    ours = metrics_from_confusion(confusion_matrix(pred, label, 6))
    assert ours['aAcc'] == pytest.approx(float(theirs['aAcc']), abs=1e-9)
    for name, their_name in dict(
        IoU='IoU', Acc='Acc', Precision='Precision', F1='Fscore', Dice='Dice'
    ).items():
        assert np.allclose(ours[name], theirs[their_name], atol=1e-9, rtol=0, equal_nan=True)


def test_a_missed_class_lowers_f1_and_precision_here():
    # mmseg drops a class without a hit from both: 0 / 0 there, 0 here.
    scores = metrics_from_confusion(np.array([[5, 0], [5, 0]]))
    assert scores['mF1'] == pytest.approx(2 / 6, abs=1e-12)
    assert scores['mPrecision'] == pytest.approx(1 / 4, abs=1e-12)


@pytest.mark.gpu
def test_cuda_equals_cpu():
    pred, label = (torch.from_numpy(x) for x in draw((64, 65), 21))
    expected = confusion_matrix(pred, label, 21)
    assert np.array_equal(confusion_matrix(pred.cuda(), label.cuda(), 21), expected)
    assert np.array_equal(confusion_matrix(pred.cuda(), label.byte(), 21), expected)
    with pytest.raises(ValueError, match=r'\[77\]'):
        confusion_matrix(pred.cuda(), label.masked_fill(label == 3, 77).cuda(), 21)


@pytest.mark.parametrize('threads', [1, 2, 3])
def test_parts_in_threads_add_up(threads):
    rng = np.random.default_rng(0)
    pred, label = rng.integers(0, 21, (2, 1, 1537, 512))  # enough for three threads
    label[:, :30] = 255
    expected = count_at_once(pred, label, 21)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        np.testing.assert_array_equal(confusion_matrix(pred, label, 21), expected)
        pred[0, 0, 0] = 21  # in the first part; the last one is counted by the caller
        with pytest.raises(ValueError, match=r'class ids \[21\]'):
            confusion_matrix(pred, label, 21)
    finally:
        torch.set_num_threads(before)
