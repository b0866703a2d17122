"""A part of the simulation of intervals and tests: they hold, and it sees when they do not."""

import numpy as np
import pytest
from support.tools import load_tool


@pytest.fixture(scope='module')
def tool():
    return load_tool('dev/interval_simulation')


@pytest.mark.parametrize(
    'units, rare, grouped', [(4, False, True), (6, True, False), (10, False, False)]
)
def test_intervals_hold_and_differences_are_rarely_found(tool, units, rare, grouped):
    line = tool.simulate(units, rare=rare, grouped=grouped, sets=300, seed=5)
    assert line.coverage >= 90 and line.of_difference >= 90  # of 300 sets; 1.5 is one deviation
    assert line.false <= 6.5 and line.false_holm <= 7
    assert (line.false == 0) == (units < 6)
    assert np.isnan(line.of_class) if rare else line.of_class >= 88


def test_too_narrow_intervals_show(tool, monkeypatch):
    """Images of a group taken for units of their own: what the units are for."""
    rng = np.random.default_rng(0)
    truth = tool.true_iou(4, rare=False, grouped=True).mean()
    held = []
    for _ in range(60):
        rows = tool.draw(rng, (1, 4), has=np.ones((1, 4), bool), rows=1, grouped=True)
        split = np.repeat(rows, 9, axis=2)  # nine alike images, each a unit
        iou = tool.iou_of(split.sum(2)).mean(-1)[0]
        error = tool.mean_error(tool.influences(split)[0], np.full((1, 5), 36))
        held.append(tool.holds(iou, error, 36, truth)[0])
    assert np.mean(held) < 0.7


@pytest.mark.parametrize('gap', [0.0, 0.3])
def test_intervals_of_the_calibration_error_hold(tool, gap):
    assert tool.simulate_calibration(6, gap=gap, spread=0.3, sets=200, seed=2) >= 91
