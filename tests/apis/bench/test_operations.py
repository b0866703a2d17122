"""The benchmarks of operations: equality is asserted, and a wrong result is refused."""

import importlib.util

import pytest

from mmseg_ext.apis.bench import operations, timing


def test_all_are_equal_to_their_peers():
    cases = timing.run('operations', repeats=1, size=64, batch=1)['cases']
    names = ' '.join(case['case'] for case in cases)
    assert len(cases) == 14 + (importlib.util.find_spec('monai') is not None)
    for what in ('focal', 'Dice', 'each class against', "teacher's", 'unpooling', 'CARAFE',
                 'DySample', 'ASPP', 'boundary F1', 'HD95'):  # fmt: skip
        assert what in names
    assert all(case['max_difference'] < 1e-4 for case in cases)


def test_a_difference_is_refused(monkeypatch):
    monkeypatch.setattr(operations, 'boundary_f1', lambda *args: operations.np.zeros(21))
    with pytest.raises(ValueError, match='boundary F1'):
        timing.run('operations', repeats=1, size=64, batch=1)
