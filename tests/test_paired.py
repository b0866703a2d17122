"""Paired bootstrap against loops that draw images one by one, Holm against a table by hand."""

import math

import numpy as np
import pytest

from mmseg_ext.evaluation.bootstrap import bootstrap_distribution, resample_weights
from mmseg_ext.evaluation.confusion import metrics_from_confusion
from mmseg_ext.evaluation.paired import holm, paired_difference


def draw_model(num_images, *, right, seed):
    random = np.random.default_rng(seed)
    matrices = random.integers(0, 30, (num_images, 3, 3))
    matrices[:, np.arange(3), np.arange(3)] += random.integers(0, right, (num_images, 3))
    return matrices


def counts_of(matrices):
    return np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(1), matrices.sum(2)


def test_equals_scoring_both_models_on_images_drawn_one_by_one():
    ours, other = draw_model(9, right=60, seed=5), draw_model(9, right=60, seed=6)
    drawn = [bootstrap_distribution(*counts_of(m), num_resamples=400, seed=3)['mIoU']
             for m in (ours, other)]  # fmt: skip
    score, reference = (metrics_from_confusion(m.sum(0))['mIoU'] for m in (ours, other))
    got = paired_difference(score, reference, *drawn)
    differences = []
    for weights in np.concatenate([w for _, w in resample_weights(9, 400, seed=3)], 1):
        images = np.repeat(np.arange(9), weights)
        one, two = (metrics_from_confusion(sum(m[i] for i in images))['mIoU']
                    for m in (ours, other))  # fmt: skip
        differences.append(one - two)
    assert got.value == pytest.approx(score - reference, abs=1e-12)
    low, high = np.quantile(differences, [0.025, 0.975])
    assert (got.low, got.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))
    below, above = sum(d <= 0 for d in differences), sum(d >= 0 for d in differences)
    assert 0 < min(below, above) < 200  # neither end of the scale: the count matters
    assert got.p == pytest.approx(2 * (min(below, above) + 1) / 401, abs=1e-12)


def test_p_by_hand():
    drawn, zero = np.array([0.1, 0.2, 0.3, -0.1]), np.zeros(4)
    assert paired_difference(0.1, 0.0, drawn, zero).p == pytest.approx(2 * 2 / 5)
    assert paired_difference(-0.1, 0.0, -drawn, zero).p == pytest.approx(2 * 2 / 5)  # two-sided
    all_above = paired_difference(0.2, 0.0, np.full(999, 0.2), np.zeros(999))
    assert all_above.p == pytest.approx(2 / 1000) and all_above.low == all_above.high == 0.2


def test_a_model_against_itself_is_no_different():
    drawn = np.random.default_rng(0).random(50)
    assert paired_difference(0.5, 0.5, drawn, drawn) == (0.0, 0.0, 0.0, 1.0)


def test_undefined_resamples_are_left_out():
    drawn = np.array([0.1, np.nan, 0.2])
    assert paired_difference(0.1, 0.0, drawn, np.zeros(3)).p == pytest.approx(2 / 3)
    nothing = paired_difference(0.1, 0.0, np.full(3, np.nan), np.zeros(3))
    assert math.isnan(nothing.p) and math.isnan(nothing.low)
    with pytest.raises(ValueError, match=r'need the same resamples, got \(3,\) and \(4,\)'):
        paired_difference(0.1, 0.0, drawn, np.zeros(4))


def test_paired_intervals_are_narrower_where_images_are_hard_for_both():
    random = np.random.default_rng(0)
    ours = draw_model(40, right=10, seed=0)
    ours[:, 0, 0] += random.integers(0, 900, 40)  # hard and easy images
    other = ours.copy()
    other[:, 0, 0] -= random.integers(0, 3, 40)
    drawn = [bootstrap_distribution(*counts_of(m), num_resamples=300)['mIoU']
             for m in (ours, other)]  # fmt: skip
    paired = paired_difference(0, 0, *drawn)
    assert paired.high - paired.low < 0.1 * (drawn[0].max() - drawn[0].min())


@pytest.mark.parametrize(
    ('p_values', 'expected'),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # 3x, floor, 2x, 4x
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, None, float('nan'), 0.03], [0.04, None, None, 0.04]),  # two comparisons; floor
        ([0.2], [0.2]),
        ([None], [None]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values, expected):
    assert holm(p_values) == [e if e is None else pytest.approx(e) for e in expected]
