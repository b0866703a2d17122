"""Paired permutation against every swap made one by one, Holm against a table by hand."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mmseg_ext.evaluation.confusion import metrics_from_counts
from mmseg_ext.evaluation.paired import holm, paired_difference


def draw_rows(num_units, *, right=60, seed=0, label=None):
    """Counts ``(N, 3, 3)`` of a model, against the labels of another one if they are given."""
    random = np.random.default_rng(seed)
    label = random.integers(50, 90, (num_units, 3)) if label is None else label
    tp = (label * random.uniform(0, right / 100, (num_units, 3))).astype(int)
    pred = tp + random.integers(0, 30, (num_units, 3))
    return np.stack([tp, pred, label], 1)


def _miou(rows, name='mIoU'):
    return float(metrics_from_counts(*rows.sum(0))[name])


def _swap(ours, theirs, swaps):
    chosen = np.array(swaps, bool)[:, None, None]
    return np.where(chosen, theirs, ours), np.where(chosen, ours, theirs)


@pytest.mark.parametrize('name', ['mIoU', 'aAcc'])
def test_equals_making_every_swap(name):
    ours = draw_rows(7, right=90, seed=5)
    theirs = draw_rows(7, right=60, seed=6, label=ours[:, 2])
    found = paired_difference([ours], [theirs], name)
    value = _miou(ours, name) - _miou(theirs, name)
    assert found.value == pytest.approx(value, abs=1e-12)
    larger = 0
    for swaps in itertools.product([0, 1], repeat=7):
        one, two = _swap(ours, theirs, swaps)
        larger += abs(_miou(one, name) - _miou(two, name)) >= abs(value) - 1e-12
    assert 2 < larger < 128  # neither end of the scale: the count matters
    assert found.p == larger / 128


def test_more_units_are_drawn_and_near_what_all_swaps_give(monkeypatch):
    ours = draw_rows(12, right=70, seed=1)
    theirs = draw_rows(12, right=60, seed=2, label=ours[:, 2])
    exact = paired_difference([ours], [theirs]).p
    monkeypatch.setattr('mmseg_ext.evaluation.paired.MAX_EXACT', 11)
    drawn = paired_difference([ours], [theirs])
    assert 0.01 < exact < 0.5 and drawn.p != exact
    assert abs(drawn.p - exact) < 4 * np.sqrt(exact / 10_000)
    assert drawn == paired_difference([ours], [theirs])  # and always the same
    assert paired_difference([ours], [theirs], num_draws=99).p * 100 % 1 == pytest.approx(0)


def test_the_smallest_p_of_few_units():
    for n, smallest in ((3, 0.25), (5, 0.0625), (6, 0.03125)):
        theirs = draw_rows(n, right=50, seed=n)
        ours = theirs.copy()
        ours[:, 0] += 20  # better in every image
        assert paired_difference([ours], [theirs]).p == smallest
    two = paired_difference([draw_rows(2)], [draw_rows(2)])
    assert two == (0.0, None, None, None)


def test_a_model_against_itself_is_no_different():
    rows = draw_rows(9)
    assert paired_difference([rows], [rows]) == (0.0, None, None, 1.0)


def test_the_interval_is_that_of_the_influences():
    ours = draw_rows(11, right=90, seed=7)
    theirs = draw_rows(11, right=70, seed=8, label=ours[:, 2])
    step, influences = 1e-6, []
    for unit in range(11):
        ends = []
        for sign in (1, -1):
            weights = (1 + sign * step * np.eye(11)[unit])[:, None, None]
            ends.append(_miou(weights * ours) - _miou(weights * theirs))
        influences.append((ends[0] - ends[1]) / (2 * step))
    reach = stats.t.ppf(0.975, 10) * np.sqrt(11 / 10 * np.sum(np.square(influences)))
    found = paired_difference([ours], [theirs])
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach))


def test_paired_intervals_are_narrower_where_images_are_hard_for_both():
    ours = draw_rows(40, right=100, seed=0)
    theirs = ours.copy()
    theirs[:, 0] -= np.random.default_rng(0).integers(0, 2, (40, 3)) * (theirs[:, 0] > 0)
    shuffled = theirs[::-1].copy()
    paired, apart = (paired_difference([ours], [rows]) for rows in (theirs, shuffled))
    assert paired.value == pytest.approx(apart.value)
    assert paired.high - paired.low < 0.2 * (apart.high - apart.low)


def test_seeds_are_averaged_and_swapped_together():
    label = draw_rows(6)[:, 2]
    ours = [draw_rows(6, right=95, seed=seed, label=label) for seed in (1, 2)]
    theirs = [draw_rows(6, right=85, seed=3, label=label)]
    value = np.mean([_miou(rows) for rows in ours]) - _miou(theirs[0])
    larger = 0
    for swaps in itertools.product([0, 1], repeat=6):
        swapped = [_swap(rows, theirs[0], swaps) for rows in ours]
        larger += abs(np.mean([_miou(a) - _miou(b) for a, b in swapped])) >= abs(value) - 1e-12
    found = paired_difference(ours, theirs)
    assert found.value == pytest.approx(value) and found.p == larger / 64
    same = paired_difference(ours, ours[::-1])
    assert same.value == pytest.approx(0, abs=1e-15) and same.p == 1


def test_units_that_differ_are_refused():
    with pytest.raises(ValueError, match=r'need the same units, got counts of \[\(3,.*\(4,'):
        paired_difference([draw_rows(3)], [draw_rows(4)])


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
