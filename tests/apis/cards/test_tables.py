"""A table on a card: a line a row, against cells written by hand."""

import json

from mmseg_ext.apis.cards.tables import tables_section
from mmseg_ext.apis.tables.text import facts_lines


def _line(metric, mean, **others):
    line = dict(metric=metric, mean=mean, printed=None, sd=None, difference=None, values=[mean],
                verdict='not stated', remark='')  # fmt: skip
    return dict(line, **others)


def _table(rows, **others):
    data = dict(paper='p', table='1', caption='toys', dataset='', on_paper_data=True, note='',
                baseline=None, command='python tools/table.py p 1', rows=rows)  # fmt: skip
    return dict(data, **others)


def _row(label, *lines, **others):
    row = dict(label=label, note='', starred=False, optimistic=False, incomplete='', facts=None)
    return dict(row, lines=list(lines), **others)


def _cells(lines):
    rows = [line for line in lines if line.startswith('|')]
    return [[cell.strip() for cell in row.strip('| ').split(' | ')] for row in rows]


def test_a_row_is_a_line(tmp_path):
    (tmp_path / 'results').mkdir()
    small = _row(
        'small',
        _line('mIoU', 50.0, printed=51.25, difference=-1.25, values=[49, 51], sd=1.4142,
              verdict='outside'),
        _line('parameters', 1234567, verdict='not stated'),
        starred=True, incomplete='1 of 5 folds',
    )  # fmt: skip
    large = _row('large', _line('mIoU', None, values=[], verdict='not run'))
    data = _table([small, large])
    (tmp_path / 'results' / 'table_1.json').write_text(json.dumps(data))
    lines = tables_section(tmp_path)
    head, _, one, other = _cells(lines)
    assert dict(zip(head, one)) == {
        'row': 'small *', 'mIoU, paper': '51.25', 'mIoU': '50.00 ± 1.41',
        'mIoU, difference': '-1.25', 'parameters, paper': '', 'parameters': '1,234,567',
        'runs': '2', 'verdict': 'outside; not stated, 1 of 5 folds',
    }  # fmt: skip
    assert other[0] == 'large' and 'not run' in other[-1]
    assert '`python tools/table.py p 1`' in lines


def test_without_a_printed_number_there_is_no_column_for_it(tmp_path):
    (tmp_path / 'results').mkdir()
    data = _table([_row('a', _line('mIoU', 50.0, remark='seed 0 only'))], on_paper_data=False)
    (tmp_path / 'results' / 'table_2.json').write_text(json.dumps(data))
    head, _, row = _cells(tables_section(tmp_path))
    assert head == ['row', 'mIoU', 'mIoU, difference', 'runs', 'verdict']
    assert row == ['a', '50.00', '', '1', 'not stated (seed 0 only)']


def test_what_holds_for_all_is_said_once(tmp_path):
    (tmp_path / 'results').mkdir()
    facts = [dict(dataset='D', seed=[0]), dict(dataset='D', seed=[0, 1])]
    rows = [_row(name, _line('mIoU', 50.0), facts=each) for name, each in zip('ab', facts)]
    for name in ('1', '2'):
        data = _table(rows, table=name, command=f'python tools/table.py p {name}')
        (tmp_path / 'results' / f'table_{name}.json').write_text(json.dumps(data))
    lines = tables_section(tmp_path)
    assert sum(line.startswith('Scores in per cent.') for line in lines) == 1
    shared = [line for line in lines if line.startswith('data: D; ')]
    assert len(shared) == 1 and '; seeds: 0, 1; ' in shared[0]
    assert sum(line.startswith('### ') for line in lines) == 2
    assert not any(one == other == '' for one, other in zip(lines, lines[1:]))


def test_facts_that_differ_stand_with_their_rows_or_in_brief_together():
    start = dict(dataset='D', images=3, iterations='400', checkpoints=['iter_400.pth'])
    one = dict(start, init='random', seed='0', commit='a' * 40, hardware='X, 1', date='1')
    two = dict(start, init='random', seed=['0', '1'], commit=['a' * 40, 'b' * 40], date=['1', '2'])
    two['hardware'] = ['X, 1', 'Y, 2']
    three = dict(one, init='ImageNet')
    rows = [_row(name, facts=each) for name, each in zip('abc', (one, two, three))]
    assert facts_lines(_table(rows), brief=True) == [
        'data: D',
        'test images: 3',
        'start: random (a, b); ImageNet (c)',
        'seeds: 0, 1',
        'iterations: 400',
        'checkpoints: iter_400.pth',
        'commit: aaaaaaa, bbbbbbb',
        'hardware: X, 1 and Y, 2',
        'date: 1, 2',
    ]
    whole = facts_lines(_table(rows))
    assert (
        'seeds: 0 (a, c); 0, 1 (b)' in whole
        and 'commit: aaaaaaa (a, c); aaaaaaa, bbbbbbb (b)' in whole
    )
    assert facts_lines(_table([_row('a')])) == []


def test_no_file_is_no_table(tmp_path):
    assert tables_section(tmp_path) == []
