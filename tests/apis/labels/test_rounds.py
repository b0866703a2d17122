"""Rounds with stand-ins for the tools: which run, what they are given, going on after a stop."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from support.checkpoints import write_whole_checkpoint
from support.paths import ROOT
from support.rounds import Setup

from mmseg_ext.apis.labels.candidates import Candidates
from mmseg_ext.apis.labels.plan import holds_rounds, parse_budget, read_plan, settle
from mmseg_ext.apis.labels.rounds import Rounds, rounds_of
from mmseg_ext.apis.labels.subset import Pool, write_subset
from mmseg_ext.apis.labels.summary import as_text, summarise
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.apis.userdata.scan import pair_files
from mmseg_ext.core.masks import read_mask
from mmseg_ext.core.signals import Stopped
from mmseg_ext.datasets.folder import read_list


@pytest.fixture
def setup(tmp_path, monkeypatch):
    def score(rounds, before, strategy):
        left = before.names('pool')
        values = np.arange(1.0, len(left) + 1)
        return Candidates(tuple(left), values, np.ones((len(left), 3)),
                          np.ones((len(left), 3)), background=0)  # fmt: skip

    monkeypatch.setattr(Rounds, 'score', score)
    monkeypatch.chdir(ROOT)
    return Setup(tmp_path)


def lists(folder):
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob('*.txt')
            if p.parent.name != 'run'}  # fmt: skip


def test_each_round_is_a_training_and_a_test_on_what_has_labels(setup):
    rounds = setup.rounds()
    assert rounds.run() == []
    order = [(tool, place) for tool, place, _ in setup.calls()]
    places = ['start_seed0/round0', 'entropy_seed0/round1', 'entropy_seed0/round2']
    assert order == [(tool, place) for place in places for tool in ('train', 'test')]
    labelled = []
    for place in places:
        folder = setup.work / place
        chosen, pool = read_list(folder / 'chosen.txt'), read_list(folder / 'pool.txt')
        labelled += chosen
        assert len(chosen) == 2 and read_list(folder / 'labelled.txt') == labelled
        assert sorted([*labelled, *pool]) == [str(index) for index in range(10)]
        data = read_data_file(folder / 'data.yml')
        assert [pair.stem for pair in pair_files(data, 'train').pairs] == labelled
        assert len(pair_files(data, 'val').pairs) == 3
        assert data.classes == ('background', 'cat', 'dog') and data.name == 'mine'
        before = read_list(setup.work / 'start_seed0/round0/pool.txt')
    assert labelled[2:] == [before[-1], before[-2], before[-3], before[-4]]  # the largest scores


def test_what_is_finished_is_not_run_again(setup):
    setup.rounds().run()
    setup.calls()
    before = lists(setup.work)
    assert setup.rounds().run() == [] and setup.calls() == []
    assert lists(setup.work) == before and len(before) == 12
    assert setup.rounds(strategies=('random',), rounds=4).run() == []  # shares the start
    assert [place for _, place, _ in setup.calls()][::2] == [
        f'random_seed0/round{index}' for index in (1, 2, 3)
    ]


def test_each_round_that_was_run_now_is_told(setup):
    told = []
    rounds = replace(setup.rounds(rounds=2), after=lambda: told.append(len(setup.calls())))
    rounds.run()
    assert told == [2, 2]  # a training and a test
    told.clear()
    assert rounds.run() == [] and told == []  # all were finished
    setup.fail.write_text('testround2')
    assert len(replace(rounds, plan=setup.plan(rounds=3)).run()) == 1
    assert told == [2]


def test_what_all_calls_asked_for_is_read_back(setup):
    setup.rounds(rounds=1).run()
    setup.rounds(rounds=2, strategies=('random',), seeds=(3,)).run()
    expected = setup.plan(rounds=2, strategies=('entropy', 'random'), seeds=(0, 3))
    assert holds_rounds(setup.work) and read_plan(setup.work) == expected
    assert not holds_rounds(setup.folder)
    with pytest.raises(FileNotFoundError, match='holds no simulated rounds'):
        read_plan(setup.folder)


def test_strategies_and_seeds_draw_their_own(setup):
    setup.rounds(strategies=('random', 'random_foreground', 'clasp_pe'), seeds=(0, 1)).run()
    starts = {(setup.work / f'start_seed{seed}/round0/chosen.txt').read_text() for seed in (0, 1)}
    assert len(starts) == 2
    seeds = [call[call.index('--seed') + 1] for tool, _, call in setup.calls() if tool == 'train']
    assert seeds == ['0'] * 7 + ['1'] * 7  # a start, and two rounds of each of three


@pytest.mark.parametrize('step', ['train', 'test'])
def test_a_round_that_fails_ends_its_strategy_and_goes_on_later(setup, step):
    setup.rounds(strategies=('entropy', 'random')).run()
    whole = lists(setup.work)
    shutil.rmtree(setup.work)
    setup.calls()
    setup.fail.write_text(f'{step}round1')
    failed = setup.rounds(strategies=('entropy', 'random')).run()
    assert [(f.round.title, f.step) for f in failed] == [
        ('entropy, seed 0, round 1', step), ('random, seed 0, round 1', step)]  # fmt: skip
    assert all('on purpose' in f.log.read_text() for f in failed)
    setup.fail.unlink()
    setup.calls()
    assert setup.rounds(strategies=('entropy', 'random')).run() == []
    assert setup.calls()[0][:2] == (step, 'entropy_seed0/round1')
    assert lists(setup.work) == whole


@pytest.mark.parametrize('stop_at', range(4))
def test_lists_are_the_same_after_a_stop_at_any_file(setup, monkeypatch, stop_at):
    """Stopped in the middle of writing the lists of a round, it ends with the same ones."""
    from mmseg_ext.apis.labels import rounds as module

    setup.rounds().run()
    whole = lists(setup.work)
    shutil.rmtree(setup.work)
    written = []
    write, subset = module.write_lines, module.write_subset

    def stopping(work):
        def step(*arguments):
            if len(written) == 4 + stop_at:  # of the second round: three lists, then the data
                raise Stopped(15)
            written.append(1)
            return work(*arguments)

        return step

    monkeypatch.setattr(module, 'write_lines', stopping(write))
    monkeypatch.setattr(module, 'write_subset', stopping(subset))
    with pytest.raises(Stopped):
        setup.rounds().run()
    monkeypatch.setattr(module, 'write_lines', write)
    monkeypatch.setattr(module, 'write_subset', subset)
    assert not (setup.work / 'entropy_seed0/round1/data.yml').exists()
    assert setup.rounds().run() == []
    assert lists(setup.work) == whole


def test_a_training_that_was_stopped_is_resumed(setup):
    rounds = setup.rounds(rounds=1)
    rounds.run()
    run = rounds_of(rounds.plan, 'entropy', 0, setup.work)[0].run.path
    (run / 'results.json').unlink()
    (run / 'iter_3.pth').unlink()
    write_whole_checkpoint(run / 'iter_2.pth')
    (run / 'last_checkpoint').write_text(str(run / 'iter_2.pth'))
    setup.calls()
    rounds.run()
    train = next(call for tool, _, call in setup.calls() if tool == 'train')
    assert '--resume' in train and 'load_from=None' in train


def test_warm_start_goes_on_from_the_round_before(setup):
    setup.rounds(warm_start=True, rounds=2).run()
    first, second = (call for tool, _, call in setup.calls() if tool == 'train')
    assert not any(word.startswith('load_from') for word in first)
    assert f'load_from={setup.work}/start_seed0/round0/run/iter_3.pth' in second


def test_regions_without_a_label_are_ignored(setup):
    """Windows of 20 pixels: four an image."""
    rounds = setup.rounds(regions='windows', size=20, rounds=2, budget='5')
    assert len(rounds.names) == 40 and rounds.names[:5] == ['0#0', '0#1', '0#2', '0#3', '1#0']
    assert rounds.run() == []
    folder = setup.work / 'entropy_seed0/round1'
    labelled = read_list(folder / 'labelled.txt')
    assert len(labelled) == 10
    data = read_data_file(folder / 'data.yml')
    pairs = pair_files(data, 'train').pairs
    assert {pair.stem for pair in pairs} == {name.split('#')[0] for name in labelled}
    for pair in pairs:
        mask = read_mask(pair.mask)
        truth = read_mask(str(setup.file.parent / f'masks/train/{pair.stem}.png'))
        for number in range(4):
            rows, columns = (slice(20 * p, 20 * p + 20) for p in divmod(number, 2))
            known = f'{pair.stem}#{number}' in labelled
            expected = truth[rows, columns] if known else np.full((20, 20), 255)
            assert np.array_equal(mask[rows, columns], expected)


def test_a_subset_of_colors_and_lists_is_readable_from_its_folder(setup):
    folder = setup.file.parent
    (folder / 'val.txt').write_text('1')
    text = setup.file.read_text().replace('masks: masks/val}', 'masks: masks/val, list: val.txt}')
    setup.file.write_text(text)
    path = write_subset(Pool.of(read_data_file(setup.file)), ['3', '7'], setup.folder / 'deep/er')
    data = read_data_file(path)
    assert [pair.stem for pair in pair_files(data, 'train').pairs] == ['3', '7']
    assert [pair.stem for pair in pair_files(data, 'val').pairs] == ['1']


def test_the_summary_has_curves_areas_and_tests(setup):
    rounds = setup.rounds(strategies=('entropy', 'random'), seeds=(0, 1))
    rounds.run()
    found = summarise(rounds.plan, setup.work)
    assert json.loads((setup.work / 'active_learning.json').read_text()) == found
    points = found['curves']['random']['1']
    assert [(p['labelled'], p['share'], p['mIoU']) for p in points] == [
        (2, 0.2, 0.02), (4, 0.4, 0.04), (6, 0.6, 0.06)]  # fmt: skip
    assert found['areas']['entropy']['mean'] == pytest.approx(0.04)
    assert found['areas']['entropy']['seeds'] == [0, 1]
    assert found['tests'][0]['p'] == 1.0
    assert found['verdict'].startswith('2 seeds show no difference at 5 %')
    text = as_text(found)
    assert 'entropy, seed 0: 20.0 %: 2.00, 40.0 %: 4.00, 60.0 %: 6.00' in text
    assert 'area of random: 4.00 +- 0.00 (2 seeds)' in text
    shutil.rmtree(setup.work / 'random_seed1/round2')  # not all rounds: no area of that seed
    assert summarise(rounds.plan, setup.work)['areas']['random']['seeds'] == [0]


def test_rounds_that_were_tested_on_other_masks_are_not_compared(setup):
    rounds = setup.rounds(strategies=('entropy', 'random'))
    rounds.run()
    files = sorted(setup.work.rglob('results.json'))
    assert len(files) == 5  # the first round is shared
    for path in files:
        _write_confusion(path, [[1, 2], [3, 4]])
    _write_confusion(files[-1], [[0, 3], [7, 0]])  # the same masks, predicted otherwise
    assert summarise(rounds.plan, setup.work)['tests']
    _write_confusion(files[-1], [[1, 3], [3, 3]])
    with pytest.raises(ValueError, match='tested on other images or masks.*another --work-dir'):
        summarise(rounds.plan, setup.work)


def _write_confusion(path, matrix):
    classes = dict(per_class=dict(IoU=dict(cat=0.5, dog=0.5)), confusion=matrix)
    path.write_text(json.dumps(dict(json.loads(path.read_text()), **classes)))


def test_other_settings_in_the_same_folder_are_refused(setup):
    setup.rounds(rounds=1).run()
    with pytest.raises(ValueError, match='budget was 20% and is 10%.*another --work-dir'):
        setup.rounds(budget='10%', rounds=1).run()
    (setup.file.parent / 'images/train/3.png').unlink()
    (setup.file.parent / 'masks/train/3.png').unlink()
    with pytest.raises(ValueError, match='name other images than'):
        setup.rounds(rounds=1, budget='20%').run()


def test_the_command_line_goes_before_the_row_and_the_row_before_the_default():
    nothing = dict(strategies=None, seeds=None, rounds=None, budget=None)
    assert settle(nothing) == dict(strategies=('entropy',), seeds=(0,), rounds=6, budget='10%')
    row = dict(strategies=['random', 'entropy'], rounds=4, budget='5%')
    found = settle(dict(nothing, seeds=[2, 1, 2], budget='7'), row)
    expected = dict(strategies=('random', 'entropy'), seeds=(2, 1), rounds=4, budget='7')
    assert found == expected
    with pytest.raises(ValueError, match="active_learning: no entry 'round': did you mean rounds"):
        settle(nothing, dict(round=3))
    for key, value in (('seeds', 3), ('strategies', 'random'), ('rounds', '4'), ('rounds', True)):
        with pytest.raises(ValueError, match=f'active_learning.{key} is .* of another kind'):
            settle(nothing, {key: value})


def test_budgets():
    assert [parse_budget(text, 367) for text in ('10%', '0.1%', '12', ' 5 % ')] == [36, 1, 12, 18]
    assert [parse_budget(f'{s}%', 100) for s in (7, 29, 57, 100)] == [7, 29, 57, 100]
    for text in ('0', '-3', '2.5', 'ten', '0%', '101%', 'nan', 'inf', '%', ''):
        with pytest.raises(ValueError, match='--budget must be'):
            parse_budget(text, 367)


def test_bad_input_is_one_line_before_anything_runs(setup):
    with pytest.raises(ValueError, match='6 rounds of 2 labels are 12, and the pool has 10'):
        setup.rounds(rounds=6).run()
    with pytest.raises(ValueError, match="strategy must be 'random'"):
        setup.plan(strategies=('entropi',))
    with pytest.raises(ValueError, match='rounds must be a number from 1'):
        setup.plan(rounds=0)
    text = setup.file.read_text()
    setup.file.write_text(text.replace('ignore_value: 255', ''))
    with pytest.raises(ValueError, match='regions without a label are ignored: add ignore_value'):
        setup.rounds(regions='windows')
    setup.file.write_text(text)
    (setup.file.parent / 'masks/train/3.png').unlink()
    with pytest.raises(FileNotFoundError, match="image '3' of train has no mask"):
        setup.rounds()
    assert setup.calls() == [] and not setup.work.exists()
