"""Adversarial runs: trained, stopped, gone on with, tested and predicted as any other."""

import json
import re
import shutil

import pytest
import torch
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from support.paths import ROOT
from support.tiny import write_tiny_config
from support.tools import load_tool
from support.user_folder import TEXT, write_folder_with_unlabelled

from mmseg_ext.apis.config.semi import is_adversarial, plain_model
from mmseg_ext.apis.run import testing, training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.load import load_model
from mmseg_ext.apis.run.options import use_amp, use_nan
from mmseg_ext.apis.run.semi import use_semi_data
from mmseg_ext.core.saved import find_resumable
from mmseg_ext.engine.nonfinite import NonFiniteError

SMALL = dict(type='FCNDiscriminator', widths=(4, 4, 4, 4))
SHORT = {
    'train_cfg.max_iters': 4,
    'param_scheduler.0.end': 4,
    'train_cfg.val_interval': 4,
    'default_hooks.checkpoint.interval': 2,
    'train_dataloader.num_workers': 0,
    'custom_hooks': [dict(type='IterSeedHook')],
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return write_folder_with_unlabelled(tmp_path_factory.mktemp('adversarial'))


@pytest.fixture(scope='module')
def config(tmp_path_factory, folder):
    return write_tiny_config(tmp_path_factory.mktemp('config') / 'tiny.py', folder)


def adversarial(config, folder, work, *, options=None, **settings):
    options = {**SHORT, **(options or {})}
    cfg = load_config(config, dataset=folder / 'mine.yml', options=options, work_dir=work)
    settings = dict(dict(discriminator=SMALL, self_threshold=0.0), **settings)
    use_semi_data(cfg, 'adversarial', folder / 'mine.yml', **settings)
    return cfg


def records(work):
    (path,) = work.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def content(path):
    return torch.load(path, weights_only=True)


def same(one, other):
    """Whether two parts of checkpoints hold the same, bit for bit."""
    leaves = [torch.utils._pytree.tree_leaves(part) for part in (one, other)]
    return len(leaves[0]) == len(leaves[1]) > 10 and all(
        torch.equal(torch.as_tensor(a), torch.as_tensor(b))
        for a, b in zip(*leaves)
        if not isinstance(a, (str, type(None)))
    )


@pytest.fixture(scope='module')
def trained(config, folder, tmp_path_factory):
    work = tmp_path_factory.mktemp('work')
    training.train(adversarial(config, folder, work))
    return work


def cut(trained, path, *, at=2):
    """The folder of a run that was killed after a step."""
    shutil.copytree(trained, path)
    for file in (*path.glob('iter_4.pth'), *path.glob('best*.pth'), path / 'last_checkpoint'):
        file.unlink(missing_ok=True)
    assert find_resumable(path).path.name == f'iter_{at}.pth'
    return path


def test_a_training_logs_both_networks(trained):
    logged = [line for line in records(trained) if 'loss' in line]
    assert len(logged) == 4
    for line in logged:
        assert line['semi.coverage'] == 1 and 0 <= line['discriminator.accuracy'] <= 1
        judged = line['discriminator.loss_predicted'] + line['discriminator.loss_true']
        assert line['discriminator.loss'] == pytest.approx(judged, abs=2e-4)
    assert [line['semi.loss_self'] > 0 for line in logged] == [False, True, True, True]
    rates = [(line['segmentor.lr'], line['discriminator.lr']) for line in logged]
    share = (2 / 3) ** 0.9  # mmengine's PolyLR reaches its end at the last of four iterations
    assert rates[0] == (0.01, 1e-4)
    # the row's schedule ends at 1e-4, where the discriminator's begins
    assert rates[1] == pytest.approx(((0.01 - 1e-4) * share + 1e-4, 1e-4 * share), rel=1e-3)


def test_a_killed_run_goes_on_to_the_same_weights_of_both(config, folder, trained, tmp_path):
    stopped = cut(trained, tmp_path / 'run')
    runner = training.train(adversarial(config, folder, stopped), resume=True)
    assert isinstance(runner.optim_wrapper, OptimWrapperDict) and runner.iter == 4
    expected, found = (content(path / 'iter_4.pth') for path in (trained, stopped))
    assert list(found['optimizer']) == ['segmentor', 'discriminator']
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert same(expected[key], found[key]), key
    start = content(trained / 'iter_2.pth')
    assert not same(start['optimizer']['discriminator'], found['optimizer']['discriminator'])


def test_gradients_that_wait_for_their_step_are_gone_on_with(config, folder, tmp_path):
    """The discriminator steps each time, the segmentor in pairs; both halves of the kill differ."""
    options = {'default_hooks.checkpoint.interval': 1}
    for name in ('whole', 'stopped'):
        cfg = adversarial(config, folder, tmp_path / name, options=options)
        cfg.optim_wrapper.segmentor.accumulative_counts = 2
        if name == 'stopped':
            cut(tmp_path / 'whole', tmp_path / name, at=3)
        training.train(cfg, resume=name == 'stopped')
    one, other = (content(tmp_path / name / 'iter_4.pth') for name in ('whole', 'stopped'))
    kept = content(tmp_path / 'whole' / 'iter_3.pth')['waiting_gradients']
    assert kept and all(name.startswith('segmentor.') for name in kept)
    assert same(one['state_dict'], other['state_dict'])
    assert same(one['optimizer'], other['optimizer'])
    second, third = (content(tmp_path / 'whole' / f'iter_{n}.pth')['state_dict'] for n in (2, 3))
    moved = {
        k.split('.')[0] for k in second if k.endswith('weight') and not second[k].equal(third[k])
    }
    assert moved == {'discriminator'}


def test_changed_rates_hold_after_going_on_for_each_network(
    config, folder, trained, tmp_path, caplog
):
    stopped = cut(trained, tmp_path / 'run')
    cfg = adversarial(config, folder, stopped)
    cfg.optim_wrapper.discriminator.optimizer.lr = 2e-3
    cfg.optim_wrapper.segmentor.optimizer.momentum = 0.5
    runner = training.train(cfg, resume=True)
    groups = runner.optim_wrapper['segmentor'].param_groups
    assert {group['momentum'] for group in groups} == {0.5}
    (first,) = [line for line in records_after(stopped) if line['step'] == 3]
    assert first['discriminator.lr'] == pytest.approx(2e-3 * (1 / 3) ** 0.9, rel=1e-3)
    assert first['segmentor.lr'] == pytest.approx((0.01 - 1e-4) * (1 / 3) ** 0.9 + 1e-4, rel=1e-3)


def records_after(work):
    files = sorted(work.glob('*/vis_data/scalars.json'))
    lines = files[-1].read_text().splitlines()
    return [line for line in map(json.loads, lines) if 'loss' in line]


def test_a_run_of_one_optimiser_is_not_gone_on_with_by_two(config, folder, trained, tmp_path):
    stopped = cut(trained, tmp_path / 'run')
    path = stopped / 'iter_2.pth'
    kept = content(path)
    torch.save(dict(kept, optimizer=kept['optimizer']['segmentor']), path)
    with pytest.raises(
        ValueError, match='holds one optimiser, and this run has optimisers of segm'
    ):
        training.train(adversarial(config, folder, stopped), resume=True)
    kept['optimizer']['discriminator']['state'][0]['exp_avg'].view(-1)[0] = float('nan')
    torch.save(kept, path)
    with pytest.raises(ValueError, match='optimizer discriminator 0 exp_avg is not finite'):
        training.train(adversarial(config, folder, stopped), resume=True)


def test_the_segmentor_is_tested_predicted_with_and_taken_out(config, folder, trained, tmp_path):
    checkpoint = trained / 'iter_4.pth'
    state = content(checkpoint)['state_dict']
    inner = {k.removeprefix('segmentor.'): v for k, v in state.items() if 'segmentor.' in k}
    name, taken = load_tool('model_converters/extract_network').extract(str(checkpoint), None)
    assert name == 'segmentor' and same(taken['state_dict'], inner)
    torch.save(dict(meta={}, state_dict=inner), tmp_path / 'inner.pth')
    found = []
    for label, path, given in (
        ('plain', config, checkpoint),
        ('own', trained / 'tiny.py', checkpoint),
        ('taken', config, tmp_path / 'inner.pth'),
    ):
        data = folder / 'mine.yml' if path == config else None
        cfg = load_config(path, dataset=data, work_dir=tmp_path / label)
        found.append({k: v for k, v in testing.test(cfg, given).items() if 'time' not in k})
    assert found[0] == found[1] == found[2] and found[0]['mIoU'] > 0
    for path, data in ((config, folder / 'mine.yml'), (trained / 'tiny.py', None)):
        own = load_model(path, checkpoint, device='cpu', dataset=data).state_dict()
        assert own.keys() == inner.keys() and all(torch.equal(own[k], inner[k]) for k in own)


def test_mixed_precision_and_skipped_steps(config, folder, tmp_path):
    """A loss of the discriminator that is not finite leaves out the steps of both."""
    cfg = adversarial(config, folder, tmp_path / 'amp')
    use_amp(cfg)
    cfg.param_scheduler = None  # a rate of zero in the last step would move nothing
    kinds = {part.type for part in (cfg.optim_wrapper.segmentor, cfg.optim_wrapper.discriminator)}
    assert len(kinds) == 1 and kinds <= {'Bf16OptimWrapper', 'AmpOptimWrapper'}
    use_nan(cfg, 'skip')
    cfg.custom_hooks.append(dict(type='_SpoilHook'))
    runner = training.train(cfg)
    (hook,) = [hook for hook in runner.hooks if type(hook).__name__ == 'NonFiniteHook']
    (spoil,) = [hook for hook in runner.hooks if type(hook).__name__ == 'SpoilHook']
    assert hook.skipped == 1 and spoil.unmoved == [True] and spoil.moved == [True, True, True]
    cfg = adversarial(config, folder, tmp_path / 'stop')
    cfg.custom_hooks.append(dict(type='_SpoilHook'))
    with pytest.raises(NonFiniteError, match='discriminator.loss_true = nan'):
        training.train(cfg)


@pytest.fixture(scope='module', autouse=True)
def spoiling():
    from mmengine.hooks import Hook
    from mmseg.registry import HOOKS

    class SpoilHook(Hook):
        """Makes a loss of the discriminator NaN in the third iteration."""

        priority = 'HIGHEST'

        def __init__(self):
            self.moved, self.unmoved = [], []

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            self.before = {k: v.clone() for k, v in runner.model.state_dict().items()}
            inner = type(runner.model)._judged

            def judged(*args):
                losses = inner(runner.model, *args)
                losses['discriminator.loss_true'] = losses['discriminator.loss_true'] * float('nan')
                return losses

            runner.model.__dict__.pop('_judged', None)
            if runner.iter == 2:
                runner.model._judged = judged

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            state = runner.model.state_dict()
            parts = ('segmentor.backbone.stem.0.weight', 'discriminator.layers.0.weight')
            equal = [torch.equal(self.before[name], state[name]) for name in parts]
            assert equal[0] == equal[1]
            (self.unmoved if equal[0] else self.moved).append(True)

    HOOKS.register_module(name='_SpoilHook', module=SpoilHook)
    yield
    HOOKS._module_dict.pop('_SpoilHook')


LAUNCHED = """
import pickle
import torch
from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.options import use_launcher
from mmseg_ext.apis.run.semi import use_semi_data

cfg = load_config({config!r}, dataset={data!r}, options={options!r}, work_dir={work!r})
use_semi_data(cfg, 'adversarial', {data!r}, discriminator={small!r}, self_threshold=0.0)
use_launcher(cfg, 'pytorch')
runner = training.train(cfg)
state = {{k: v for k, v in runner.model.module.state_dict().items()}}
torch.save(dict(state, kind=type(runner.model).__name__), {work!r} + f'/rank{{rank}}.pth')
"""


def test_two_processes_as_the_tool_launches_them(config, folder, tmp_path, two_ranks):
    work = tmp_path / 'run'
    place = dict(config=str(config), data=str(folder / 'mine.yml'), work=str(work))
    options = {**SHORT, 'custom_hooks': [dict(type='IterSeedHook'), dict(type='ChannelsLastHook')]}
    two_ranks(LAUNCHED.format(**place, options=options, small=SMALL))
    ranks = [content(work / f'rank{rank}.pth') for rank in (0, 1)]
    kinds = {rank.pop('kind') for rank in ranks}
    assert kinds == {'MMDistributedDataParallel'}
    saved = content(work / 'iter_4.pth')
    assert saved['state_dict'].keys() == ranks[0].keys()
    for name, value in saved['state_dict'].items():
        assert torch.equal(value, ranks[0][name]) and torch.equal(value, ranks[1][name]), name
    assert list(saved['optimizer']) == ['segmentor', 'discriminator']


# --- configs --------------------------------------------------------------------------------------


def test_the_command_and_its_settings(config, folder, tmp_path, monkeypatch):
    tool, seen = load_tool('train'), []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tool.run, 'train', lambda cfg, resume: seen.append(cfg))
    options = ('--semi', 'adversarial', '--semi-options', 'self_weight=0.2')
    options = (*options, 'discriminator_lr=2e-5', '--amp')
    arguments = ['train', config, '--dataset', folder / 'mine.yml', *options]
    monkeypatch.setattr('sys.argv', list(map(str, arguments)))
    tool.main()
    (cfg,) = seen
    assert re.fullmatch(r'work_dirs/tiny-.+-adversarial', cfg.work_dir)
    assert is_adversarial(cfg.model) and cfg.model.self_weight == 0.2
    assert cfg.optim_wrapper.segmentor.optimizer.type == 'SGD'
    assert cfg.optim_wrapper.discriminator.optimizer.lr == 2e-5
    steps = [step.type for step in cfg.train_dataloader.dataset.datasets[1].pipeline]
    assert steps[-1] == 'PackUnlabelledInputs'
    with pytest.raises(ValueError, match='mode=supervised learns from no unlabelled images'):
        adversarial(config, folder, tmp_path, mode='supervised')


def test_the_row_follows_a_users_data(folder):
    path = ROOT / 'configs/survey/adversarial_deeplabv3plus_mobilenetv2_camvid180_eighth.py'
    cfg = load_config(path, dataset=folder / 'mine.yml', options={'model.self_weight': 0.3})
    assert cfg.model.type == 'AdversarialSegmentor' and cfg.model.self_weight == 0.3
    assert cfg.model.segmentor.decode_head.num_classes == 3
    labelled, others = cfg.train_dataloader.dataset.datasets
    assert labelled.data_prefix.img_path == 'images/train'
    assert others.data_prefix == dict(img_path='images/more')
    assert list(cfg.optim_wrapper) == ['constructor', 'segmentor', 'discriminator']
    assert cfg.optim_wrapper.segmentor.optimizer.type == 'SGD'
    assert 'EMATeacherHook' not in [hook.type for hook in cfg.custom_hooks]


ROWS = sorted((ROOT / 'configs/survey').glob('adversarial_*.py'))


@pytest.mark.parametrize('path', ROWS, ids=[path.stem for path in ROWS])
def test_every_parameter_of_our_rows_is_in_one_optimiser(path):
    """And the head's rate is a multiple of the backbone's, as in the plain row."""
    assert len(ROWS) == 2
    init_default_scope('mmseg')
    cfg = load_config(path)
    cfg.model.segmentor.backbone.pop('init_cfg')
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    groups = {name: part.optimizer.param_groups for name, part in wrapper.items()}
    owned = [id(p) for found in groups.values() for group in found for p in group['params']]
    trained = {id(p) for p in model.parameters() if p.requires_grad}  # all but frozen batch norms
    assert len(owned) == len(set(owned)) > 100 and set(owned) == trained
    judge = [id(p) for group in groups['discriminator'] for p in group['params']]
    assert set(judge) == {id(p) for p in model.discriminator.parameters()}
    rates = sorted({group['lr'] for group in groups['segmentor']})
    assert rates == pytest.approx([2.5e-4, 2.5e-3] if 'deeplabv2' in path.stem else [0.01, 0.05])
    classes = model.segmentor.num_classes
    widths = [classes, 64, 128, 256, 512, 1]
    expected = sum(16 * a * b + b for a, b in zip(widths, widths[1:]))
    assert sum(p.numel() for p in model.discriminator.parameters()) == expected


def test_weights_frozen_parts_and_epochs_follow_into_the_wrapper(config, folder, tmp_path):
    cfg = load_config(config, dataset=folder / 'mine.yml', work_dir=tmp_path)
    cfg.load_from = 'start.pth'
    cfg.custom_hooks = [dict(type='FreezeBackboneHook', until_iter=3)]
    cfg.optim_wrapper.accumulative_counts = 2
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=2)
    use_semi_data(cfg, 'adversarial', folder / 'mine.yml', discriminator=SMALL)
    assert cfg.load_from is None
    assert cfg.model.segmentor.init_cfg == dict(type='Pretrained', checkpoint='start.pth')
    assert [hook.get('module') for hook in cfg.custom_hooks] == ['segmentor.backbone']
    assert cfg.optim_wrapper.discriminator.accumulative_counts == 2
    assert cfg.param_scheduler.discriminator[0].by_epoch is True
    cfg.model.segmentor.pop('init_cfg')
    cfg.param_scheduler.segmentor = []
    cfg.default_hooks.checkpoint.update(by_epoch=True, interval=2)
    cfg.log_processor = dict(by_epoch=True)
    runner = training.train(cfg)
    assert runner.iter == 2 * (6 // 2)  # six labelled images, two in a batch
    judge = runner.optim_wrapper['discriminator'].optimizer
    assert {int(kept['step']) for kept in judge.state.values()} == {3}  # one in two iterations


SUPERVISED = """
_base_ = [{base!r}]
model = dict(
    _delete_=True, type='AdversarialSegmentor', mode='supervised', adversarial_weight=0.1,
    discriminator=dict(type='FCNDiscriminator', widths=(4, 4, 4, 4)),
    segmentor={{{{_base_.model}}}})
optim_wrapper = dict(
    _delete_=True, constructor='PartsOptimWrapperConstructor',
    segmentor={{{{_base_.optim_wrapper}}}},
    discriminator=dict(optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))))
param_scheduler = dict(
    _delete_=True,
    segmentor={{{{_base_.param_scheduler}}}},
    discriminator=[dict(type='ConstantLR', factor=0.5, begin=0, end=2, by_epoch=False)])
"""


@pytest.fixture(scope='module')
def supervised(config, tmp_path_factory):
    path = tmp_path_factory.mktemp('supervised') / 'supervised.py'
    path.write_text(SUPERVISED.format(base=str(config)))
    return path


def test_supervised_on_a_users_data_with_a_schedule_for_each(supervised, folder, tmp_path):
    """No unlabelled images are named, an ordinary loader; ``max_iters`` rescales both schedules."""
    (folder / 'plain.yml').write_text(TEXT)
    options = {'max_iters': 12}
    cfg = load_config(supervised, dataset=folder / 'plain.yml', options=options, work_dir=tmp_path)
    ends = [
        one[0].end for one in (cfg.param_scheduler.segmentor, cfg.param_scheduler.discriminator)
    ]
    assert ends == [12, 4] and cfg.train_dataloader.sampler.type == 'InfiniteSampler'
    assert plain_model(cfg.model).decode_head.num_classes == 3
    cfg.train_cfg.update(max_iters=6, val_interval=6)
    training.train(cfg)
    logged = [line for line in records(tmp_path) if 'loss' in line]
    assert [line['discriminator.lr'] for line in logged] == [5e-5] * 3 + [1e-4] * 3
    assert all('semi.coverage' not in line for line in logged) and len(logged) == 6
    assert all(line['adversarial.loss_labelled'] > 0 for line in logged)


@pytest.mark.parametrize(
    'change, words',
    [
        ('del cfg.optim_wrapper["discriminator"]', 'and optim_wrapper has no discriminator'),
        ('cfg.optim_wrapper.pop("constructor")', 'and their constructor: optim_wrapper=dict'),
        (
            'cfg.optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=1))',
            'optim_wrapper has no segmentor',
        ),
        ('cfg.model.self_weight = -1', 'self_weight must not be negative'),
        ('cfg.optim_wrapper.judge = cfg.optim_wrapper.discriminator', 'no part of this name'),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(supervised, folder, tmp_path, change, words):
    (folder / 'plain.yml').write_text(TEXT)
    cfg = load_config(supervised, dataset=folder / 'plain.yml', work_dir=tmp_path / 'run')
    exec(change)
    with pytest.raises(ValueError, match=words) as found:
        training.train(cfg)
    assert '\n' not in str(found.value) and not (tmp_path / 'run').exists()
