"""Several processes: the bytes of a ring and the estimate by hand, and two real processes."""

import pytest

from mmseg_ext.apis.bench import ranks, timing
from mmseg_ext.apis.bench.words import lines_of


def test_bytes_and_estimate_by_hand():
    assert ranks.sent(100, 1) == 0 and ranks.sent(100, 2) == 100 and ranks.sent(100, 4) == 150
    found = ranks.estimate(40e12 / 3, 25e9, 16)  # a second of work
    waiting = 2 * 7 / 8 * 25 / 300 + 2 * 1 / 2 * 25 / 25
    assert found['seconds'] == pytest.approx(1 + waiting)
    assert found['efficiency'] == pytest.approx(1 / (1 + waiting))
    assert found['bytes'] == pytest.approx(2 * 15 / 16 * 25e9)
    with pytest.raises(ValueError, match='--batch 3'):
        timing.run('ranks', repeats=1, batch=3)


@pytest.mark.slow
def test_two_processes_train(tiny_config):
    cases = timing.run('ranks', repeats=1, configs=[str(tiny_config)], size=32, batch=4, count=2)[
        'cases'
    ]
    assert [case['ranks'] for case in cases] == [1, 2, 8, 16, 32, 64, 128, 256, 512]
    assert cases[0]['bytes'] == 0 and cases[1]['bytes'] > 0
    assert all(case['seconds'] > 0 for case in cases)
    assert '2 processes' in lines_of(cases[1])[0]
