"""--semi on a user's data: every method trains, and its checkpoint is tested as a plain one's."""

import copy
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from support.paths import ROOT
from support.tiny import write_tiny_config
from support.tools import load_tool
from support.user_folder import TEXT, write_folder_with_unlabelled

from mmseg_ext.apis.config.semi import is_semi, plain_model
from mmseg_ext.apis.run import testing, training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.load import load_model
from mmseg_ext.apis.run.network.build import build
from mmseg_ext.apis.run.semi import use_semi, use_semi_data
from mmseg_ext.core.saved import find_resumable
from mmseg_ext.models.segmentors.semi import METHODS
from mmseg_ext.models.segmentors.semi_inputs import Unlabelled


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return write_folder_with_unlabelled(tmp_path_factory.mktemp('semi'))


@pytest.fixture(scope='module')
def config(tmp_path_factory, folder):
    return write_tiny_config(tmp_path_factory.mktemp('config') / 'tiny.py', folder)


def semi(config, folder, work, method='fixmatch', *, options=None, **settings):
    options = {
        'train_cfg.max_iters': 4, 'param_scheduler.0.end': 4, 'train_cfg.val_interval': 4,
        'default_hooks.checkpoint.interval': 2, **(options or {})}  # fmt: skip
    cfg = load_config(config, dataset=folder / 'mine.yml', options=options, work_dir=work)
    use_semi_data(cfg, method, folder / 'mine.yml', **settings)
    return cfg


def records(work):
    (path,) = work.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize('method', METHODS)
def test_every_method_trains_and_logs_coverage(config, folder, tmp_path, method):
    cfg = semi(config, folder, tmp_path, method)
    runner = training.train(cfg)
    logged = [line for line in records(tmp_path) if 'loss' in line]
    assert len(logged) == 4
    assert all(np.isfinite(line['loss']) and 0 <= line['semi.coverage'] <= 1 for line in logged)
    views = [key for key in logged[0] if key.startswith('semi.loss_')]
    assert len(views) == dict(unimatch=3).get(method, 1)
    assert runner.train_dataloader.batch_size == 4
    if method != 'cps':
        assert runner.model.ema_steps == 4
        states = [net.state_dict() for net in (runner.model.teacher, runner.model.student)]
        assert any(not torch.equal(states[0][k], v) for k, v in states[1].items())


def test_each_validation_measures_the_pseudo_labels_of_the_segmentors_threshold(
    config, folder, tmp_path
):
    """At 0 every pixel has one, and the right ones are the pixel accuracy; at 1 hardly any has."""
    options = {'train_cfg.val_interval': 2}
    found = {}
    for threshold in (0.0, 1.0):
        work = tmp_path / str(threshold)
        training.train(semi(config, folder, work, options=options, threshold=threshold))
        found[threshold] = [line for line in records(work) if 'mIoU' in line]
    assert [[line['step'] for line in lines] for lines in found.values()] == [[2, 4]] * 2
    for line in found[0.0]:
        assert line['pseudo/coverage'] == 100
        assert line['pseudo/precision'] == pytest.approx(line['aAcc'], abs=0.01)
        assert 0 <= line['ECE'] <= 100
    assert all(line['pseudo/coverage'] < 1 for line in found[1.0])


@pytest.fixture(scope='module')
def trained(config, folder, tmp_path_factory):
    work = tmp_path_factory.mktemp('work')
    training.train(semi(config, folder, work))
    return work


def test_a_test_by_the_plain_row_or_by_the_runs_own_config_tests_the_teacher(
    config, folder, trained, tmp_path
):
    checkpoint = trained / 'iter_4.pth'
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    cut = {k.removeprefix('teacher.'): v for k, v in state.items() if k.startswith('teacher.')}
    content = dict(meta={}, state_dict=cut)
    torch.save(content, tmp_path / 'teacher.pth')
    found = []
    for name, path, given in (
        ('plain', config, checkpoint),
        ('own', trained / 'tiny.py', checkpoint),
        ('cut', config, tmp_path / 'teacher.pth'),
    ):
        data = folder / 'mine.yml' if path == config else None
        cfg = load_config(path, dataset=data, work_dir=tmp_path / name)
        found.append({k: v for k, v in testing.test(cfg, given).items() if 'time' not in k})
    assert found[0] == found[1] == found[2] and found[0]['mIoU'] > 0


def test_what_is_reported_is_the_last_checkpoint(config, folder, trained, tmp_path):
    work = shutil.copytree(trained, tmp_path / 'work')
    (best,) = work.glob('best_*.pth')
    best.rename(best.with_name('best_mIoU_iter_2.pth'))
    for path, data in ((config, folder / 'mine.yml'), (work / 'tiny.py', None)):
        testing.test(load_config(path, dataset=data, work_dir=work))
        results = json.loads((work / 'results.json').read_text())
        assert results['checkpoint'] == 'iter_4.pth' and results['iterations'] == 4
    plain = tmp_path / 'plain'
    plain.mkdir()
    for path in work.glob('*.pth'):
        shutil.copy(path, plain)
    assert testing._reported(RunFolder(plain), load_config(config)).name == 'best_mIoU_iter_2.pth'


def test_predicting_loads_the_teacher_into_the_plain_network(config, folder, trained):
    checkpoint = trained / 'iter_4.pth'
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    for path, data in ((config, folder / 'mine.yml'), (trained / 'tiny.py', None)):
        model = load_model(path, checkpoint, device='cpu', dataset=data)
        assert type(model).__name__ == 'EncoderDecoder'
        own = model.state_dict()
        assert own and all(torch.equal(state[f'teacher.{k}'], v) for k, v in own.items())


def test_a_killed_run_goes_on_to_the_same_weights(config, folder, tmp_path):
    options = {'train_dataloader.num_workers': 0, 'custom_hooks': [dict(type='IterSeedHook')]}
    for name in ('whole', 'stopped'):
        training.train(semi(config, folder, tmp_path / name, options=options))
    stopped = tmp_path / 'stopped'
    expected = torch.load(tmp_path / 'whole/iter_4.pth', weights_only=True)
    for path in (
        *stopped.glob('iter_4.pth'),
        *stopped.glob('best*.pth'),
        stopped / 'last_checkpoint',
    ):
        path.unlink(missing_ok=True)
    assert find_resumable(stopped).path.name == 'iter_2.pth'
    cfg = semi(config, folder, stopped, options=options)
    runner = training.train(cfg, resume=True)
    assert runner.iter == 4
    found = torch.load(stopped / 'iter_4.pth', weights_only=True)
    assert found['state_dict'].keys() == expected['state_dict'].keys()
    different = [
        k for k, v in expected['state_dict'].items() if not torch.equal(found['state_dict'][k], v)
    ]
    assert different == [] and found['state_dict']['ema_steps'] == 4


def test_accumulation_moves_the_teacher_once_for_each_step(config, folder, tmp_path):
    options = {'optim_wrapper.accumulative_counts': 2}
    runner = training.train(semi(config, folder, tmp_path, options=options))
    assert runner.model.ema_steps == 2


def test_loops_of_epochs_end(config, folder, tmp_path):
    cfg = semi(config, folder, tmp_path)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=2)
    cfg.train_dataloader.sampler.endless = False
    cfg.param_scheduler = []
    cfg.default_hooks.checkpoint.update(by_epoch=True, interval=2)
    cfg.log_processor = dict(by_epoch=True)
    runner = training.train(cfg)
    assert runner.iter == 2 * (6 // 2)  # six labelled images, two in a batch


def test_masks_in_reserve_give_the_precision(config, folder, tmp_path):
    cfg = load_config(
        config, dataset=folder / 'mine.yml', work_dir=tmp_path,
        options={'train_cfg.max_iters': 2, 'param_scheduler.0.end': 2})  # fmt: skip
    rest = copy.deepcopy(cfg.val_dataloader.dataset)
    use_semi(cfg, 'fixmatch', rest, with_masks=True, threshold=0.0)
    training.train(cfg)
    logged = [line for line in records(tmp_path) if 'semi.precision' in line]
    assert logged and all(0 < line['semi.precision'] < 1 for line in logged)
    assert all(line['semi.coverage'] == 1 for line in logged)


def test_weights_and_frozen_parts_follow_into_the_wrapper(config, folder, tmp_path):
    cfg = load_config(config, dataset=folder / 'mine.yml', work_dir=tmp_path)
    cfg.load_from = 'start.pth'
    cfg.custom_hooks = [dict(type='FreezeBackboneHook', until_iter=3)]
    use_semi(cfg, 'cps', copy.deepcopy(cfg.val_dataloader.dataset))
    assert cfg.load_from is None
    assert cfg.model.segmentor.init_cfg == dict(type='Pretrained', checkpoint='start.pth')
    modules = [hook.get('module') for hook in cfg.custom_hooks]
    assert modules == ['student.backbone', 'peer.backbone', None]
    (view,) = [
        step for step in cfg.train_dataloader.dataset.datasets[1].pipeline
        if step.type == 'StrongView'
    ]  # fmt: skip
    assert view.num_views == 0  # the students of CPS see the images as they are


def test_a_semi_supervised_row_follows_a_users_data(config, folder, tmp_path):
    path = ROOT / 'configs/survey/unimatch_deeplabv3plus_mobilenetv2_camvid180_eighth.py'
    cfg = load_config(path, dataset=folder / 'mine.yml', options={'model.threshold': 0.8})
    assert cfg.model.threshold == 0.8 and tuple(cfg.model.strong_weights) == (0.25, 0.25)
    assert cfg.model.segmentor.decode_head.num_classes == 3
    labelled, others = cfg.train_dataloader.dataset.datasets
    assert labelled.data_prefix.img_path == 'images/train'
    assert others.data_prefix == dict(img_path='images/more')
    assert [step.num_views for step in others.pipeline if step.type == 'StrongView'] == [2]
    assert [hook.type for hook in cfg.custom_hooks].count('EMATeacherHook') == 1
    kinds = [metric['type'] for metric in cfg.val_evaluator]
    assert kinds == ['SegMetric', 'CalibrationMetric', 'PseudoLabelMetric']
    (folder / 'none.yml').write_text(TEXT)
    with pytest.raises(ValueError, match='names no unlabelled images'):
        load_config(path, dataset=folder / 'none.yml')


def tool_arguments(monkeypatch, *arguments):
    """What tools/train.py makes of its arguments."""
    tool, seen = load_tool('train'), []
    monkeypatch.setattr(sys, 'argv', ['train', *map(str, arguments)])
    monkeypatch.setattr(tool.run, 'train', lambda cfg, resume: seen.append(cfg))
    tool.main()
    return seen[0]


def test_the_command_names_the_method_and_takes_its_settings(
    config, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    data = ('--dataset', folder / 'mine.yml')
    options = ('--semi', 'fixmatch', '--semi-options', 'threshold=0.7')
    cfg = tool_arguments(monkeypatch, config, *data, *options)
    assert re.fullmatch(r'work_dirs/tiny-.+-fixmatch', cfg.work_dir)
    assert cfg.model.threshold == 0.7 and is_semi(cfg.model)
    options = ('--semi', 'cps', '--fold', 1, '--num-folds', 3)
    folded = tool_arguments(monkeypatch, config, *data, *options)
    labelled, others = folded.train_dataloader.dataset.datasets
    assert labelled.ann_file.endswith('-cps/fold1/split_train.txt')
    assert others.data_prefix == dict(img_path='images/more')
    for given, words in (
        (('--semi', 'cps'), '--semi needs --dataset'),
        ((*data, '--semi-options', 'threshold=0.7'), '--semi-options need --semi'),
    ):
        with pytest.raises(SystemExit):
            tool_arguments(monkeypatch, config, *given)
        assert words in capsys.readouterr().err


def test_labelled_images_are_left_out_of_the_unlabelled_ones(config, folder, tmp_path, monkeypatch):
    copied = tmp_path / 'data'
    shutil.copytree(folder, copied)
    shutil.copy(copied / 'images/train/3.png', copied / 'images/more/new.png')
    shutil.copy(copied / 'images/val/0.png', copied / 'images/more/other.png')
    options = ('--semi', 'unimatch', '--fold', 1, '--num-folds', 3)  # 3 is of a fold, or of its val
    monkeypatch.chdir(tmp_path)
    cfg = tool_arguments(monkeypatch, config, '--dataset', copied / 'mine.yml', *options)
    init_default_scope('mmseg')
    others = DATASETS.build(cfg.train_dataloader.dataset.datasets[1])
    seen = [Path(others.get_data_info(index)['img_path']).stem for index in range(len(others))]
    assert seen == ['0', '1', '2', '3', '4']


def test_mistakes(config, folder, tmp_path):
    with pytest.raises(ValueError, match='--semi'):
        semi(config, folder, tmp_path, 'fixmach')
    with pytest.raises(ValueError, match="has no argument 'treshold'"):
        semi(config, folder, tmp_path, treshold=0.5)
    with pytest.raises(ValueError, match="^discriminator_lr must be a number, got 'abc'$"):
        semi(config, folder, tmp_path, 'adversarial', discriminator_lr='abc')
    with pytest.raises(ValueError, match='^discriminator_lr must not be negative, got -1$'):
        semi(config, folder, tmp_path, 'adversarial', discriminator_lr=-1)
    cfg = semi(config, folder, tmp_path)
    with pytest.raises(ValueError, match='is semi-supervised already'):
        use_semi(cfg, 'cps', {})
    shutil.copy(folder / 'mine.yml', folder / 'none.yml')
    (folder / 'none.yml').write_text(TEXT)
    cfg = load_config(config, dataset=folder / 'none.yml', work_dir=tmp_path)
    with pytest.raises(ValueError, match='names no unlabelled images'):
        use_semi_data(cfg, 'cps', folder / 'none.yml')


@pytest.mark.parametrize(
    'name, message',
    [
        *((n, f"has no argument '{n}'") for n in ('cfg', 'dataset', 'method', 'unlabelled')),
        *((n, f'^--semi-options {n}: ') for n in ('segmentor', 'type', 'with_masks')),
    ],
)
def test_names_of_what_is_no_setting_are_refused(config, folder, tmp_path, name, message):
    """Some are arguments of the functions, with which ``--semi-options`` must not collide."""
    cfg = load_config(config, dataset=folder / 'mine.yml', work_dir=tmp_path)
    with pytest.raises(ValueError, match=message):
        use_semi_data(cfg, 'fixmatch', folder / 'mine.yml', **{name: 1})


CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py')
                 if '_base_' not in p.parts and not p.name.startswith('_'))  # fmt: skip


def test_every_row_can_be_wrapped(folder):
    """All but those that give no logits; the model within stays the row's."""
    init_default_scope('mmseg')
    wrapped = 0
    for path in CONFIGS[::4]:
        cfg = Config.fromfile(path)
        if is_semi(cfg.model) or cfg.model.type == 'MaskRCNNSegmentor':
            continue
        before = copy.deepcopy(cfg.model)
        use_semi(cfg, 'unimatch', dict(type='FolderDataset', data_prefix={}, metainfo={}))
        assert is_semi(cfg.model)
        inner = plain_model(cfg.model)
        inner.pop('init_cfg', None), before.pop('init_cfg', None)
        assert inner == before
        kinds = [step['type'] for step in cfg.train_dataloader.dataset.datasets[1].pipeline]
        assert kinds[-2:] == ['StrongView', 'PackUnlabelledInputs'] and 'LoadUnlabelled' in kinds
        wrapped += 1
    assert wrapped > 20


@pytest.mark.parametrize(
    'name',
    ['fmsi_mobilenetv2_camvid180', 'mfp_mobilenetv2_camvid180', 'fmsi_xception_repo_voc12aug'],
)
def test_networks_of_the_papers_learn_without_labels(name):
    init_default_scope('mmseg')
    cfg = Config.fromfile(next(path for path in CONFIGS if path.stem == name))
    cfg.model.backbone.pop('init_cfg', None)
    if cfg.model.backbone.type == 'XceptionDeepLab':
        cfg.model.backbone.num_middle_blocks = 1
    use_semi(cfg, 'unimatch', dict(type='FolderDataset', data_prefix={}, metainfo={}), threshold=0)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    weak = torch.randn(2, 3, 64, 64)
    found = model.unlabelled_loss(
        Unlabelled(weak, (weak, weak), torch.zeros(2, 64, 64, dtype=torch.bool), None)
    )
    losses = [value for key, value in found.items() if 'loss' in key]
    assert len(losses) == 3 and all(value.isfinite() for value in losses)
    sum(losses).backward()
    named = list(model.student.named_parameters())
    assert named and [n for n, p in named if p.requires_grad and p.grad is None] == []


def test_the_cost_is_that_of_the_network_that_is_tested(config, folder, tmp_path):
    plain = load_config(config, dataset=folder / 'mine.yml', work_dir=tmp_path)
    counts = [
        sum(p.numel() for p in build(cfg).parameters())
        for cfg in (plain, semi(config, folder, tmp_path))
    ]
    assert counts[0] == counts[1] > 0


def test_a_labelled_image_among_the_unlabelled_ones_is_left_out_from_python_too(config, tmp_path):
    own = write_folder_with_unlabelled(tmp_path / 'own')
    labelled = sorted((own / 'images' / 'train').iterdir())[0]
    twin = own / 'images' / 'more' / f'twin{labelled.suffix}'
    shutil.copy(labelled, twin)
    cfg = semi(config, own, tmp_path / 'work')
    assert cfg.train_dataloader.dataset.datasets[1].left_out == ['twin']
