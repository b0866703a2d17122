"""README cards: the table against hand-computed values, collecting a run, the check."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.paths import ROOT
from support.tools import load_tool

from mmseg_ext.apis.cards import convergence
from mmseg_ext.apis.cards.card import END, START, generate, pages
from mmseg_ext.apis.cards.fold_record import collect_all
from mmseg_ext.apis.cards.record import changed_settings, collect, command, network_counts
from mmseg_ext.apis.cards.results_csv import add_record, read_records, write_records
from mmseg_ext.apis.cards.results_table import group, results_section
from mmseg_ext.apis.cards.speed import speed_page, speed_pictures
from mmseg_ext.apis.draw.pixels import encode_below, picture_grid
from mmseg_ext.apis.folds.summary import write_summary


def _metric(value: float) -> dict:
    return dict(value=value, low=value - 0.02, high=value + 0.03)


def _record(seed: int, miou: float, **others: object) -> dict:
    record = dict(
        config='fmsi_x',
        dataset=dict(name='CamVidDataset', split='test', num_images=233),
        init='random',
        seed=seed,
        iterations=800,
        commit='0123456789abcdef',
        dirty=False,
        hardware='CPU | 2 cores',
        metrics=dict(mIoU=_metric(miou), aAcc=_metric(0.886), mPA=dict(value=None)),
        constant_miou=0.0312,
        parameters=66290397,
        intervals=dict(unit='image', units=233),
    )
    record.update(others)
    return record


def section_of(records: list) -> str:
    return results_section(records, 'fmsi')


def _rows(section: str) -> list:
    lines = [line for line in section.splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in line.strip('| ').split(' | ')] for line in lines]


def test_one_seed_shows_its_interval() -> None:
    head, _, row = _rows(section_of([_record(0, 0.5631)]))
    assert dict(zip(head, row)) == {
        'config': '`fmsi_x`',
        'data, split (images)': 'CamVidDataset, test (233)',
        'initialisation': 'random',
        'iterations': '800',
        'seeds': '0',
        'parameters': '66,290,397',
        'aAcc': '88.6',
        'mPA': '–',
        'mIoU': '56.3 [54.3, 59.3]',
        'mDice': '–',
        'constant': '3.1',
        'hardware': 'CPU \\| 2 cores',
        'commit': '0123456',
    }


def test_an_interval_of_an_older_method_is_marked() -> None:
    record = _record(0, 0.5631, old_interval=True)
    section = section_of([record, _record(0, 0.5631, config='other')])
    assert [row[8] for row in _rows(section)[2:]] == ['56.3 [54.3, 59.3] †', '56.3 [54.3, 59.3]']
    assert section.count('† Interval of an older method (percentile bootstrap)') == 1
    assert '†' not in section_of([_record(0, 0.5631)])


def test_what_to_beware_of_stands_below_the_table() -> None:
    facts = dict(unit='patient', units=9, class_units=dict(bone=9, lesion=3))
    section = section_of([_record(0, 0.5, intervals=facts), _record(1, 0.6, intervals=facts)])
    assert section.count('CamVidDataset, test: Only 9 patients: below 20') == 1
    assert 'CamVidDataset, test: Seen in fewer than 5 patients: lesion 3.' in section
    old = _record(0, 0.5, intervals=dict(unit='frame', units=233, videos=dict(one=200, two=33)))
    assert 'test: The 233 frames are of 2 videos (one 200, two 33)' in section_of([old])


def test_seeds_of_one_config_share_a_row() -> None:
    """Mean of 50, 53, 56 is 53; the sample's standard deviation is 3."""
    seeds = [_record(0, 0.50), _record(1, 0.53, dirty=True), _record(2, 0.56, commit='fedcba98')]
    head, _, row = _rows(section_of(seeds))
    cells = dict(zip(head, row))
    # 4.303 (t of 2 degrees of freedom) * 3 / sqrt(3) = 7.45
    assert cells['mIoU'] == '53.0 ± 3.0 [45.5, 60.5]' and cells['aAcc'] == '88.6 ± 0.0'
    assert cells['seeds'] == '0, 1, 2'
    assert cells['commit'] == '0123456, 0123456+, fedcba9'


def test_best_checkpoints_of_different_moments_share_a_row() -> None:
    runs = [_record(0, 0.5, iterations=350), _record(1, 0.6, iterations=400)]
    runs = [dict(run, max_iters=400) for run in runs]
    head, _, row = _rows(section_of(runs))
    assert dict(zip(head, row))['iterations'] == '350, 400 of 400'
    head, _, row = _rows(section_of(runs[1:]))
    assert dict(zip(head, row))['iterations'] == '400'
    assert len(_rows(section_of([runs[0], dict(runs[1], max_iters=800)]))) == 4


def test_other_lengths_data_and_weights_are_other_rows() -> None:
    records = [
        _record(0, 0.5),
        _record(0, 0.5, iterations=1600),
        _record(0, 0.5, init='imagenet.pth'),
        _record(0, 0.5, dataset=dict(name='Voc', split='val', num_images=9)),
    ]
    assert len(_rows(section_of(records))) == 2 + 4


def test_a_command_repeats_a_row() -> None:
    run = _record(2, 0.5, options='--cfg-options max_iters=9')
    assert command(run, 'fmsi') == (
        'python tools/train.py configs/fmsi/fmsi_x.py --seed 2 --cfg-options max_iters=9'
    )
    converted = dict(part='model', source='deeplabv2', file='a.pth', origin='kazuto1011')
    assert command(dict(run, converted=converted), 'fmsi') == (
        'python tools/model_converters/deeplabv2.py a.pth work_dirs/fmsi_x/converted.pth'
    )


def test_columns_that_only_some_runs_fill() -> None:
    plain = _record(0, 0.5)
    crf = _record(0, 0.5, config='y')
    crf['metrics'] = {**crf['metrics'], 'BF': dict(value=0.421), 'before_crf/mIoU': dict(value=0.4)}
    section = section_of([plain, crf])
    head, _, *rows = _rows(section)
    assert head[9:13] == ['mDice', 'BF', 'mIoU before the CRF', 'constant']
    assert [row[10:12] for row in rows] == [['–', '–'], ['42.1', '40.0']]
    assert 'boundary F1' in section and 'boundary F1' not in section_of([plain])


def _converging(config: str, seed: int, *values: float) -> dict:
    curve = {str(50 * (i + 1)): value for i, value in enumerate(values)}
    return _record(seed, values[-1], config=config, validation_miou=curve)


def test_convergence_compares_rows_of_several_seeds() -> None:
    runs = [
        _converging('ce', 0, 0.10, 0.20, 0.30),
        _converging('ce', 1, 0.14, 0.20),
        _converging('bce', 0, 0.2, 0.3, 0.4),
        _converging('bce', 1, 0.2, 0.3, 0.4),
        _converging('single', 0, 0.2, 0.3, 0.4),
    ]
    lines = convergence.section(group(runs), 'fmsi')
    head, _, *rows = _rows('\n'.join(lines))
    assert head == ['config', 'seeds', '50', '100', '150']
    assert rows == [
        ['`bce`', '0, 1', '20.0 ± 0.0', '30.0 ± 0.0', '40.0 ± 0.0'],
        ['`ce`', '0, 1', '12.0 ± 2.8', '20.0 ± 0.0', '30.0'],
    ]
    (name,) = convergence.pictures(group(runs), 'fmsi')
    assert any(f'(../../docs/results/{name})' in line for line in lines)
    assert not convergence.section(group(runs[:2]), 'fmsi'), 'one row is no comparison'
    assert not convergence.section(group([runs[0], runs[2]]), 'fmsi'), 'nor are single seeds'
    assert not convergence.section(group([_record(seed, 0.5) for seed in (0, 1)]), 'fmsi')


def test_convergence_compares_trainings_of_one_length() -> None:
    def rows(length: int, *names: str) -> list:
        return [
            dict(_converging(name, seed, 0.1, 0.2), max_iters=length)
            for name in names
            for seed in (0, 1)
        ]

    short, long = rows(100, 'a', 'b'), rows(900, 'c', 'd')
    assert [*convergence.compared(group(short + long[:2]))] == ['CamVidDataset'], 'c is alone'
    both = convergence.compared(group(short + long))
    assert [*both] == ['CamVidDataset, 100 iterations', 'CamVidDataset, 900 iterations']
    named = [[runs[0]['config'] for runs in chosen] for chosen in both.values()]
    assert named == [['a', 'b'], ['c', 'd']]
    assert len(convergence.pictures(group(short + long), 'fmsi')) == 2


def test_convergence_picture_shows_the_seeds(folder, monkeypatch) -> None:
    for config in ('ce', 'bce'):
        for seed in (0, 1):
            add_record(_converging(config, seed, 0.1, 0.2 + 0.1 * seed), folder)
    assert _tool(monkeypatch, folder) == 0
    path = folder.parents[1] / 'docs/results/fmsi_convergence_camviddataset.png'
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert('RGB'))
    assert pixels.shape[1] == 704  # 6.4 inches at 110 dots
    for color in ('#1b6ca8', '#c2570c'):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (abs(pixels.astype(int) - rgb).max(-1) < 3).sum() > 50, color
    assert f'(../../docs/results/{path.name})' in (folder / 'README.md').read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / 'configs' / 'fmsi'
    (folder / 'results').mkdir(parents=True)
    write_records([_record(0, 0.5)], folder)
    (folder / 'README.md').write_text(f'# Card\n\n{START}\nold\n{END}\n\n## Next\n')
    return folder


def _tool(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, 'argv', ['card.py', *map(str, arguments)])
    return load_tool('card').main()


def test_check_fails_until_the_card_is_written(folder, monkeypatch, capsys) -> None:
    readme = folder / 'README.md'
    before = readme.read_text()
    assert _tool(monkeypatch, folder, '--check') == 1
    assert readme.read_text() == before and 'is stale' in capsys.readouterr().err
    assert _tool(monkeypatch, folder) == 0
    text = readme.read_text()
    assert text.startswith('# Card\n\n') and text.endswith(f'{END}\n\n## Next\n')
    assert '50.0 [48.0, 53.0]' in text and 'old' not in text
    assert _tool(monkeypatch, folder, '--check') == 0
    readme.write_text(text.replace('50.0', '60.0'))  # somebody improves a number by hand
    assert _tool(monkeypatch, folder, '--check') == 1


def test_beside_tables_the_runs_have_a_page_of_their_own(folder, monkeypatch, capsys) -> None:
    frames = dict(intervals=dict(unit='frame', units=233, videos=dict(a=62, b=171)))
    records = [
        _record(0, 0.5, **frames),
        _record(1, 0.6, **frames),
        _record(0, 0.7, config='fmsi_y'),
    ]
    records += [_converging(name, seed, 0.1, 0.2) for name in ('ce', 'bce') for seed in (0, 1)]
    write_records(records, folder)
    assert _tool(monkeypatch, folder) == 0 and not pages(folder), 'without tables on the card'
    assert '`fmsi_x`' in (folder / 'README.md').read_text()
    data = dict(paper='fmsi', table='1', caption='toys', dataset='', on_paper_data=True, note='',
                baseline=None, command='', rows=[])  # fmt: skip
    (folder / 'results/table_1.json').write_text(json.dumps(data))
    capsys.readouterr()
    assert _tool(monkeypatch, folder, '--check') == 1
    assert 'fmsi_runs.md is stale' in capsys.readouterr().err
    assert _tool(monkeypatch, folder) == 0 == _tool(monkeypatch, folder, '--check')
    card = (folder / 'README.md').read_text()
    page = (folder.parents[1] / 'docs/results/fmsi_runs.md').read_text()
    assert '`fmsi_x`' not in card and '[4 rows](../../docs/results/fmsi_runs.md)' in card
    assert '55.0 ± 7.1 [-8.5, 118.5]' in page and '](../../configs/fmsi/results.csv)' in page
    assert all('are of 2 videos (a 62, b 171)' in text for text in (card, page))
    assert '.svg)' in card and '.svg)' not in page
    assert '### Convergence' in page and '](fmsi_convergence_camviddataset.png)' in page
    assert 'Convergence' not in card


CARDS = [path.parent for path in ROOT.glob('configs/*/README.md') if START in path.read_text()]


@pytest.mark.parametrize('paper', CARDS, ids=lambda path: path.name)
def test_the_cards_of_this_repository_are_current(paper) -> None:
    is_, should_be = generate(paper)
    assert is_ == should_be, f'run: python tools/card.py {paper.relative_to(ROOT)}'
    kept = {name: (ROOT / 'docs/results' / name).read_text() for name in pages(paper)}
    assert kept == pages(paper), f'run: python tools/card.py {paper.relative_to(ROOT)}'
    pictures = re.findall(r'\]\((\.\./\.\./docs/results/[^)]+)\)', should_be)
    assert all((paper / name).stat().st_size < 100_000 for name in pictures)


def test_kept_predictions_are_shown(folder) -> None:
    place = folder.parents[1] / 'docs/results'
    place.mkdir(parents=True)
    for name in ('fmsi_camvid_predictions.jpg', 'mfp_camvid_predictions.jpg', 'fmsi_other.jpg'):
        (place / name).touch()
    section = generate(folder)[1]
    assert section.count('](../../docs/results/fmsi_camvid_predictions.jpg)') == 1
    assert 'mfp_camvid' not in section and 'fmsi_other' not in section


def test_each_picture_of_the_results_is_on_a_card() -> None:
    cards = ''.join((paper / 'README.md').read_text() for paper in CARDS)
    folder = ROOT / 'docs/results'
    pages = ''.join(path.read_text() for path in folder.glob('*.md'))  # of benchmarks
    names = [path.name for path in folder.iterdir() if path.name != 'export.json']  # docs/export.md
    assert len(names) >= 11
    shown = [f'/docs/results/{name})' in cards or f']({name})' in pages for name in names]
    assert all(shown), [name for name, ok in zip(names, shown) if not ok]


def test_there_is_a_card_to_check() -> None:
    assert [path.name for path in CARDS].count('fmsi') == 1


def test_unusable_cards_are_named(folder) -> None:
    (folder / 'README.md').write_text(f'{END} {START}')
    with pytest.raises(ValueError, match='README.md must contain the lines'):
        generate(folder)
    (folder / 'README.md').write_text(f'{START} {END}')
    (folder / 'results.csv').write_text('config,seed\nx,0\n')
    with pytest.raises(ValueError, match='results.csv: the row of x lacks metrics, parameters'):
        generate(folder)
    (folder / 'results.csv').unlink()
    assert 'Nothing has been run yet.' in generate(folder)[1]
    with pytest.raises(FileNotFoundError, match='README.md'):
        generate(folder.parent)


def _run_folder(path: Path, config: Path, tiny_data: Path, used: str) -> Path:
    """A tested run of ``config`` whose training had the settings ``used`` instead."""
    from mmengine.config import Config

    vis = path / '20260901_1' / 'vis_data'
    vis.mkdir(parents=True)
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(json.loads(used))
    cfg.dump(vis / 'config.py')
    records = [dict(iter=1, step=1, loss=2.0), dict(iter=2, step=2, loss=1.0), dict(step=2, mIoU=5)]
    (vis / 'scalars.json').write_text('\n'.join(map(json.dumps, records)))
    results = dict(
        config=config.stem,
        seed=0,
        iterations=6,
        num_images=6,
        checkpoint='iter_6.pth',
        metrics=dict(mIoU=_metric(0.5)),
        per_class={s: dict(sky=0.5, tree=None, road=0.5) for s in ('IoU', 'Dice', 'Accuracy')},
        confusion=[[3, 1, 0], [0, 0, 0], [2, 0, 2]],
    )
    (path / 'results.json').write_text(json.dumps(results))
    return path


def test_collect_keeps_what_a_card_needs(folder, tiny_config, tiny_data, tmp_path) -> None:
    config = folder / 'tiny.py'
    config.write_text(tiny_config.read_text())
    used = json.dumps({'optim_wrapper.optimizer.lr': 0.5, 'train_dataloader.batch_size': 3})
    run = _run_folder(tmp_path / 'run', config, tiny_data, used)
    collect(run, folder)
    _, record = read_records(folder)
    assert record['constant_miou'] == pytest.approx(4 / 8 / 2, abs=1e-6)
    assert record['dataset'] == dict(name='BaseSegDataset', split='img', num_images=6)
    assert record['metrics']['mIoU'] == pytest.approx(_metric(0.5))
    assert record['old_interval'] and record['intervals'] == dict(unit='image', units=6)
    assert 'foreground' not in record and 'validation_miou' not in record
    assert command(record, 'fmsi') == (
        'python tools/train.py configs/fmsi/tiny.py --seed 0 --cfg-options '
        'train_dataloader.batch_size=3 optim_wrapper.optimizer.lr=0.5'
    )
    assert 'tiny' in generate(folder)[1]
    collect(run, folder)
    assert len(read_records(folder)) == 2, 'the same run again takes the place of the first'


def test_collect_refuses_a_run_of_another_paper(folder, tiny_config, tiny_data, tmp_path) -> None:
    config = tmp_path / 'tiny.py'
    config.write_text(tiny_config.read_text())
    run = _run_folder(tmp_path / 'run', config, tiny_data, '{}')
    with pytest.raises(FileNotFoundError, match='run of tiny, but .*fmsi/tiny.py does not exist'):
        collect(run, folder)
    assert len(read_records(folder)) == 1


def _fold(
    work: Path, number: int, *, tp: int, fp: int, fn: int, miou: float, **changes: object
) -> None:
    """A tested fold of one image of 100 pixels; its mIoU and mDice are made up."""
    folder, tn = work / f'fold{number}', 100 - tp - fp - fn
    folder.mkdir(parents=True)
    split = dict(fold=number, num_folds=2, split_seed=0, pool='train+val', splitter='KFold',
                 num_train=1, val_ids=[f'i{number}'], val_groups=None)  # fmt: skip
    (folder / 'split.json').write_text(json.dumps(split))
    results = dict(
        config='fmsi_x', init='random', seed=3, iterations=150, commit='0123456789abcdef',
        dirty=False, hardware='CPU', dataset=dict(name='BMSegDataset', split='split_val'),
        checkpoint='iter_9.pth', confusion=[[tn, fp], [fn, tp]],
        metrics=dict(mIoU=dict(value=miou), mDice=dict(value=miou + 0.1)),
        per_class=dict(IoU=dict(background=0.5, bone=0.5)))  # fmt: skip
    (folder / 'results.json').write_text(json.dumps(dict(results, **changes)))
    np.savez(folder / 'per_image.npz', names=[f'i{number}.png'], tp=[[tn, tp]],
             pred=[[tn + fn, tp + fp]], label=[[tn + fp, tp + fn]])  # fmt: skip


def _plan(work: Path, **changes: object) -> None:
    plan = dict(config='fmsi_x.py', num_folds=2, split_seed=0, pool='train+val', stratify=False,
                seed=3, amp=False, deterministic=False, checkpoint='last', options=[])  # fmt: skip
    (work / 'kfold_plan.json').write_text(json.dumps(dict(plan, **changes)))


@pytest.fixture
def folds(folder: Path, tmp_path: Path) -> Path:
    """The work folder of a cross validation of the config fmsi_x, summed up."""
    (folder / 'fmsi_x.py').touch()
    work = tmp_path / 'work'
    _fold(work, 0, tp=10, fp=0, fn=10, miou=0.6)
    _fold(work, 1, tp=30, fp=10, fn=0, miou=0.7, commit='fedcba98', dirty=True)
    _plan(work)
    write_summary(work)
    return work


def test_a_cross_validation_has_its_own_table(folder, folds, monkeypatch, capsys) -> None:
    before = section_of([_record(0, 0.5)])
    assert _tool(monkeypatch, folder, '--collect', folds) == 0
    assert 'results.csv: fmsi_x, seed 3' in capsys.readouterr().out
    section = (folder / 'README.md').read_text().split(START)[1].split(END)[0]
    runs, validation = section.split('### Cross validation\n')
    head, _, row = _rows(validation)
    assert dict(zip(head, row)) == {
        'config': '`fmsi_x`',
        'data, pool (images)': 'BMSegDataset, train+val (2)',
        'initialisation': 'random',
        'iterations': '150',
        'folds': '2 (KFold, split seed 0)',
        'seeds': '3',
        # 60 and 70: the standard deviation of two values is their difference over root two
        'mIoU, folds': '65.0 ± 7.1',
        'mDice, folds': '75.0 ± 7.1',
        # 40 true positives, 10 false, 10 missed, 140 of background: (40 / 60 + 140 / 160) / 2;
        # two images have no interval
        'mIoU, pooled': '77.1',
        'mDice, pooled': '86.7 (bone 80.0)',
        'hardware': 'CPU',
        'commit': '0123456, fedcba9+',
    }
    assert [_rows(before)[i] for i in (0, 2)] == [_rows(runs)[i] for i in (0, 2)]
    record = next(record for record in read_records(folder) if 'num_folds' in record)
    assert command(record, 'fmsi') == (
        'python tools/kfold.py configs/fmsi/fmsi_x.py --num-folds 2 --pool train+val --seed 3'
    )
    assert record['foreground'] == 'bone'
    assert record['foreground_Dice'] == pytest.approx(0.8)


def test_folds_alone_need_no_table_of_runs(folder, folds) -> None:
    (folder / 'results.csv').unlink()
    collect_all(folds, folder)
    section = generate(folder)[1].split(START)[1]
    assert section.strip().startswith('### Cross validation') and len(_rows(section)) == 3


def test_the_command_of_a_cross_validation_keeps_what_was_typed(folder, folds) -> None:
    options = [
        'max_iters=9',
        'a.b=[1,2]',
        'train_dataloader.dataset.data_root=/mine',
        'load_from=/x',
    ]
    _plan(folds, split_seed=5, stratify=True, amp=True, checkpoint='best', options=options)
    summary = json.loads((folds / 'kfold.json').read_text())
    summary.update(spacing=[0.5, 1], tolerance=2.0, folds=[0], seed=[7, 8], dataset=None)
    summary.update(
        checkpoints=['best_mIoU_iter_9.pth'], commit='a' * 40, dirty=False, num_images=[1]
    )
    (folds / 'kfold.json').write_text(json.dumps(summary))
    [record] = collect_all(folds, folder)
    assert command(record, 'fmsi') == (
        'python tools/kfold.py configs/fmsi/fmsi_x.py --num-folds 2 --pool train+val '
        '--stratify --amp --checkpoint best --spacing 0.5 1 '
        "--tolerance 2.0 --cfg-options max_iters=9 'a.b=[1,2]'"
    )
    row = _rows(generate(folder)[1])[-1]
    assert '1 of 2 (KFold, split seed 0, optimistic: best checkpoints)' in row
    assert '–, train+val (1)' in row and '7, 8' in row and 'aaaaaaa' in row


def test_a_folder_may_hold_a_run_and_folds(folder, folds, tiny_config, tiny_data) -> None:
    config = folder / 'fmsi_x.py'
    config.write_text(tiny_config.read_text())
    _run_folder(folds, config, tiny_data, '{}')
    folds_record, run_record = collect_all(folds, folder)
    assert folds_record['num_folds'] == 2 and run_record['seed'] == 0
    assert len(read_records(folder)) == 3  # and the one that was there, of other data


def test_folds_that_cannot_be_collected(folder, folds) -> None:
    (folds / 'kfold_plan.json').rename(folds / 'aside')
    with pytest.raises(FileNotFoundError, match='kfold_plan.json does not exist.*tools/kfold.py'):
        collect_all(folds, folder)
    (folder / 'fmsi_x.py').unlink()
    with pytest.raises(FileNotFoundError, match='run of fmsi_x, but .*fmsi_x.py does not exist'):
        collect_all(folds, folder)
    (folds / 'kfold.json').write_text('{"config": "fmsi_x", "pooled": {}}')
    with pytest.raises(ValueError, match='kfold.json lacks per_fold, num_folds, folds: .*--report'):
        collect_all(folds, folder)
    (folds / 'kfold.json').unlink()
    with pytest.raises(FileNotFoundError, match='results.json does not exist'):
        collect_all(folds, folder)
    assert len(read_records(folder)) == 1


def test_a_rescaled_run_is_one_option(tiny_config) -> None:
    """``max_iters=12`` moves loop, schedule and intervals; the command names it alone."""
    from mmengine.config import Config

    from mmseg_ext.apis.run.config import load_config

    used = load_config(tiny_config, options=dict(max_iters=12))
    assert changed_settings(used, Config.fromfile(tiny_config)) == ['max_iters=12']
    used = load_config(tiny_config)
    used.work_dir, used.randomness.seed = 'elsewhere', 5
    used.train_dataloader.dataset.data_root = '/other/disk'
    written = Config.fromfile(tiny_config)
    used.model.backbone.init_cfg = dict(checkpoint='/my/weights/a.pth')
    written.model.backbone.init_cfg = dict(checkpoint='weights/a.pth')
    assert changed_settings(used, written) == []
    used.model.backbone.init_cfg.checkpoint = '/my/weights/b.pth'
    changed = ['model.backbone.init_cfg.checkpoint=/my/weights/b.pth']
    assert changed_settings(used, written) == changed


def test_parameters_are_counted_without_auxiliary_heads(tiny_config) -> None:
    from mmengine.config import Config

    cfg = Config.fromfile(tiny_config)
    plain = network_counts(cfg)['parameters']
    flops = network_counts(cfg)['flops']
    # conv_seg 8 x 3 weights and 3 biases more for 3 classes more
    cfg.model.decode_head.num_classes = 6
    assert network_counts(cfg)['parameters'] == plain + 3 * 9
    # at a stride of 16 a crop of 32 has 2 x 2 places, each 8 products and sums for 3 classes more
    assert network_counts(cfg)['flops'] == flops + 2 * 2 * 2 * 8 * 3
    cfg.model.auxiliary_head = dict(cfg.model.decode_head, in_index=2, in_channels=16)
    assert network_counts(cfg)['parameters'] == plain + 3 * 9


def test_grid_places_pictures_and_stays_below_its_limit() -> None:
    colors = [[np.full((10, 20, 3), 60 * (2 * r + c), np.uint8) for c in (0, 1)] for r in (0, 1)]
    grid = picture_grid(colors, cell=40, gap=4)
    assert grid.shape == (20 + 4 + 20, 40 + 4 + 40, 3)
    assert [grid[5, 5, 0], grid[5, 60, 0], grid[30, 5, 0], grid[30, 60, 0]] == [0, 60, 120, 180]
    assert (grid[:, 40:44] == 255).all() and (grid[20:24] == 255).all()
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    assert len(encode_below(noise, 40_000)) < 40_000
    with pytest.raises(ValueError, match='300x300 does not fit into 1000 bytes'):
        encode_below(noise, 1000)
    with pytest.raises(ValueError, match=r'equal length, got \[2, 1\]'):
        picture_grid([colors[0], colors[1][:1]])


def _cells(records: list) -> dict:
    head, _, row = _rows(section_of(records))
    return dict(zip(head, row))


def test_dice_names_the_foreground_of_two_classes() -> None:
    record = _record(0, 0.5)
    record['metrics']['mDice'] = dict(value=0.75, low=0.7, high=0.8)
    record.update(foreground='lesion', foreground_Dice=0.5)
    assert _cells([record])['mDice'] == '75.0 [70.0, 80.0] (lesion 50.0)'
    other = dict(record, seed=1, foreground_Dice=0.4)
    assert _cells([record, other])['mDice'] == '75.0 ± 0.0 [75.0, 75.0] (lesion 45.0)'
    del record['foreground_Dice']
    assert _cells([record])['mDice'] == '75.0 [70.0, 80.0]'


def test_benchmarks_become_tables(folder, monkeypatch, capsys) -> None:
    times = dict(
        case='ours', reference='theirs', parameters=1234, flops=3 * 10**9, ours_ms=2.0,
        reference_ms=4.0, ratio=2.0, ratio_lowest=1.0, ratio_highest=4.0, ratio_cpu=2.0,
    )  # fmt: skip
    record = dict(
        command='python tools/benchmark.py parts', hardware='CPU', threads=2, date='2026-01-01',
        versions=dict(torch='2.0'), commit='c' * 40, dirty=True, repeats=7, cases=[times],
    )  # fmt: skip
    path = folder / 'results' / 'benchmark_parts.json'
    path.write_text(json.dumps(record))
    text = speed_page(folder)
    assert '[1 cases](../../docs/results/fmsi_speed.md)' in generate(folder)[1]
    row = ['ours', 'theirs', '1,234', '3', '2', '4', '0.50 (0.25 to 1.00)']
    assert row in _rows(text) and 'commit ccccccc+' in text
    path.write_text(json.dumps(dict(record, cases=[times, dict(times, case='more')])))
    text = speed_page(folder)  # what all are compared with is said once
    assert ['more', *row[2:]] in _rows(text) and 'all sides by turns, against theirs.' in text
    path.write_text(json.dumps(dict(record, cases=[times, dict(times, reference='others')])))
    text = speed_page(folder)
    assert row in _rows(text) and [row[0], 'others', *row[2:]] in _rows(text)
    assert 'against theirs' not in text
    held = dict(case='ours', device='cpu', activations=2.5e9, peak=3e9, seconds_per_image=1.25)
    path.write_text(json.dumps(dict(record, cases=[held])))
    assert ['ours', 'cpu', '2.50', '3.00', '1.250'] in _rows(speed_page(folder))
    rate = dict(case='x', network='net', parameters=1234, flops=3 * 10**9, lowest=2, highest=4.5,
                images_per_second=3.14159)  # fmt: skip
    equal = dict(rate, case='y', label_agreement=0.5)
    versions = dict(torch='2.0', openvino='3.0', numpy='9.9')
    told = dict(record, cases=[rate, equal], notes=['no z: why'], versions=versions)
    path.write_text(json.dumps(told))
    text = speed_page(folder)
    assert ['x', 'net', '1,234', '3', '3.14 (2 to 4.5)', '–'] in _rows(text)
    assert ['y', 'net', '1,234', '3', '3.14 (2 to 4.5)', '50.000'] in _rows(text)
    assert '- no z: why\n' in text and 'torch 2.0, openvino 3.0, 2026-01-01' in text
    path.write_text(json.dumps(dict(cases=[])))
    with pytest.raises(ValueError, match='benchmark_parts.json lacks command, hardware, versions'):
        speed_page(folder)


def test_several_networks_and_growth_are_drawn(tmp_path):
    """A row for each network and a mark for each form; an SVG's texts are those of the axes."""
    times = dict(ours_ms=2.0, reference_ms=4.0, reference='theirs', ratio=2.0, ratio_lowest=1.6,
                 ratio_highest=2.5)  # fmt: skip
    forms = [
        dict(times, case=f'configs/a/{net}.py, {form}, 1x8x8')
        for net in ('net1', 'net2') for form in ('fast', 'half')
    ]  # fmt: skip
    grown = dict(case='labels', axis='pixels', sizes=[1, 100], seconds=[1.0, 90.0])
    folder = tmp_path / 'configs/made'
    (folder / 'results').mkdir(parents=True)
    for name, cases in dict(forms=forms, one=forms[:2], growth=[grown]).items():
        (folder / f'results/benchmark_{name}.json').write_text(json.dumps(dict(cases=cases)))
    drawn = speed_pictures(folder)
    assert sorted(drawn) == ['made_speed_forms.svg', 'made_speed_growth.svg']
    texts = {k: set(re.findall('<!-- (.+?) -->', v.decode())) for k, v in drawn.items()}
    assert {'net1', 'net2', 'fast', 'half', '0.5', '1'} <= texts['made_speed_forms.svg']
    assert {'labels: pixels', 'in proportion', '100'} <= texts['made_speed_growth.svg']


def test_growth_losses_processes_and_limits_have_tables(tmp_path):
    growth = dict(
        case='labels', axis='pixels', sizes=[100, 40000], seconds=[0.01, 2.0], bytes=[1e6, 3e7],
        seconds_exponent=0.884, seconds_last_exponent=0.884, bytes_exponent=None,
        bytes_last_exponent=None,
    )  # fmt: skip
    losses = dict(
        case='ours', reference='theirs', loss=0.5, reference_loss=0.6, mean_difference=0.02,
        noise=0.03,
    )  # fmt: skip
    seeds = dict(
        case='of seeds', reference='theirs', losses=[0.5, 0.7, 0.9], reference_losses=[0.6] * 3,
        loss=0.7, reference_loss=0.6, difference=0.1, difference_interval=[-0.397, 0.597],
        mean_difference=0.02, noise=0.03,
    )  # fmt: skip
    ranks = dict(case='net', ranks=2, seconds=0.5, bytes=4e6, efficiency=0.8)
    limit = dict(case='a table', seconds=3.21, limit_s=10)
    folder = tmp_path / 'configs/made'
    (folder / 'results').mkdir(parents=True)
    shared = dict(command='run', hardware='cpu', threads=1, date='today', repeats=1)
    for name, case in dict(a=growth, b=losses, c=ranks, d=limit, e=seeds).items():
        record = dict(shared, versions=dict(torch='2'), cases=[case])
        record['repeats'] = 3 if name == 'e' else 1
        (folder / f'results/benchmark_{name}.json').write_text(json.dumps(record))
    page = speed_page(folder)
    assert page.count('1 calls of each') == 3 and 'one training of each kind' in page
    rows = _rows(page)
    expected = ['labels', 'pixels', '100 to 40,000', '0.01 to 2', '0.88 (0.88 at last)', '1 to 30']
    assert expected in rows
    assert ['ours', 'theirs', '0.5000', '0.6000', '0.0200', '0.0300'] in rows
    several = ['0.7000 ± 0.2000', '0.6000 ± 0.0000', '+0.1000 (-0.3970 to +0.5970)']
    assert ['of seeds', 'theirs', *several, '0.0200', '0.0300'] in rows
    assert '3 trainings of each kind' in page
    assert ['net', '2', '0.5', '4', '80'] in rows
    assert ['a table', '3.21', '10'] in rows
