"""Intervals: influences against numerical derivatives and jackknives, intervals by hand."""

import tracemalloc

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from mmseg_ext.evaluation.confusion import PER_CLASS, mean_names, metrics_from_counts
from mmseg_ext.evaluation.influence import class_gradients, mean_gradients
from mmseg_ext.evaluation.intervals import (
    NONE,
    logit_interval,
    mean_interval,
    ratio_interval,
    score_intervals,
    t_interval,
    unit_counts,
)


def draw_rows(num_units, num_classes=4, *, seed=0, rare=None):
    """Counts of units as ``(N, 3, K)``; the last class is labelled in the first ``rare`` only."""
    random = np.random.default_rng(seed)
    matrices = random.integers(0, 30, (num_units, num_classes, num_classes))
    matrices[:, np.arange(num_classes), np.arange(num_classes)] += 60
    if rare is not None:
        matrices[rare:, -1] = 0
    tp = np.diagonal(matrices, axis1=1, axis2=2)
    return np.stack([tp, matrices.sum(1), matrices.sum(2)], 1)


def weighted_scores(rows, weights, **policy):
    return metrics_from_counts(*np.einsum('n,nck->ck', weights, rows), **policy)


POLICIES = [
    dict(absent=absent, background=background)
    for absent, background in (('skip', None), ('zero', 0), ('one', 2))
]


@pytest.mark.parametrize('policy', POLICIES)
def test_influences_are_derivatives_with_respect_to_the_weights_of_units(policy):
    rows = draw_rows(6, seed=1, rare=2)
    rows[:, :, 1] = 0  # a class that occurs nowhere
    sums, step = rows.sum(0), 1e-6
    means, classes = mean_gradients(sums, **policy), class_gradients(sums)
    scores = metrics_from_counts(*sums, **policy)
    assert list(means) == mean_names(scores)
    for unit in range(6):
        ends = [
            weighted_scores(rows, 1 + sign * step * np.eye(6)[unit], **policy) for sign in (1, -1)
        ]
        for name, gradient in means.items():
            expected = (ends[0][name] - ends[1][name]) / (2 * step)
            assert (rows[unit] * gradient.whole).sum() == pytest.approx(expected, abs=1e-8)
        for name in PER_CLASS:
            expected = np.nan_to_num(ends[0][name] - ends[1][name]) / (2 * step)
            assert (rows[unit] * classes[name]).sum(0) == pytest.approx(expected, abs=1e-8)


def by_hand(rows):
    """The interval of the mean IoU, by the formulas as they are printed."""
    tp, union = rows[:, 0], rows[:, 1] + rows[:, 2] - rows[:, 0]
    n, (total_tp, total) = len(rows), (tp.sum(0), union.sum(0))
    influences = np.mean((tp * total - total_tp * union) / total**2, 1)
    error = np.sqrt(n / (n - 1) * np.sum((influences - influences.mean()) ** 2))
    score = np.mean(total_tp / total)
    reach = stats.t.ppf(0.975, n - 1) * error / (score * (1 - score))
    return error, (expit(logit(score) - reach), expit(logit(score) + reach))


@pytest.mark.parametrize('num_units', [3, 7, 50])
def test_mean_iou_is_the_printed_formula(num_units):
    rows = draw_rows(num_units, seed=num_units)
    assert score_intervals(rows).means['mIoU'] == pytest.approx(by_hand(rows)[1], abs=1e-12)


def test_it_nears_the_jackknife_that_leaves_one_out():
    gaps = []
    for n in (20, 80, 320):
        rows = draw_rows(n, seed=3)
        left_out = np.array([np.mean(_iou(rows.sum(0) - row)) for row in rows])
        jackknife = np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2))
        gaps.append(abs(jackknife / by_hand(rows)[0] - 1))
    assert gaps[0] < 0.1 and gaps[1] < 0.6 * gaps[0] and gaps[2] < 0.6 * gaps[1]  # as 1 / n


def _iou(sums):
    return sums[0] / (sums[1] + sums[2] - sums[0])


def test_pixel_accuracy_of_three_images_by_hand():
    # 8, 9 and 4 of 10 pixels right: accuracy 0.7, influences 1 / 30, 2 / 30 and -3 / 30
    right = np.array([8, 9, 4])
    rows = np.zeros((3, 3, 2), np.int64)
    rows[:, 0, 0], rows[:, 1, 0], rows[:, 1, 1], rows[:, 2, 0] = right, right, 10 - right, 10
    error = np.sqrt(3 / 2 * (1 + 4 + 9)) / 30
    reach = 4.302652729749464 * error / (0.7 * 0.3)
    expected = tuple(1 / (1 + np.exp(-(np.log(0.7 / 0.3) + s * reach))) for s in (-1, 1))
    assert score_intervals(rows).means['aAcc'] == pytest.approx(expected, abs=1e-12)
    assert expected[0] < 0.1 and expected[1] > 0.97  # three images say little


def test_a_class_of_few_units_has_its_own_number():
    rows = draw_rows(9, seed=2, rare=4)
    found = score_intervals(rows)
    assert found.class_units == [9, 9, 9, 4] and found.units == 9
    tp, union = rows[:, 0, 3], (rows[:, 1] + rows[:, 2] - rows[:, 0])[:, 3]
    iou = tp.sum() / union.sum()
    error = np.sqrt(4 / 3 * np.sum(((tp - iou * union) / union.sum()) ** 2))
    reach = stats.t.ppf(0.975, 3) * error / (iou * (1 - iou))
    expected = expit(logit(iou) - reach), expit(logit(iou) + reach)
    assert found.classes['IoU'][3] == pytest.approx(expected, abs=1e-12)
    assert score_intervals(draw_rows(9, rare=2)).classes['IoU'][3] == NONE


def test_a_class_of_one_unit_is_as_uncertain_as_the_others():
    rows = draw_rows(6, seed=4, rare=1)
    shares = np.full(4, 0.25)
    influence = np.einsum('nck,ck->nk', rows, class_gradients(rows.sum(0))['IoU'])
    of_one = [6 * 6 / 5 * np.sum(influence[:, k] ** 2) for k in range(3)]  # variance of one unit
    variance = 6 / 5 * np.sum((influence @ shares) ** 2)
    # The last class has no factor 6 / 5 of its own: it is labelled in one unit.
    factors = np.array([1, 1, 1, np.sqrt(5 / 6)])
    variance = 6 / 5 * np.sum((influence @ (shares * factors)) ** 2) + np.mean(of_one) / 16
    score = np.mean(_iou(rows.sum(0)))
    reach = stats.t.ppf(0.975, 5) * np.sqrt(variance) / (score * (1 - score))
    expected = expit(logit(score) - reach), expit(logit(score) + reach)
    assert score_intervals(rows).means['mIoU'] == pytest.approx(expected, abs=1e-12)


def test_groups_are_units():
    rows = draw_rows(9)
    names = ['b', 'a', 'b', 'c', 'a', 'c', 'd', 'b', 'a']
    grouped = np.stack([sum(r for r, n in zip(rows, names) if n == name) for name in 'abcd'])
    assert score_intervals(rows, groups=names) == score_intervals(grouped)
    assert score_intervals(rows, groups=list(range(9))) == score_intervals(rows)
    assert score_intervals(rows, groups=names).units == 4


def test_images_without_a_label_are_no_units():
    rows = draw_rows(5)
    padded = np.concatenate([rows, np.zeros((7, *rows.shape[1:]), np.int64)])
    assert score_intervals(padded) == score_intervals(rows)


def test_where_nothing_is_known_there_is_no_interval():
    assert set(score_intervals(draw_rows(2)).means.values()) == {NONE}
    assert set(score_intervals(draw_rows(9), groups=[0, 1, 1] * 3).means.values()) == {NONE}
    assert set(score_intervals(np.zeros((4, 3, 2), np.int64)).means.values()) == {NONE}
    same = np.repeat(draw_rows(1), 6, 0)  # no image differs: nothing says how another one would
    assert set(score_intervals(same).means.values()) == {NONE}
    perfect = np.array([[[5, 0], [5, 0], [5, 0]], [[9, 0], [9, 0], [9, 0]]] * 2)
    assert set(score_intervals(perfect).means.values()) == {NONE}


def test_one_class_and_many_units():
    rows = draw_rows(30, num_classes=2)[:, :, :1]
    found = score_intervals(rows, background=None)
    assert found.means['mIoU'] == pytest.approx(found.classes['IoU'][0], abs=1e-12)


def test_several_runs_have_the_interval_of_their_mean():
    one, other = draw_rows(8, seed=5), draw_rows(8, seed=6)
    other[:, 2] = one[:, 2]
    step = 1e-6
    influences = [
        sum(
            weighted_scores(rows, 1 + sign * step * np.eye(8)[unit])['mIoU'] * sign
            for rows in (one, other)
            for sign in (1, -1)
        )
        / (4 * step)
        for unit in range(8)
    ]
    score = np.mean([np.mean(_iou(rows.sum(0))) for rows in (one, other)])
    error = np.sqrt(8 / 7 * np.sum(np.square(influences)))
    expected = logit_interval(score, error, 8)
    assert score_intervals(one, other).means['mIoU'] == pytest.approx(expected, abs=1e-7)
    twice, once = (score_intervals(*runs).means['mIoU'] for runs in ((one, one), (one,)))
    assert twice == pytest.approx(once, abs=1e-12)


def test_means_over_images():
    values = np.array([0.5, np.nan, 0.7, 0.9])
    error = np.std([0.5, 0.7, 0.9], ddof=1) / np.sqrt(3)
    assert mean_interval(values) == pytest.approx(logit_interval(0.7, error, 3), abs=1e-12)
    low, high = mean_interval(10 * values, bounded=False)
    assert high == pytest.approx(7 + stats.t.ppf(0.975, 2) * 10 * error)
    assert low == pytest.approx(7 - stats.t.ppf(0.975, 2) * 10 * error)
    assert mean_interval(np.array([0.1, 8.0, 0.1]), bounded=False)[0] == 0  # no length is negative
    assert mean_interval(values, groups=['a', 'b', 'c', 'c']) == NONE
    # Groups of 1, 2 and 1 images: a mean over images is a ratio of sums over groups.
    values, groups = np.array([0.2, 0.4, 0.6, 0.9]), ['a', 'b', 'b', 'c']
    grouped = ratio_interval(np.array([0.2, 1.0, 0.9]), np.array([1, 2, 1]))
    assert mean_interval(values, groups=groups) == pytest.approx(grouped, abs=1e-12)


def test_ends():
    assert t_interval(0.0, 1.0, 3) == pytest.approx((-4.302652729749464, 4.302652729749464))
    assert t_interval(0.3, 0.1, 21, level=0.9) == pytest.approx((0.3 - 0.1724718, 0.3 + 0.1724718))
    low, high = logit_interval(0.99, 0.2, 4)
    assert 0 < low < 0.99 < high <= 1
    for score, error, n in (
        (0, 0.1, 9),
        (1, 0.1, 9),
        (0.5, np.nan, 9),
        (np.nan, 1, 9),
        (0.5, 1, 2),
    ):
        assert logit_interval(score, error, n) == NONE


def test_memory_does_not_grow_with_the_images(tmp_path):
    def peak(num_images):
        path = tmp_path / f'{num_images}.raw'
        draw_rows(num_images, 5).tofile(path)
        rows = np.memmap(path, np.int64, 'r').reshape(-1, 3, 5)
        tracemalloc.start()
        score_intervals(rows)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(20000) < 1.2 * peak(2500)


def test_bad_arguments_are_named():
    rows = draw_rows(3)
    with pytest.raises(ValueError, match=r'the shape \(N, C, K\), got \(3, 3\)'):
        score_intervals(rows[:, 0, :3])
    with pytest.raises(ValueError, match='2 groups for 3 images'):
        score_intervals(rows, groups=['a', 'b'])
    with pytest.raises(ValueError, match='got 95'):
        score_intervals(rows, level=95)


@pytest.mark.parametrize('empty', [0, 3, 5000])
def test_units_on_disk_are_those_in_memory(tmp_path, empty):
    """Images without labels are left out of a memory map without a copy of it in memory."""
    rows = np.random.default_rng(0).integers(1, 9, (5000, 3, 4))
    rows[np.random.default_rng(1).permutation(5000)[:empty], 2] = 0
    rows.tofile(tmp_path / 'rows')
    mapped = np.memmap(tmp_path / 'rows', rows.dtype, 'r', shape=rows.shape)
    found = unit_counts(mapped)
    assert np.array_equal(found, rows[rows[:, 2].any(1)]) and len(found) == 5000 - empty
    if 0 < empty < 5000:
        assert isinstance(found, np.memmap) and score_intervals(mapped) == score_intervals(rows)
