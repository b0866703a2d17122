"""A table's score as bars, against values written by hand."""

import json

import pytest
from scipy.stats import t

from mmseg_ext.apis.cards import chart
from mmseg_ext.apis.cards.tables import table_lines


def _line(metric, *values):
    mean = sum(values) / len(values) if values else None
    return dict(metric=metric, values=list(values), mean=mean, sd=None, difference=None,
                verdict='not stated', remark='')  # fmt: skip


def _table(**others):
    rows = [
        dict(label='low', lines=[_line('mIoU', 90.0), _line('aAcc', 50.0, 54.0)]),
        dict(label='not run', lines=[_line('mIoU'), _line('aAcc')]),
        dict(label='high', lines=[_line('mIoU', 20.0), _line('aAcc', 70.0)]),
    ]
    rows = [
        dict(row, note='', starred=False, optimistic=False, incomplete='', facts=None)
        for row in rows
    ]
    return dict(paper='p', table='a-1', chart='aAcc', caption='c', dataset='', on_paper_data=False,
                note='', baseline='low', command='', rows=rows, **others)  # fmt: skip


def test_bars_are_the_means_best_first_without_rows_that_were_not_run():
    bars = chart.bars_of(_table())
    assert bars == [('high', 70.0, [70.0]), ('low', 52.0, [50.0, 54.0])]
    assert chart.bars_of(dict(_table(), chart='')) == []


def test_what_is_drawn(monkeypatch):
    drawn = []
    monkeypatch.setattr(chart, 'save_figure', lambda figure: drawn.append(figure.axes[0]) or b'')
    chart.draw(chart.bars_of(_table()), 'aAcc')
    (axes,) = drawn
    assert [bar.get_width() for bar in axes.patches] == [70.0, 52.0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ['high', 'low']
    one, two, interval = (list(line.get_xdata()) for line in axes.lines)
    assert (one, two) == ([70.0], [50.0, 54.0])
    reach = t.ppf(0.975, 1) * 8**0.5 / 2**0.5  # the standard deviation of 50 and 54 is sqrt(8)
    assert interval == pytest.approx([52 - reach, 52 + reach])


def test_the_card_shows_the_file_that_is_made(tmp_path):
    (tmp_path / 'results').mkdir()
    (tmp_path / 'results' / 'table_a-1.json').write_text(json.dumps(_table()))
    (name,) = made = chart.pictures(tmp_path)
    assert made[name].lstrip().startswith(b'<?xml') and name == 'p_table_a_1_aacc.svg'
    assert sum(f'](../../docs/results/{name})' in line for line in table_lines(_table())) == 1
