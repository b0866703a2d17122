"""Bootstrap intervals against loops that draw images one by one, and against exact properties."""

import numpy as np
import pytest

from mmseg_ext.evaluation import bootstrap
from mmseg_ext.evaluation.bootstrap import (
    bootstrap_distribution,
    bootstrap_means,
    percentile_interval,
    resample_weights,
)
from mmseg_ext.evaluation.confusion import MEANS, metrics_from_confusion, metrics_from_counts


def draw_matrices(num_images, num_classes=4, *, seed=0):
    random = np.random.default_rng(seed)
    matrices = random.integers(0, 30, (num_images, num_classes, num_classes))
    matrices[:, np.arange(num_classes), np.arange(num_classes)] += 60
    matrices[1:, -1] = 0  # the last class is labelled in one image only
    return matrices


def counts_of(matrices):
    return np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(1), matrices.sum(2)


@pytest.mark.parametrize('chunk', [1, 3, 7, 1000])
def test_equals_adding_up_drawn_images(chunk, monkeypatch):
    matrices = draw_matrices(7)
    pieces = list(resample_weights(7, 20, seed=5, chunk=chunk))
    weights = np.concatenate([piece for _, piece in pieces], 1)
    assert [i for where, _ in pieces for i in range(where.start, where.stop)] == list(range(7))
    monkeypatch.setattr(bootstrap, '_CHUNK', chunk)
    got = bootstrap_distribution(*counts_of(matrices), num_resamples=20, seed=5)
    for index in range(20):
        drawn = np.repeat(np.arange(7), weights[index])
        assert len(drawn) == 7
        total = np.zeros_like(matrices[0])
        for image in drawn:
            total = total + matrices[image]
        expected = metrics_from_confusion(total)
        for name in MEANS:
            assert got[name][index] == pytest.approx(expected[name], abs=1e-12)


def test_weights_are_multinomial_across_pieces():
    # Mean 1, variance 1 - 1/N and covariance -1/N, inside of pieces and between them.
    weights = np.concatenate([w for _, w in resample_weights(5, 40000, seed=1, chunk=2)], 1)
    assert (weights.sum(1) == 5).all() and weights.min() >= 0
    expected = np.eye(5) - 1 / 5
    assert np.abs(weights.mean(0) - 1).max() < 0.02  # four standard errors
    assert np.abs(np.cov(weights.T) - expected).max() < 0.04


def test_same_seed_same_interval_other_seed_other():
    counts = counts_of(draw_matrices(12))
    first = bootstrap_means(*counts, num_resamples=100, seed=0)
    assert first == bootstrap_means(*counts, num_resamples=100, seed=0)
    assert first['mIoU'] != bootstrap_means(*counts, num_resamples=100, seed=1)['mIoU']
    value = metrics_from_counts(*(c.sum(0) for c in counts))
    for name in MEANS:
        assert first[name]['value'] == value[name]
        assert first[name]['low'] < first[name]['value'] < first[name]['high']


def test_two_images_by_hand():
    # One class is right in image 0 and wrong in image 1: a resample holds image 0 with the counts
    # 0, 1, 2 and the chances 1/4, 1/2, 1/4, so aAcc is 0, 1/2 or 1, and both ends are reached.
    tp, pred, label = (
        np.array([[10, 0], [0, 0]]),
        np.array([[10, 0], [0, 10]]),
        np.array([[10, 0], [10, 0]]),
    )
    drawn = bootstrap_distribution(tp, pred, label, num_resamples=8000)['aAcc']
    values, times = np.unique(drawn, return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    assert np.abs(times / 8000 - [0.25, 0.5, 0.25]).max() < 0.02  # four standard errors
    means = bootstrap_means(tp, pred, label)
    assert (means['aAcc']['low'], means['aAcc']['high']) == (0, 1)


def test_equal_images_leave_no_doubt():
    counts = counts_of(np.repeat(draw_matrices(1), 6, 0))
    for entry in bootstrap_means(*counts, num_resamples=50).values():
        assert entry['low'] == pytest.approx(entry['value'], abs=1e-12)
        assert entry['high'] == pytest.approx(entry['value'], abs=1e-12)


def test_intervals_cover_the_truth():
    """About 95 of 100 intervals of the pixel accuracy hold the true value."""
    random = np.random.default_rng(3)
    covered = 0
    for repetition in range(200):
        right = random.binomial(100, random.beta(8, 2, 60))  # images differ; the mean is 0.8
        tp = np.stack([right, np.zeros_like(right)], 1)
        label = np.tile([100, 0], (60, 1))
        pred = np.stack([right, 100 - right], 1)
        entry = bootstrap_means(tp, pred, label, num_resamples=200, seed=repetition)['aAcc']
        covered += entry['low'] <= 0.8 <= entry['high']
    assert 179 <= covered <= 198  # 190 expected; four standard deviations of 3.1, less at the top


def test_groups_are_drawn_whole():
    matrices = draw_matrices(9)
    names = ['b', 'a', 'b', 'c', 'a', 'c', 'c', 'b', 'a']
    grouped = np.stack([sum(m for m, n in zip(matrices, names) if n == name) for name in 'abc'])
    got = bootstrap_distribution(*counts_of(matrices), num_resamples=30, groups=names)
    expected = bootstrap_distribution(*counts_of(grouped), num_resamples=30)
    assert np.array_equal(got['mIoU'], expected['mIoU'])
    # every image its own group: the same as no groups
    alone = bootstrap_distribution(*counts_of(matrices), num_resamples=30, groups=list(range(9)))
    plain = bootstrap_distribution(*counts_of(matrices), num_resamples=30)
    assert np.array_equal(alone['mIoU'], plain['mIoU'])


def test_percentiles():
    low, high = percentile_interval(np.arange(1001.0))
    assert (low, high) == pytest.approx((25, 975))
    assert percentile_interval(np.array([np.nan, 3.0])) == (3, 3)
    assert np.isnan(percentile_interval(np.array([np.nan]))).all()


def test_memory_does_not_grow_with_the_images(tmp_path):
    import tracemalloc

    def peak(num_images):
        path = tmp_path / f'{num_images}.raw'
        np.ones((num_images, 5), np.int64).tofile(path)
        counts = np.memmap(path, np.int64, 'r').reshape(-1, 5)
        tracemalloc.start()
        bootstrap_means(counts, counts, counts, num_resamples=50)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(20000) < 1.2 * peak(2500)


def test_bad_arguments_are_named():
    counts = counts_of(draw_matrices(3))
    with pytest.raises(ValueError, match='one shape'):
        bootstrap_means(counts[0][:2], *counts[1:])
    with pytest.raises(ValueError, match='0 images'):
        bootstrap_means(*(c[:0] for c in counts))
    with pytest.raises(ValueError, match='num_resamples=0'):
        bootstrap_means(*counts, num_resamples=0)
    with pytest.raises(ValueError, match='2 groups for 3 images'):
        bootstrap_means(*counts, groups=['a', 'b'])
    with pytest.raises(ValueError, match='got 95'):
        bootstrap_means(*counts, level=95)
