"""tables.yml of every paper, choosing tables and rows, and finding runs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config
from support.paths import ROOT

from mmseg_ext.apis.run.outcome.results import RunResults
from mmseg_ext.apis.tables.folders import find_runs, run_folder
from mmseg_ext.apis.tables.rows import choose_rows, choose_table, papers, read_tables

CONFIGS = ROOT / 'configs'
TABLES = [table for paper in papers(CONFIGS) for table in read_tables(paper, CONFIGS).values()]
ROWS = [(table, row) for table in TABLES for row in table.rows]


def test_every_paper_has_tables():
    assert papers(CONFIGS) == ['deeplabv2', 'fmsi', 'mfp', 'segnet', 'survey']
    names = {(table.paper, table.table) for table in TABLES}
    assert {('fmsi', n) for n in '123'} | {('mfp', n) for n in '12345'} <= names
    assert ('segnet', '2') in names


def test_every_named_config_exists():
    assert [row.config for _, row in ROWS if row.config and row.path is None] == []
    assert all(row.config or row.note for _, row in ROWS)


def test_every_config_is_in_a_row():
    files = [p for p in CONFIGS.glob('[a-z]*/*.py') if not p.name.startswith('_')]
    assert len(files) >= 115
    assert {path.stem for path in files} <= {row.config for _, row in ROWS}


def test_numbers_are_printed_where_there_are_data_to_compare_with():
    assert sum(len(row.printed) for _, row in ROWS) >= 195
    for table, row in ROWS:
        known = {*table.metrics, 'parameters'}
        assert {*row.printed, *row.best_epoch} <= known and set(row.unstated) <= set(row.printed)
        assert not (row.printed or row.best_epoch) or table.protocol.dataset


def test_the_papers_data_are_those_that_the_configs_test_on():
    tables = [table for table in TABLES if table.protocol.dataset]
    assert len(tables) >= 13
    for table in tables:
        path = next(row.path for row in table.rows if row.path is not None)
        found = RunResults({}).described(Config.fromfile(path))
        assert found.name == table.protocol.dataset, (table.paper, table.table)
        assert table.protocol.split in (None, found.split), (table.paper, table.table)


# Read off the papers' text, row by row.
PRINTED = {
    ('fmsi', '3', 'mIoU'): [78.98, 80.28, 80.63, 81.06, 81.65],
    ('fmsi', '3', 'mPA'): [85.45, 88.86, 88.45, 89.53, 90.13],
    ('fmsi', '2', 'mF1'): [84.5, 85.6],
    ('fmsi', '1', 'mIoU'): [60.14, 69.93, 73.29, 78.98, 67.80, 81.65],
    ('mfp', '1', 'mIoU'): [81.86, 82.01, 82.70, 82.89],
    ('mfp', '2', 'mDice'): [89.93, 89.80, 89.86, 89.97, 90.07, 89.82, 90.09, 90.31],
    ('mfp', '3', 'parameters'): [5817224, 6886984, 6012580, 5633832],
    ('mfp', '4', 'mPA'): [88.80, 88.75, 88.62, 90.25, 87.92, 90.66, 91.45, 93.90],
    ('mfp', '5', 'mPrecision'): [86.73, 87.01, 87.80, 87.97],
    ('segnet', '2', 'mIoU'): [72.4, 80.71],
    ('survey', 'few-labels-voc', 'mIoU'): [70.57, 71.19, 75.94, 77.31, 78.53],
    ('survey', 'few-labels-voc-r101', 'mIoU'): [74.5, 76.7, 78.4, 79.5, 80.6],
    ('survey', 'few-labels-deeplabv2-voc', 'mIoU'): [65.60, 67.65, 68.43],
    ('deeplabv2', 'voc', 'mIoU'): [76.65, 77.93, 65.44, 69.60, 68.96],
}


@pytest.mark.parametrize('key', PRINTED, ids=' '.join)
def test_printed_numbers(key):
    paper, number, metric = key
    rows = choose_table(read_tables(paper, CONFIGS), number).rows
    assert [row.printed[metric] for row in rows if metric in row.printed] == PRINTED[key]


def test_the_best_epoch_stands_beside_the_last():
    """UniMatch's logs and README; its best epoch is never below its last."""
    tables = read_tables('survey', CONFIGS)
    best = {
        number: [row.best_epoch['mIoU'] for row in tables[number].rows if row.best_epoch]
        for number in ('few-labels-voc', 'few-labels-voc-r101')
    }
    assert best['few-labels-voc'] == [71.90, 72.48, 75.96, 77.39, 78.70]
    assert best['few-labels-voc-r101'] == [
        45.1, 55.3, 64.8, 69.7, 73.5, 75.2, 77.2, 78.8, 79.9, 81.2
    ]  # fmt: skip
    both = [row for number in best for row in tables[number].rows if row.printed]
    assert len(both) == 10 and all(r.best_epoch['mIoU'] >= r.printed['mIoU'] for r in both)


def write(root: Path, text: str, *configs: str) -> Path:
    """A folder of configs with one paper."""
    (root / 'toy').mkdir(parents=True, exist_ok=True)
    (root / 'toy' / 'tables.yml').write_text(text)
    for name in configs:
        (root / 'toy' / f'{name}.py').touch()
    return root


TOY = """
protocol: {seeds: [3, 4]}
tables:
  1:
    caption: two rows
    rows:
      - {label: Base, config: base}
      - {label: Base + CRF, config: base, weights_of: Base, options: {model.type: CRF}}
      - {label: Other, config: other}
"""


def test_names_that_do_not_exist_say_which_one_is_near(tmp_path):
    root = write(tmp_path, TOY, 'base')
    with pytest.raises(ValueError, match="no paper with tables 'tois': did you mean toy"):
        read_tables('tois', root)
    tables = read_tables('toy', root)
    with pytest.raises(ValueError, match="no table '11': did you mean 1?"):
        choose_table(tables, '11')
    with pytest.raises(ValueError, match="no row of table 1 'othr': did you mean Other?"):
        choose_rows(tables['1'], ['othr'])
    rows = tuple(replace(row, config='deep_net_voc12aug') for row in tables['1'].rows)
    with pytest.raises(ValueError, match="'deep_net_voc': did you mean deep_net_voc12aug?"):
        choose_rows(replace(tables['1'], rows=rows), ['deep_net_voc'])
    with pytest.raises(ValueError, match="no table 'x': there are '1'"):
        choose_table(tables, 'x')


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('caption: two rows', 'capton: two rows', "no key 'capton': did you mean caption"),
        ('label: Other, config', 'label: Other, confg', "no key 'confg': did you mean config"),
        ('seeds:', 'seed:', "no key 'seed': did you mean seeds"),
        ('label: Other', 'label: Base', 'labels must be unique'),
        ('label: Other', 'label: "a, b"', 'without a comma'),
        ('weights_of: Base', 'weights_of: Bose', "no row 'Bose': did you mean Base"),
        ('rows:\n', 'rows: [\n', 'tables.yml: while parsing'),
        ('    rows:', '    baseline: Bass\n    rows:', "no row 'Bass'"),
        ('    rows:', '    chart: mIOU\n    rows:', "no metric 'mIOU': did you mean mIoU"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path, old, new, message):
    assert old in TOY
    with pytest.raises(ValueError, match=message) as error:
        read_tables('toy', write(tmp_path, TOY.replace(old, new), 'base'))
    assert str(tmp_path / 'toy' / 'tables.yml') in str(error.value)


def test_rows_are_chosen_by_label_or_config_and_bring_their_weights(tmp_path):
    table = read_tables('toy', write(tmp_path, TOY, 'base', 'other'))['1']
    assert [row.label for row in choose_rows(table, ['OTHER']).rows] == ['Other']
    assert choose_rows(table, ['other']).baseline == 'Other' and table.baseline == 'Base'
    crf = choose_rows(table, ['base + crf'])
    assert [row.label for row in crf.rows] == ['Base', 'Base + CRF'] and crf.baseline == 'Base'
    assert choose_rows(table, None) is table and table.protocol.seeds == (3, 4)


def test_folders_of_runs_are_told_apart(tmp_path):
    base, crf, _ = read_tables('toy', write(tmp_path, TOY))['1'].rows
    assert run_folder(base, 3, 'w') == Path('w/base_seed3')
    assert run_folder(crf, 3, 'w') == Path('w/base_base_crf_seed3')
    place = dict(folds=5, dataset='mine')
    assert run_folder(base, 0, 'w', **place) == Path('w/base-mine_kfold5_seed0')


def test_all_seeds_that_were_tested_are_found(tmp_path):
    table = read_tables('toy', write(tmp_path, TOY, 'base'))['1']
    tested = ('base_seed2', 'base_seed10', 'base_old_seed1', 'base-mine_seed1', 'other_seed1')
    for name in (*tested, 'base_seed5'):
        (tmp_path / 'w' / name).mkdir(parents=True)
        if name in tested:
            (tmp_path / 'w' / name / 'results.json').touch()
    base, crf, other = find_runs(table, tmp_path / 'w').rows
    assert [run.name for run in base.runs] == ['base_seed2', 'base_seed10'] and crf.runs == ()
    assert [run.name for run in other.runs] == ['other_seed1']
    chosen = find_runs(table, tmp_path / 'w', seeds=[10, 7]).rows[0]
    assert [run.name for run in chosen.runs] == ['base_seed10']


def test_folds_are_found_in_order(tmp_path):
    text = re.sub(r'seeds: .*}', 'folds: 12}', TOY)
    table = read_tables('toy', write(tmp_path, text, 'base'))['1']
    for fold in (10, 2):
        folder = tmp_path / f'base_kfold12_seed0/fold{fold}'
        folder.mkdir(parents=True)
        (folder / 'results.json').touch()
    (tmp_path / 'base_seed0').mkdir()
    (tmp_path / 'base_seed0' / 'results.json').touch()  # not a fold
    assert [run.name for run in find_runs(table, tmp_path).rows[0].runs] == ['fold2', 'fold10']


@pytest.mark.parametrize(
    'entry, named',
    [
        (dict(printed='x'), 'printed'),
        (dict(printed=dict(mIoU='high')), 'printed.mIoU'),
        (dict(tolerance='wide'), 'tolerance'),
        (dict(note=3), 'note'),
    ],
)
def test_entries_of_another_kind_are_named(tmp_path, entry, named):
    import yaml

    (tmp_path / 'paper').mkdir()
    rows = [dict(dict(label='a', config='c'), **entry)]
    content = dict(tables={1: dict(caption='x', rows=rows)})
    (tmp_path / 'paper/tables.yml').write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=rf'tables\.yml: table 1, a: {named} is'):
        read_tables('paper', tmp_path)
