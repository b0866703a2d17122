"""results.csv: what is written is read back, and what is wrong is named with line and column."""

import csv
import json

import pytest

from mmseg_ext.apis.cards.results_csv import add_record, read_records, write_records

RUN = dict(
    config='a',
    dataset=dict(name='Data, set', split='val', num_images=9),
    init='a.pth; rest "random"',
    converted=dict(part='start', file='b.pth', origin='them', source='x'),
    seed=0,
    iterations=5,
    options='--cfg-options a=[1,2]',
    parameters=12345678,
    metrics=dict(mIoU=dict(value=0.123456, low=0.1, high=0.2), aAcc=dict(value=0.5)),
    intervals=dict(unit='frame', units=9, videos={'one': 4, 'a=b': 5}),
    old_interval=True,
    validation_miou={'50': 0.25, '100': 0.5},
    dirty=False,
    commit='0' * 40,
)
FOLDS = dict(
    config='b',
    metrics=dict(mIoU=dict(value=0.5)),
    intervals=dict(unit='patient', units=7),
    num_folds=3,
    folds=[0, 2],
    seed=[3, 4],
    dirty=[False, True],
    commit=['a' * 40, 'b' * 40],
    num_images=[4, 3],
    per_fold=dict(mIoU=[0.25, 0.75], HD95=[None, 2.5]),
)


def test_what_is_written_is_read_back(tmp_path):
    path = write_records([FOLDS, RUN], tmp_path)
    assert read_records(tmp_path) == [RUN, FOLDS]
    head, *rows = path.read_text().splitlines()
    assert len(rows) == 2 and 'BF' not in head.split(','), 'a column that nobody fills'


def test_a_run_takes_the_place_of_the_same_run_only(tmp_path):
    add_record(RUN, tmp_path)
    for others in (dict(seed=1), dict(options=None), dict(num_folds=2, per_fold={}), dict(seed=0)):
        again = dict(RUN, commit='f' * 40, **others)
        add_record({key: value for key, value in again.items() if value is not None}, tmp_path)
    found = read_records(tmp_path)
    assert [r['commit'][0] for r in found if r['seed'] == 0 and 'options' in r] == ['f', 'f']
    assert len(found) == 4


@pytest.mark.parametrize('text, said', [
    ('config,metric\na,1\n', 'no column metric'),
    ('seed,mIoU\n0,1\n', 'its columns have no config'),
    ('config,seed,mIoU\na,x,1\n', "line 2, column seed: 'x'"),
    ('config,parameters,mIoU,dirty\na,1,0.5,maybe\n', 'column dirty.*neither yes nor no'),
    ('config,parameters,mIoU\na,1,0.5\nb,2\n', 'line 3: 3 cells are expected'),
    ('config,parameters,mIoU\na,1,0.5,7\n', 'line 2: 3 cells are expected'),
    ('config,parameters,mIoU\na,,0.5\n', 'the row of a lacks parameters'),
    ('config;parameters;mIoU\na;1;0.5\n', 'separate cells with commas'),
    ('config,parameters,seed,mIoU\na,1,4,0.5\na,1,4,0.25\n', 'the run of a, seed 4, .*twice'),
])  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, text, said):
    (tmp_path / 'results.csv').write_text(text)
    with pytest.raises(ValueError, match=f'results.csv.*{said}'):
        read_records(tmp_path)


@pytest.mark.parametrize('content', ['config\n\xe9'.encode('latin-1'), 'config\n'.encode('utf-16')])
def test_another_encoding_is_named(tmp_path, content):
    (tmp_path / 'results.csv').write_bytes(content)
    with pytest.raises(ValueError, match='results.csv is no UTF-8'):
        read_records(tmp_path)


def test_what_a_spreadsheet_saves_is_read(tmp_path):
    path = write_records([FOLDS, RUN], tmp_path)
    rows = list(csv.reader(path.read_text().splitlines()))
    with path.open('w', encoding='utf-8-sig', newline='') as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator='\r\n').writerows(rows)
    assert path.read_bytes().startswith(b'\xef\xbb\xbf"config"')
    assert read_records(tmp_path) == [RUN, FOLDS]


def test_no_file_is_no_run(tmp_path):
    assert read_records(tmp_path) == []


def test_an_origin_is_readable_json(tmp_path):
    text = write_records([RUN], tmp_path).read_text()
    start = text.index('"{')
    quoted = text[start + 1 : text.index('}"', start) + 1].replace('""', '"')
    assert json.loads(quoted) == RUN['converted']
