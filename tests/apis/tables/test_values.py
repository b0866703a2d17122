"""Mean, deviation, difference and verdict against tables computed by hand; how they are printed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mmseg_ext.apis.cards.tables import table_lines
from mmseg_ext.apis.run.outcome.results import DataFacts, RunResults
from mmseg_ext.apis.tables.rows import Protocol, Row, Table
from mmseg_ext.apis.tables.text import as_data, format_markdown, format_text, write_table
from mmseg_ext.apis.tables.values import run_facts, spread, table_values, verdict

PAPER = dict(name='VOCDataset', split='val', num_images=1449)


def write_run(
    folder: Path, config: str, seed: int, scores: dict, dataset: dict = PAPER, **others: object
) -> Path:
    """What a tested run leaves, scores in per cent."""
    folder.mkdir(parents=True)
    metrics = {name: dict(value=value / 100) for name, value in scores.items()}
    facts = dict(config=config, seed=seed, dataset=dataset, hardware='CPU', commit='abc',
                 iterations=9, checkpoint='best_mIoU_iter_9.pth')  # fmt: skip
    (folder / 'results.json').write_text(json.dumps(dict(facts, metrics=metrics, **others)))
    return folder


@pytest.fixture
def table(tmp_path) -> Table:
    """Base at 50, 53, 56; Better at 60 once; Odd with a disputed number; Never without a run."""
    runs = [
        write_run(tmp_path / f'base_seed{seed}', 'base', seed, dict(mIoU=value, mPA=70))
        for seed, value in enumerate((50, 53, 56))
    ]
    better = write_run(tmp_path / 'better_seed0', 'better', 0, dict(mIoU=60, mPA=81))
    odd = write_run(tmp_path / 'odd_seed0', 'odd', 0, dict(mIoU=10))
    path = Path('x.py')
    rows = (
        Row('Base', 'base', dict(mIoU=58.9, mPA=71.5), path=path, runs=tuple(runs)),
        Row('Better', 'better', dict(mIoU=61), path=path, runs=(better,)),
        Row('Odd', 'odd', dict(mIoU=90), unstated=dict(mIoU='of boxes'), path=path, runs=(odd,)),
        Row('Never', 'never', dict(mIoU=70), path=path),
        Row('Absent', 'absent', dict(mIoU=70)),
    )
    protocol = Protocol(dataset='VOCDataset', split='val', images=1449)
    return Table('toy', '3', 'a toy', rows, ('mIoU', 'mPA'), 'Base', protocol)


def by_row(values) -> dict:
    return {(line.label, line.metric): line for line in values.lines}


def test_every_seed_sees_the_same_images(table) -> None:
    facts = table_values(table).facts
    assert facts['Base']['images'] == facts['Better']['images'] == 1449, 'three seeds and one'
    assert run_facts(_folds(759, 758, seed=0) + _folds(759, 758, seed=1))['images'] == 1517
    assert run_facts(_folds(759, 758, seed=0) + _folds(759, seed=1))['images'] == [1517, 759]


def _folds(*counts: int, seed: int) -> list:
    data = [DataFacts('X', num_images=count) for count in counts]
    return [RunResults({}, seed=seed, dataset=facts) for facts in data]


def test_spread() -> None:
    assert spread([]) == (None, None) and spread([4.0]) == (4.0, None)
    assert spread([50, 53, 56]) == (53, 3)  # ((-3)² + 0 + 3²) / 2 = 9
    assert spread([1, 2]) == (1.5, pytest.approx(0.5**0.5))


@pytest.mark.parametrize(
    ('ours', 'sd', 'printed', 'word'),
    [
        (79.98, None, 80.98, 'within'),  # exactly the tolerance
        (79.97, None, 80.98, 'outside'),
        (82.00, None, 80.98, 'outside'),  # too good is outside as well
        (79.0, 1.0, 80.98, 'within'),  # two deviations are 2.0
        (78.9, 1.0, 80.98, 'outside'),
        (80.5, 0.1, 80.98, 'within'),  # the tolerance counts where it is larger
        (80.0, None, None, 'not stated'),
        (None, None, 80.98, 'not run'),
        (None, None, None, 'not run'),
    ],
)
def test_verdict(ours, sd, printed, word) -> None:
    assert verdict(ours, sd, printed, 1.0) == word


def test_on_the_papers_data_differences_are_to_the_paper(table) -> None:
    values = table_values(table)
    lines = by_row(values)
    base = lines['Base', 'mIoU']
    assert base.values == pytest.approx((50, 53, 56))
    assert (base.mean, base.sd) == (pytest.approx(53), pytest.approx(3))
    assert base.difference == pytest.approx(-5.9) and base.verdict == 'within'  # 2 * 3 >= 5.9
    assert lines['Base', 'mPA'].difference == pytest.approx(-1.5)
    assert lines['Base', 'mPA'].verdict == 'outside'  # the deviation of 70, 70, 70 is 0
    assert lines['Better', 'mIoU'].verdict == 'within'
    assert lines['Better', 'mPA'].verdict == 'not stated'
    assert lines['Better', 'mPA'].difference is None
    odd = lines['Odd', 'mIoU']
    assert (odd.printed, odd.verdict, odd.remark) == (90, 'not stated', 'of boxes')
    assert lines['Odd', 'mPA'].verdict == 'not run'
    assert lines['Odd', 'mPA'].remark == 'mPA is not in results.json'
    assert lines['Never', 'mIoU'].verdict == 'not run' and lines['Never', 'mIoU'].mean is None
    assert lines['Absent', 'mIoU'].remark == 'no config absent'
    assert [(line.label, line.metric) for line in values.outside] == [('Base', 'mPA')]


def on_other_data(table: Table, **changes: object) -> Table:
    """Rewrite one run as if it had been tested on other data."""
    path = table.rows[1].runs[0] / 'results.json'
    content = json.loads(path.read_text())
    content['dataset'] = dict(PAPER, **changes)
    path.write_text(json.dumps(content))
    return table


@pytest.mark.parametrize('change', [dict(num_images=223), dict(name='Mine'), dict(split='test')])
def test_on_other_data_differences_are_to_the_baseline(table, change) -> None:
    values = table_values(on_other_data(table, **change))
    assert not values.on_paper_data and values.outside == []
    assert all(line.printed is None for line in values.lines)
    lines = by_row(values)
    assert lines['Base', 'mIoU'].difference is None
    better = lines['Better', 'mIoU']
    assert better.difference == pytest.approx(60 - 50)  # seed 0 is all that Better has
    assert better.remark == 'difference over what both rows have: seed 0'
    assert lines['Better', 'mPA'].difference == pytest.approx(81 - 70)
    assert {line.verdict for line in values.lines} == {'not stated', 'not run'}


def test_a_difference_is_over_the_runs_that_both_rows_have(table, tmp_path) -> None:
    def difference(folders: dict) -> tuple:
        runs = [write_run(tmp_path / name, 'better', seed, dict(mIoU=value, mPA=1))
                for name, (seed, value) in folders.items()]  # fmt: skip
        rows = (table.rows[0], replace(table.rows[1], runs=tuple(runs)))
        line = by_row(table_values(replace(table, rows=rows, dataset='mine')))['Better', 'mIoU']
        return pytest.approx(line.difference), line.remark

    all_three = dict(b0=(0, 51), b1=(1, 55), b2=(2, 59))
    assert difference(all_three) == (55 - 53, '')
    two = dict(c1=(1, 55), c2=(2, 59), c7=(7, 99))  # seed 7 is not the baseline's
    assert difference(two) == (57 - 54.5, 'difference over what both rows have: seed 1, 2')
    value, remark = difference(dict(d8=(8, 63)))
    assert value == 63 - 53 and remark.startswith('no seed is shared with the baseline')
    value, remark = difference({'e/fold0': (0, 63)})  # a fold is no whole run
    assert value == 63 - 53 and remark.startswith('no seed is shared with the baseline')


def test_the_calibration_error_stands_beside_the_scores(table, tmp_path) -> None:
    """Of four tests one did not count it; per cent, and a difference to the baseline."""
    rows = []
    for label, errors in dict(Base=(0.08, 0.12), Better=(0.03,), Odd=(None,)).items():
        runs = tuple(
            write_run(tmp_path / f'ece/{label}{seed}', 'ece', seed, dict(mIoU=50),
                      dict(PAPER, name='Other'), calibration=error and dict(ECE=error))
            for seed, error in enumerate(errors)
        )  # fmt: skip
        rows.append(Row(label, 'ece', path=Path('x.py'), runs=runs))
    lines = by_row(table_values(replace(table, rows=tuple(rows), metrics=('mIoU', 'ECE'))))
    assert lines['Base', 'ECE'].values == pytest.approx((8, 12))
    assert lines['Base', 'ECE'].mean == pytest.approx(10)
    assert lines['Better', 'ECE'].difference == pytest.approx(3 - 8)  # over the seed of both
    assert lines['Odd', 'ECE'].mean is None
    assert lines['Odd', 'ECE'].remark == 'ECE is not in results.json'


def test_a_users_data_set_is_other_data_even_before_a_run(table) -> None:
    rows = tuple(replace(row, runs=()) for row in table.rows)
    assert table_values(replace(table, rows=rows)).on_paper_data
    values = table_values(replace(table, rows=rows, dataset='mine'))
    assert not values.on_paper_data and all(line.printed is None for line in values.lines)
    values = table_values(replace(table, rows=rows, protocol=Protocol()))
    assert not values.on_paper_data


def test_folds_count_together(tmp_path) -> None:
    """Five folds of 1517 images are the paper's data; four of them say nothing against it."""
    counts = (304, 304, 303, 303, 303)
    runs = [
        write_run(tmp_path / f'fold{k}', 'base', 0, dict(mIoU=80 + k),
                  dict(name='BMSegDataset', split='split_val', num_images=count))
        for k, count in enumerate(counts)
    ]  # fmt: skip
    row = Row('Base', 'base', dict(mIoU=82), path=Path('x.py'), runs=tuple(runs))
    protocol = Protocol(dataset='BMSegDataset', images=1517, folds=5)
    table = Table('toy', '5', 'folds', (row,), protocol=protocol, baseline='Base')
    line = table_values(table).lines[0]
    assert (line.mean, line.verdict) == (pytest.approx(82), 'within')
    assert line.difference == pytest.approx(0, abs=1e-9)
    assert line.sd == pytest.approx(2.5**0.5)  # (4 + 1 + 0 + 1 + 4) / 4
    part = replace(table, rows=(replace(row, runs=tuple(runs[:4])),))
    values = table_values(part)
    assert values.on_paper_data and 'INCOMPLETE: 4 of 5 folds' in format_text(as_data(values))
    other = replace(table, protocol=replace(protocol, images=1518))
    assert not table_values(other).on_paper_data


def test_counts_of_the_model_are_exact_and_do_not_decide(table) -> None:
    row = replace(table.rows[1], printed=dict(mIoU=61, parameters=1000))
    models = {'Better': dict(parameters=1001, GFLOPs=2.25)}
    values = table_values(replace(table, rows=(row,), baseline='Better'), models)
    lines = by_row(values)
    count = lines['Better', 'parameters']
    assert (count.mean, count.difference, count.verdict) == (1001, 1, 'outside')
    assert lines['Better', 'GFLOPs'].verdict == 'not stated' and values.outside == []
    text = format_text(as_data(values, models=models))
    assert '1,001' in text and '+1 ' in text and '2.2' in text


def test_a_run_of_another_config_is_refused(table) -> None:
    rows = (replace(table.rows[0], config='fmsi'),)
    with pytest.raises(ValueError, match="holds a run of base, and the row 'Base' is fmsi"):
        table_values(replace(table, rows=rows, baseline='Base'))


def test_damaged_results_are_named(table, tmp_path) -> None:
    folder = tmp_path / 'torn'
    folder.mkdir()
    (folder / 'results.json').write_text('{"metrics": ')
    rows = (replace(table.rows[0], runs=(folder,)),)
    with pytest.raises(ValueError, match='torn/results.json is damaged .*: remove it'):
        table_values(replace(table, rows=rows))


def cells(text: str) -> list:
    rows = [line for line in text.splitlines() if line.startswith('| ')]
    return [[cell.strip() for cell in row.strip('|').split('|')] for row in rows]


def test_the_printed_table(table) -> None:
    data = as_data(table_values(table), command='python tools/table.py toy 3')
    for text in (format_text(data), format_markdown(data)):
        rows = cells(text)
        assert rows[0] == ['row', 'score', 'paper', 'ours', 'runs', 'difference', 'verdict']
        found = [row for row in rows if row[1] in ('mIoU', 'mPA')]
        assert len(found) == 10
        assert found[0] == ['Base', 'mIoU', '58.90', '53.00 ± 3.00', '3', '-5.90', 'within']
        assert found[1] == ['', 'mPA', '71.50', '70.00 ± 0.00', '3', '-1.50', 'outside']
        assert found[2] == ['Better', 'mIoU', '61.00', '60.00', '1', '-1.00', 'within']
        assert found[4] == ['Odd', 'mIoU', '90.00', '10.00', '1', '-80.00', 'not stated [1]']
        assert found[6] == ['Never', 'mIoU', '70.00', '', '', '', 'not run']
        assert found[8][-1] == 'not run [3]' and '[3] no config absent' in text
        assert '[1] of boxes' in text and 'hardware: CPU' in text and 'commit: abc' in text
        assert 'seeds: 0, 1, 2 (Base); 0 (Better, Odd)' in text
    assert 'Protocol: three seeds' in format_text(dict(data, note='three seeds'))
    other = format_text(dict(data, note='three seeds', dataset='mine'))
    assert 'Protocol of the paper, not of these runs: three seeds' in other


def test_converted_weights_are_starred(table, tmp_path) -> None:
    run = write_run(tmp_path / 'c', 'better', 0, dict(mIoU=60), converted=True)
    rows = (table.rows[0], replace(table.rows[1], runs=(run,)))
    text = format_text(as_data(table_values(replace(table, rows=rows))))
    assert '| Better * ' in text and '* converted weights: training not reproduced' in text
    assert '| Base ' in text and '| Base *' not in text


def test_a_choice_on_test_images_is_called_optimistic(table) -> None:
    values = table_values(table)
    models = {'Base': dict(selects_on_test=True), 'Better': dict(selects_on_test=False)}
    assert 'OPTIMISTIC' in format_text(as_data(values, models=models))
    assert '(Base)' in format_text(as_data(values, models=models))
    assert 'OPTIMISTIC' not in format_text(as_data(values))


def test_writing_loses_no_runs(table, tmp_path) -> None:
    folder = tmp_path / 'results'
    data = as_data(table_values(table))
    path = write_table(data, folder)
    assert path.name == 'table_3.json' and json.loads(path.read_text())['caption'] == 'a toy'
    rows = tuple(replace(row, runs=()) for row in table.rows)
    with pytest.raises(ValueError, match='no row of table 3 was run'):
        write_table(as_data(table_values(replace(table, rows=rows))), folder)
    rows = (rows[0], *table.rows[1:])
    before = path.read_text()
    with pytest.raises(ValueError, match='has runs of Base, which are not in the work folders'):
        write_table(as_data(table_values(replace(table, rows=rows))), folder)
    assert path.read_text() == before


def cells_of(text: str, label: str) -> list:
    (line,) = [line for line in text.splitlines() if line.strip('| ').startswith(f'{label} ')]
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_a_best_epoch_stands_beside_the_papers_number_and_judges_nothing(table) -> None:
    data = as_data(table_values(table))
    columns = ['row', 'score', 'paper', 'ours', 'runs', 'difference', 'verdict']
    assert cells_of(format_text(data), 'row') == columns
    better = replace(table.rows[1], best_epoch=dict(mIoU=99.25))
    with_best = replace(table, rows=(table.rows[0], better, *table.rows[2:]))
    data = as_data(table_values(with_best))
    columns = [*columns[:3], 'paper, best epoch', *columns[3:]]
    expected = ['Better', 'mIoU', '61.00', '99.25', '60.00', '1', '-1.00', 'within']
    for text in (format_text(data), format_markdown(data)):
        assert cells_of(text, 'row') == columns and cells_of(text, 'Better') == expected
        assert 'Best epoch: chosen on the images that it is scored on' in text
    assert data['rows'][0]['lines'][0]['best_epoch'] is None
    (line,) = [line for line in table_lines(data) if line.startswith('| Better ')]
    cells = [cell.strip() for cell in line.strip('|').split('|')]
    assert cells[1:4] == ['61.00', '99.25', '60.00']
    elsewhere = as_data(table_values(on_other_data(with_best, num_images=223)))
    assert '99.25' not in format_text(elsewhere)  # it is no number of these data


# --- tests on other labels ------------------------------------------------------------------------

OURS = dict(name='FolderDataset', split='val', num_images=4)
CLASSES = dict(IoU=dict(a=0.5, b=0.5))
SAME, OTHER = [[3, 1], [0, 6]], [[5, 0], [2, 3]]  # 4 and 6 labelled pixels, and 5 and 5


def two_rows(folder: Path, first: list, second: list) -> Table:
    """Two rows with a run for each confusion matrix: seeds, or folds where a name is given."""
    rows = []
    for label, matrices in (('Base', first), ('Ours', second)):
        runs = []
        for seed, matrix in enumerate(matrices):
            fold, matrix = matrix if isinstance(matrix, tuple) else ('', matrix)
            place = folder / f'{label}_seed{seed}' / fold
            counts = dict(confusion=matrix, per_class=CLASSES) if matrix else {}
            scores = dict(mIoU=50 + 5 * seed)
            runs.append(write_run(place, label, 0 if fold else seed, scores, OURS, **counts))
        rows.append(Row(label, label, {}, path=Path('x.py'), runs=tuple(runs)))
    return Table('toy', '3', 'a toy', tuple(rows), ('mIoU',), 'Base', Protocol())


@pytest.mark.parametrize('first, second, difference', [
    ([SAME], [[[4, 0], [6, 0]]], 0.0), ([SAME], [OTHER], None), ([SAME, SAME], [SAME], -2.5 + 2.5),
    ([('fold0', SAME), ('fold1', OTHER)], [('fold0', SAME), ('fold1', OTHER)], 0.0),
    ([('fold0', SAME), ('fold1', OTHER)], [('fold0', SAME), ('fold1', SAME)], None),
    ([SAME], [[]], 0.0),
])  # fmt: skip
def test_no_difference_to_a_baseline_with_other_masks(tmp_path, first, second, difference) -> None:
    """Masks that were corrected in between: 26.6 and 100 % mIoU differed by 73, without a word."""
    line = by_row(table_values(two_rows(tmp_path, first, second)))['Ours', 'mIoU']
    assert line.difference == difference
    assert line.remark.startswith('tested against other') == (difference is None)


def test_seeds_on_other_masks_have_no_mean(tmp_path) -> None:
    with pytest.raises(
        ValueError, match='Ours: its runs were tested against different.*Ours_seed1'
    ):
        table_values(two_rows(tmp_path, [SAME], [SAME, OTHER]))
