"""Growth: exponents of known powers, and that each axis is measured at its sizes."""

import pytest

from mmseg_ext.apis.bench import growth, growth_data, timing
from mmseg_ext.apis.bench.fit import exponent, last_exponent
from mmseg_ext.apis.bench.words import lines_of
from mmseg_ext.apis.userdata.checks.check import check_data


def test_exponents_of_powers():
    sizes = [1, 2, 4, 8]
    assert exponent(sizes, [3 * size**2 for size in sizes]) == pytest.approx(2)
    assert exponent(sizes, [5, 5, 5, 5]) == pytest.approx(0)
    assert last_exponent(sizes, [9, 9, 2, 16]) == pytest.approx(3)
    assert last_exponent([4, 1], [8, 1]) == pytest.approx(1.5)
    with pytest.raises(ValueError, match='two sizes'):
        exponent([3, 3], [1, 2])


def test_a_network_is_measured_at_each_size(tiny_config, monkeypatch):
    monkeypatch.setattr(growth, 'SMALLEST', 32)
    monkeypatch.setattr(growth, '_ALIKE', 32)
    monkeypatch.setattr(growth, 'BATCHES', (1, 4))
    seen = []
    measure = growth._measure
    monkeypatch.setattr(
        growth, '_measure', lambda *args, **kw: seen.append(kw) or measure(*args, **kw)
    )
    pixels, batch, classes = timing.run('growth', repeats=1, configs=[str(tiny_config)], size=64)[
        'cases'
    ]
    assert pixels['sizes'] == [32**2, 64**2] and batch['sizes'] == [1, 4]
    assert classes['sizes'] == [2, 21, 171]
    assert seen == [
        dict(side=32), dict(side=64), dict(batch=1), dict(batch=4), dict(classes=2),
        dict(classes=21), dict(classes=171),
    ]  # fmt: skip
    for case in (pixels, batch):  # four times the maps, and what does not grow
        assert 2 * case['bytes'][0] < case['bytes'][1] < 4.5 * case['bytes'][0]
    with pytest.raises(ValueError, match='--size'):
        timing.run('growth', repeats=1, size=63)


def test_data_are_measured_at_each_size(monkeypatch):
    monkeypatch.setattr(growth_data, '_READ_ALL', 100)
    cases = timing.run('growth_data', repeats=1, count=1000)['cases']
    names = [case['case'] for case in cases]
    assert len(names) == 6 and names[-1] == 'scores and intervals of a test'
    assert [case['sizes'] for case in cases] == [[100, 1000]] * 3 + [[100]] * 3
    assert all(min(case['seconds']) > 0 and min(case['bytes']) > 0 for case in cases)
    assert cases[-1]['seconds_exponent'] is None and '–' in lines_of(cases[-1])[-1]
    with pytest.raises(ValueError, match='--count'):
        timing.run('growth_data', repeats=1, count=999)


def test_made_data_are_right(tmp_path, monkeypatch):
    monkeypatch.setattr(growth_data, '_READ_ALL', 20)
    file = growth_data._make(tmp_path / '30', 30)
    folder = tmp_path / '30/images'
    assert (folder / '0000025.png').samefile(folder / '0000005.png')
    report = check_data(file)
    assert len(report.of('train')) == 30 and not report.errors
    assert growth_data._counts(file)['images'] == 30
    assert len(growth_data._folds(file)) == 5 and len(growth_data._ids(file)) == 30
