"""The benchmark of a report: its made-up table is one that the tool prints."""

import pytest

from mmseg_ext.apis.bench import report, timing
from mmseg_ext.apis.tables.rows import read_tables


@pytest.mark.slow
def test_a_small_table_and_its_page():
    table, page = timing.run('report', repeats=1, count=6)['cases']
    assert table['case'] == 'the table, 6 runs' and table['limit_s'] == 10
    assert 0 < table['seconds'] and page['limit_s'] == 20


def test_copies_are_named_apart(tmp_path, monkeypatch):
    def run(words, home):
        folder = tmp_path / 'runs/small00_seed0'
        folder.mkdir(parents=True, exist_ok=True)
        text = '{"config": "small00", "seed": 0, "dir": "runs/small00_seed0"}'
        (folder / 'results.json').write_text(text)
        (folder / 'small00.py').write_text('x = 1')
        return 0.0

    monkeypatch.setattr(report, '_time', run)
    report._make(tmp_path, 2)
    other = tmp_path / 'runs/small01_seed2'
    assert sorted(path.name for path in other.iterdir()) == ['results.json', 'small01.py']
    expected = '{"config": "small01", "seed": 2, "dir": "runs/small01_seed2"}'
    assert (other / 'results.json').read_text() == expected
    table = read_tables('made', tmp_path / 'configs')['1']
    assert [row.config for row in table.rows] == ['small00', 'small01']
