"""Volumes of groups and their agreement, by hand."""

import numpy as np
import pytest

from mmseg_ext.evaluation.volumes import agreement, group_volumes


def test_sums_by_group():
    rows = np.arange(4 * 3 * 2).reshape(4, 3, 2)
    found = group_volumes(rows, ['b', 'a', 'b', 'a'])
    assert found.groups == ['a', 'b']
    np.testing.assert_array_equal(found.predicted, [[8 + 20, 9 + 21], [2 + 14, 3 + 15]])
    np.testing.assert_array_equal(found.truth, [[10 + 22, 11 + 23], [4 + 16, 5 + 17]])


def test_agreement_by_hand():
    found = agreement(np.array([100, 200, 0]), np.array([110, 190, 6]))
    # differences 10, -10, 6: mean 2, deviations 8, -12, 4, variance (64 + 144 + 16) / 2
    assert found.mean == 2 and found.relative == pytest.approx((0.1 + 0.05) / 2)
    assert found.high == pytest.approx(2 + 1.96 * 112**0.5)
    assert found.low == pytest.approx(2 - 1.96 * 112**0.5)
    alone = agreement(np.array([0]), np.array([3]))
    assert alone == (3, None, None, None)
