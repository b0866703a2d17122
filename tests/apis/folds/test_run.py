"""Which tools run for which fold, with stand-ins for them: skipping, resuming, failing."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmseg_ext.apis.folds.run import Plan, run_folds
from mmseg_ext.apis.run.launch import Launch
from mmseg_ext.core.locks import locked
from mmseg_ext.datasets.kfold import split_folds

# Stands in for train.py and test.py: writes down its arguments and what the tool would leave.
FAKE = """
import json, shutil, sys
from pathlib import Path
import numpy as np
tool, arguments = Path(sys.argv[0]).stem, sys.argv[1:]
def value(name):
    return arguments[arguments.index(name) + 1]
with open({log!r}, 'a') as log:
    log.write(json.dumps([tool, *arguments]) + '\\n')
folder = Path(value('--work-dir')) / ('fold' + value('--fold'))
if Path({fail!r}).is_file() and Path({fail!r}).read_text() == tool + value('--fold'):
    print('what led to it')
    sys.exit('error: on purpose')
if tool == 'train':
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy({whole!r}, folder / 'iter_9.pth')
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_9.pth'))
else:
    name = Path(arguments[1]).name
    (folder / 'results.json').write_text(json.dumps(dict(checkpoint=name)))
    place, tolerance = arguments.index('--spacing'), float(value('--tolerance'))
    spacing = [float(length) for length in arguments[place + 1:place + 3]]
    np.savez(folder / 'per_image_surface.npz', spacing=spacing, tolerance=tolerance)
"""

LENGTHS = ['--surfaces', '--spacing', '1.0', '1.0', '--tolerance', '1.0']


def add_images(folder: Path, stems: str) -> None:
    for part in ('img', 'mask'):
        (folder / part).mkdir(exist_ok=True)
        for stem in stems:
            cv2.imwrite(str(folder / part / f'{stem}.png'), np.zeros((2, 2), np.uint8))


class Setup:
    """A work folder, stand-ins, and six images."""

    def __init__(self, folder: Path) -> None:
        self.work, self.tools, self.log = folder / 'work', folder / 'tools', folder / 'calls.txt'
        self.fail = folder / 'fail'
        whole = folder / 'whole.pth'
        torch.save(dict(state_dict=dict(w=torch.ones(1))), whole)
        self.tools.mkdir()
        for name in ('train', 'test'):
            text = FAKE.format(log=str(self.log), fail=str(self.fail), whole=str(whole))
            (self.tools / f'{name}.py').write_text(text)
        add_images(folder, 'abcdef')
        dataset = dict(
            type='FolderDataset', data_root=str(folder), pipeline=[],
            data_prefix=dict(img_path='img', seg_map_path='mask'),
            metainfo=dict(classes=('background', 'bone')))  # fmt: skip
        self.images = folder
        self.cfg = Config(
            dict(
                train_dataloader=dict(dataset=dataset),
                model=dict(depth=18),
                work_dir=str(self.work),
            )
        )

    def run(self, *, folds=None, **settings) -> list:
        settings = dict(dict(config='tiny.py', num_folds=3), **settings)
        return run_folds(Plan(**settings), self.cfg, launch=Launch(self.tools), folds=folds)

    def calls(self) -> list:
        """The calls since the last look, as (tool, fold, all arguments)."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        calls = [json.loads(line) for line in lines]
        return [(call[0], int(call[call.index('--fold') + 1]), call[1:]) for call in calls]


@pytest.fixture
def setup(tmp_path):
    return Setup(tmp_path)


def test_each_fold_is_trained_and_its_last_checkpoint_tested(setup):
    assert setup.run(seed=0, split_seed=4, amp=True, options=('a.b=1', 'c=[1,2]')) == []
    calls = setup.calls()
    order = [(tool, fold) for tool, fold, _ in calls]
    assert order == [(tool, fold) for fold in range(3) for tool in ('train', 'test')]
    shared = ['--fold', '1', '--num-folds', '3', '--split-seed', '4', '--pool', 'train',
              '--work-dir', str(setup.work)]  # fmt: skip
    options = ['--cfg-options', 'a.b=1', 'c=[1,2]']
    assert calls[2][2] == ['tiny.py', *shared, '--seed', '0', '--amp', *options]
    assert calls[3][2] == [
        'tiny.py',
        str(setup.work / 'fold1/iter_9.pth'),
        *shared,
        *LENGTHS,
        *options,
    ]
    assert setup.run(seed=0, split_seed=4, amp=True, options=('a.b=1', 'c=[1,2]')) == []
    assert setup.calls() == []  # all finished


def test_the_trainings_alone_get_the_switches(setup):
    setup.run(folds=[0], switches=('--ema', '0.1'))
    train, test = (arguments for _, _, arguments in setup.calls())
    assert train[-2:] == ['--ema', '0.1'] and '--ema' not in test
    with pytest.raises(ValueError, match=r"switches was \['--ema', '0.1'\] and is \[\]"):
        setup.run(folds=[1])
    plan = setup.work / 'kfold_plan.json'
    plan.write_text(plan.read_text().replace('"switches"', '"nothing"'))  # of an older version
    assert setup.run(folds=[1]) == []


def test_only_some_folds_then_the_rest(setup):
    setup.run(folds=[2, 0, 2])
    assert [(tool, fold) for tool, fold, _ in setup.calls()] == [
        ('train', 2), ('test', 2), ('train', 0), ('test', 0)
    ]  # fmt: skip
    setup.run()
    assert [fold for _, fold, _ in setup.calls()] == [1, 1]


def test_finished_folds_need_no_weights_to_start_from(setup, tmp_path):
    weights = tmp_path / 'a.pth'
    weights.touch()
    setup.cfg.model.init_cfg = dict(type='Pretrained', checkpoint=str(weights))
    setup.run()
    setup.calls()
    weights.unlink()
    assert setup.run() == [] and setup.calls() == []


def test_a_half_trained_fold_resumes(setup, whole_checkpoint):
    whole_checkpoint(setup.work / 'fold0/iter_3.pth')
    setup.run(folds=[0], options=('load_from=start.pth',))
    train = setup.calls()[0][2]
    assert train[-4:] == ['--resume', '--cfg-options', 'load_from=start.pth', 'load_from=None']


def test_a_failing_fold_is_listed_and_the_others_go_on(setup, capfd):
    setup.fail.write_text('train1')
    [failure] = setup.run()
    assert (failure.fold, failure.step) == (1, 'train')
    log = failure.log.read_text()
    assert 'what led to it' in log and 'error: on purpose' in log
    assert 'error: on purpose' in capfd.readouterr().err  # and on the screen
    assert [(tool, fold) for tool, fold, _ in setup.calls()] == [
        ('train', 0), ('test', 0), ('train', 1), ('train', 2), ('test', 2)
    ]  # fmt: skip
    setup.fail.write_text('test1')
    [failure] = setup.run()
    assert (failure.fold, failure.step, failure.log.name) == (1, 'test', 'test.log')
    assert [tool for tool, _, _ in setup.calls()] == ['train', 'test']
    setup.fail.unlink()
    assert setup.run() == []


def test_a_result_of_another_checkpoint_is_tested_again(setup):
    setup.run(folds=[0])
    setup.calls()
    results = setup.work / 'fold0/results.json'
    results.write_text(json.dumps(dict(checkpoint='best_mIoU_iter_4.pth')))
    setup.run(folds=[0])
    assert json.loads(results.read_text())['checkpoint'] == 'iter_9.pth'
    results.write_text('{}')  # killed between the metric and the facts about the run
    setup.run(folds=[0])
    assert json.loads(results.read_text())['checkpoint'] == 'iter_9.pth'


def test_deleted_weights_do_not_cost_the_result(setup):
    setup.run(folds=[0])
    setup.calls()
    (setup.work / 'fold0/iter_9.pth').unlink()
    setup.run(folds=[0])
    assert setup.calls() == []


def test_surfaces_are_measured_again_with_other_lengths(setup):
    setup.run(folds=[0])
    setup.calls()
    (setup.work / 'fold0/per_image_surface.npz').unlink()  # as of a test without them
    plan = Plan(config='tiny.py', num_folds=3)
    for spacing, again in (((1, 1), True), ((1, 1), False), ((0.5, 2), True)):
        run_folds(plan, setup.cfg, launch=Launch(setup.tools), folds=[0], spacing=spacing)
        calls = [arguments for tool, _, arguments in setup.calls() if tool == 'test']
        assert len(calls) == again
        if again:
            lengths = [str(float(length)) for length in spacing]
            assert calls[0][-6:] == ['--surfaces', '--spacing', *lengths, '--tolerance', '1.0']


def test_other_settings_are_refused(setup):
    setup.run(folds=[0])
    with pytest.raises(ValueError, match='num_folds was 3 and is 2.*another --work-dir'):
        setup.run(num_folds=2)
    setup.cfg.model.depth = 50
    with pytest.raises(ValueError, match='config_sha256 was'):
        setup.run()
    setup.cfg.model.depth = 18
    setup.cfg.train_dataloader.num_workers = 4  # no difference to the result
    assert setup.run(folds=[0]) == []


@pytest.mark.parametrize('done', [[0], [0, 1, 2]])
def test_images_that_were_added_are_refused_before_a_training(setup, done):
    setup.run(folds=done)
    setup.calls()
    add_images(setup.images, 'ghi')
    plan = (setup.work / 'kfold_plan.json').read_text()
    with pytest.raises(ValueError, match='name other images.*another --work-dir, or remove .*work'):
        setup.run()
    with pytest.raises(ValueError, match='num_folds was 3 and is 2'):  # which divides anew
        setup.run(num_folds=2)
    assert setup.calls() == [] and (setup.work / 'kfold_plan.json').read_text() == plan
    for stem in 'ghi':
        (setup.images / 'img' / f'{stem}.png').unlink()
        (setup.images / 'mask' / f'{stem}.png').unlink()
    assert setup.run() == [] and len(setup.calls()) == 2 * (3 - len(done))


def test_folds_of_an_older_version_are_known_by_their_lists(setup):
    """Its plan has no digest of the division."""
    setup.run(folds=[0])
    plan = setup.work / 'kfold_plan.json'
    content = json.loads(plan.read_text())
    digest = content.pop('division_sha256')
    plan.write_text(json.dumps(content))
    held = [fold[1] for fold in split_folds('abcdef', num_folds=3)]
    facts = dict(fold=0, num_folds=3, split_seed=0, pool='train', splitter='KFold')
    split = setup.work / 'fold0/split.json'
    split.write_text(json.dumps(dict(facts, val_ids=held[0], num_train=4)))
    assert setup.run(folds=[1]) == []
    assert json.loads(plan.read_text())['division_sha256'] == digest
    plan.write_text(json.dumps(content))
    setup.calls()
    add_images(setup.images, 'g')
    with pytest.raises(ValueError, match='fold0: its lists name other images'):
        setup.run(folds=[2])
    assert setup.calls() == [] and json.loads(plan.read_text()) == content


def test_mistakes_show_before_anything_runs(setup):
    with pytest.raises(ValueError, match='fold 3 is out of range'):
        setup.run(folds=[3])
    with pytest.raises(ValueError, match='6 ids cannot make 7 folds'):
        setup.run(num_folds=7)
    with pytest.raises(ValueError, match='save_best'):
        setup.run(checkpoint='best')
    setup.cfg.model.init_cfg = dict(type='Pretrained', checkpoint='none/a.pth')
    with pytest.raises(FileNotFoundError, match='none/a.pth: no such weights'):
        setup.run()
    assert not setup.work.exists() and setup.calls() == []


def test_two_cross_validations_do_not_share_a_folder(setup, monkeypatch):
    with locked(setup.work), monkeypatch.context() as other:
        other.delenv('MMSEG_EXT_LOCKED')  # what tells our children from others
        with pytest.raises(ValueError, match='work is in use by another process'):
            setup.run()
        assert setup.calls() == [] and not (setup.work / 'kfold_plan.json').exists()


@pytest.mark.parametrize('content', ['', '{"check', '[]', '{}'])
def test_a_damaged_result_is_tested_again(setup, content):
    setup.run(folds=[0])
    setup.calls()
    (setup.work / 'fold0/results.json').write_text(content)
    setup.run(folds=[0])
    assert [tool for tool, *_ in setup.calls()] == ['train', 'test']


def test_a_damaged_plan_is_named(setup):
    setup.run(folds=[0])
    (setup.work / 'kfold_plan.json').write_text('')
    with pytest.raises(ValueError, match='kfold_plan.json is damaged .*: remove it and run again'):
        setup.run(folds=[0])
