"""Areas and tests of hand-made curves."""

import pytest

from mmseg_ext.apis.labels.curve import area, compare, swap_p, verdict


def test_the_area_is_the_mean_height():
    assert area([(0.1, 0.4), (0.2, 0.6), (0.4, 0.7)]) == pytest.approx((0.05 + 0.13) / 0.3)
    assert area([(0.4, 0.7), (0.1, 0.4), (0.2, 0.6)]) == area([(0.1, 0.4), (0.2, 0.6), (0.4, 0.7)])
    assert area([(0.1, 0.5), (0.9, 0.5)]) == pytest.approx(0.5)
    assert area([(0.1, 0.5)]) is None


def test_p_is_the_share_of_swaps_that_are_as_large():
    assert swap_p([1.0, 1.0, 1.0]) == 0.25
    assert swap_p([1.0, 2.0, -0.5]) == 0.5  # means 2.5 and 3.5 of four
    assert swap_p([0.1] * 6) == 2 / 64
    assert swap_p([0.0, 0.0]) == 1.0
    assert swap_p([]) is None
    assert swap_p([1.0] * 20) < 0.01


def test_pairs_are_compared_on_common_seeds_and_corrected():
    areas = dict(
        a={s: 0.5 + 0.01 * s for s in range(6)},
        b={s: 0.4 + 0.01 * s for s in range(6)},
        c={0: 0.5, 9: 0.1},
    )
    first, second, third = compare(areas)
    assert (first['first'], first['second'], first['seeds']) == ('a', 'b', list(range(6)))
    assert first['difference'] == pytest.approx(0.1)
    assert (first['p'], first['p_holm']) == (2 / 64, 3 * 2 / 64)
    assert second['seeds'] == [0] and second['p'] == 1.0
    assert compare(dict(a={0: 1.0}, b={1: 1.0}))[0]['p'] is None


def test_few_seeds_show_nothing():
    three = compare(dict(a={s: 1.0 for s in range(3)}, b={s: 0.0 for s in range(3)}))
    assert verdict(three).startswith('3 seeds show no difference at 5 %')
    assert 'smallest p is 0.25' in verdict(three)
    six = compare(dict(a={s: 1.0 for s in range(6)}, b={s: 0.0 for s in range(6)}))
    assert verdict(six) == 'a and b differ by +100.00 (5 % after Holm, 6 seeds)'
    same = compare(dict(a={s: 1.0 for s in range(6)}, b={s: 1.0 for s in range(6)}))
    assert verdict(same) == 'no pair of 1 differs at 5 % after Holm, over 6 seeds'
    assert verdict([]) == 'one strategy: nothing to compare'
