"""Finding a learning rate: what a curve says, and that nothing of the training stays."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from support.tiny import write_tiny_config
from support.user_folder import write_folder

from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.rates import advise, find_rate, write_rates
from mmseg_ext.engine.rate_range import RatePoint


def points(smoothed, *, low=1e-5):
    return [RatePoint(low * 10**i, 0.0, value) for i, value in enumerate(smoothed)]


def test_the_steepest_and_the_smallest_point_by_hand():
    # differences over two steps: 0, -.1, -.4, -1.2, -1.1, -.2, .3, 1.2
    curve = points([3, 3, 3, 2.9, 2.6, 1.7, 1.5, 1.5 - 1e-9, 1.8, 2.7])
    advice = advise(curve)
    assert advice.steepest == pytest.approx(1e-5 * 10**4)
    assert advice.lowest == pytest.approx(1e-5 * 10**7)
    assert advice.suggested == pytest.approx(0.1)  # the steepest, below a tenth of the smallest
    late = advise(points([3, 3, 2.9, 2.6, 2, 1.9, 5, 9, 3, 2.5, 2.2]))  # a fall behind a jump
    assert late.steepest == pytest.approx(1e-5 * 10**3)  # -.9 over two steps
    falling = advise(points([3 - 0.1 * i - 0.01 * i * i for i in range(12)]))
    assert falling.suggested == pytest.approx(falling.lowest / 10) == 1e-5 * 10**10


def test_a_curve_that_ends_at_once_asks_for_a_smaller_first_rate():
    with pytest.raises(ValueError, match=r'after 3 steps: give a smaller first rate \(--low\)'):
        advise(points([1, 2, 9]))


@pytest.mark.parametrize(
    'wrong', [dict(low=0.0), dict(low=1.0, high=0.1), dict(high=math.inf), dict(steps=9)]
)
def test_numbers_out_of_range_are_one_line(wrong):
    with pytest.raises(ValueError, match='rates must rise from above 0, over at least 10 steps'):
        find_rate(None, **wrong)


def test_a_range_of_a_row_leaves_no_folder_behind(tmp_path):
    write_folder(tmp_path / 'data', size=(40, 40), counts=(4, 2))
    config = write_tiny_config(tmp_path / 'tiny.py', tmp_path / 'data')
    cfg = load_config(config, dataset=tmp_path / 'data/mine.yml', work_dir=tmp_path / 'work')
    advice = find_rate(cfg, low=1e-5, high=10.0, steps=12)
    assert not (tmp_path / 'work').exists()
    assert 10 <= len(advice.points) <= 12
    factor = 10 ** (6 / 11)
    rates = [point.rate for point in advice.points]
    assert rates == pytest.approx([1e-5 * factor**i for i in range(len(rates))])
    table, picture = write_rates(advice, tmp_path / 'out')
    lines = table.read_text().splitlines()
    assert lines[0] == 'rate,loss,smoothed' and len(lines) == 1 + len(rates)
    assert lines[1].startswith(f'1e-05,{advice.points[0].loss:.6g},')
    assert ElementTree.parse(picture).getroot().tag.endswith('svg')
