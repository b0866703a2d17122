"""Two-process training on CPUs: the same gradients as one process on the joined batch."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.paths import ROOT

from mmseg_ext.apis.run import testing, training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.engine.distributed import start_cpu_group

# No augmentation, no dropout and no batch statistics, so that a batch of two is two of one; plain
# SGD with rate 1, so that the change of a weight is its gradient. All images have as many valid
# pixels, so that the mean over processes is the mean over pixels.
EXACT = """
norm_cfg = dict(type='GN', num_groups=2)
model = dict(
    data_preprocessor=dict(size=(40, 40)), backbone=dict(norm_cfg=dict(num_groups=2)),
    decode_head=dict(dropout_ratio=0, norm_cfg=dict(num_groups=2)))
model['backbone']['norm_cfg'] = dict(type='GN', num_groups=2, _delete_=True)
model['decode_head']['norm_cfg'] = dict(type='GN', num_groups=2, _delete_=True)
train_dataloader = dict(batch_size={batch}, dataset=dict(pipeline={{{{_base_.test_pipeline}}}}))
optim_wrapper = dict(optimizer=dict(
    type='SGD', lr=1.0, momentum=0.0, weight_decay=0.0, _delete_=True))
param_scheduler = None
train_cfg = dict(max_iters=1, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1))
"""


def write(path: Path, base: Path, batch: int) -> Path:
    path.write_text(f'_base_ = [{str(base)!r}]\n' + EXACT.format(batch=batch))
    return path


def test_two_processes_have_the_gradients_of_the_joined_batch(tiny_config, tmp_path):
    pair = write(tmp_path / 'pair.py', tiny_config, 1)
    done = subprocess.run(
        ['bash', 'tools/dist_train.sh', str(pair), '2', '--work-dir', str(tmp_path / 'pair')],
        cwd=ROOT, capture_output=True, text=True, timeout=900,  # a busy machine is slow, not wrong
        env={**os.environ, 'PYTHON': sys.executable,
             'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'})  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'MMDistributedDataParallel' in (tmp_path / 'pair' / 'pair.py').read_text()

    cfg = load_config(write(tmp_path / 'one.py', tiny_config, 2),
                               work_dir=tmp_path / 'one')  # fmt: skip
    runner = training.build_runner(cfg)
    runner.model.cpu()
    runner._init_model_weights()
    start = {k: v.clone() for k, v in runner.model.state_dict().items()}
    training.train(cfg)
    one = torch.load(tmp_path / 'one' / 'iter_1.pth')['state_dict']
    two = torch.load(tmp_path / 'pair' / 'iter_1.pth')['state_dict']
    assert list(one) == list(two)
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=1e-4, atol=1e-6, msg=key)
    moved = [k for k in one if (one[k] - start[k]).abs().max() > 1e-4]
    assert len(moved) > len(one) // 2  # gradients that were compared are not zero


def test_without_a_launcher_no_group_is_started():
    assert start_cpu_group('none') is False


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_without_its_variables_says_so(launcher, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    for name in list(os.environ):
        if name.startswith(('SLURM_', 'OMPI_')) or name in ('RANK', 'WORLD_SIZE'):
            monkeypatch.delenv(name)
    with pytest.raises(ValueError, match=f'--launcher {launcher}: the environment lacks'):
        start_cpu_group(launcher)


# --- every parameter's gradient, with hooks that touch the parameters -----------------------------

GRADIENTS = """
import copy
import os
import shutil
import torch
from mmengine.dist import all_reduce, barrier, get_world_size
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.options import use_launcher

PAIRS = {pairs!r}


@HOOKS.register_module()
class CompareHook(Hook):
    '''Counts the gradients that are not those computed by hand, at the given iterations.'''
    priority = 'LOWEST'

    def before_train(self, runner):
        runner.optim_wrapper.optimizer.register_step_pre_hook(lambda *_: self.compare(runner))

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        randomness = torch.get_rng_state()
        model = copy.deepcopy(runner.model.module)
        data = model.data_preprocessor(copy.deepcopy(data_batch), True)
        model.parse_losses(model(**data, mode='loss'))[0].backward()
        torch.set_rng_state(randomness)
        self.expected = {{}}
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                gradient = parameter.grad.contiguous()
                all_reduce(gradient)
                self.expected[name] = gradient / get_world_size()

    def compare(self, runner):
        found = {{n: p.grad for n, p in runner.model.module.named_parameters()
                 if p.grad is not None and p.requires_grad}}
        wrong = [n for n, g in self.expected.items() if not torch.equal(g, found[n])]
        moved = [n for n, g in self.expected.items() if g.any()]
        print(runner.iter, len(found) == len(self.expected), len(moved) > 2, wrong)


def train(folder, hooks, resume=False):
    cfg = load_config({config!r}, work_dir=folder)
    cfg.experiment_name = os.path.basename(folder) + str(resume)
    cfg.custom_hooks = [*hooks, dict(type='IterSeedHook'), dict(type='CompareHook')]
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    use_launcher(cfg, 'pytorch')
    cfg.find_unused_parameters = True
    cfg.model_wrapper_cfg.find_unused_parameters = True
    training.train(cfg, resume=resume)


for name, hooks, resumes in PAIRS:
    torch.manual_seed(rank)
    train({folder!r} + name, hooks)
    if resumes:
        cut = {folder!r} + name + '_cut'  # as if it had been killed after iteration 3
        if rank == 0:
            os.makedirs(cut)
            shutil.copy({folder!r} + name + '/iter_3.pth', cut)
        barrier()
        train(cut, hooks, resume=True)
"""
LAYOUT = dict(type='ChannelsLastHook')
FREEZE = dict(type='FreezeBackboneHook', until_iter=2)
HOOKS = [
    ('layout', [LAYOUT], True),
    ('frozen', [FREEZE, LAYOUT, dict(type='PreciseBNHook', num_batches=2)], True),
    ('ema', [dict(type='EMAHook'), LAYOUT], False),
]


def same(one, two):
    """Whether two checkpoints hold the same weights and the same optimiser, bit for bit."""
    parts = [[c['state_dict'], c['optimizer']['state']] for c in map(torch.load, (one, two))]
    leaves = [torch.utils._pytree.tree_leaves(part) for part in parts]
    return len(leaves[0]) == len(leaves[1]) and all(
        torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(*leaves)
    )


@pytest.mark.parametrize('count', [1, 2])
def test_gradients_are_those_averaged_by_hand(count, tiny_config, tmp_path, two_ranks):
    """At every iteration from the first, for every parameter, also after resuming."""
    pairs = HOOKS if count == 2 else [('layout', [LAYOUT], False)]
    texts = two_ranks(GRADIENTS.format(config=str(tiny_config), folder=f'{tmp_path}/', pairs=pairs),
                      count)  # fmt: skip
    lines = [line for line in texts[0].splitlines() if line[1:] == ' True True []']
    steps = [int(line[0]) for line in lines]
    expected = []
    for *_, resumes in pairs:
        expected += [*range(6), *range(3, 6)] if resumes else range(6)
    assert steps == expected, texts[0][-3000:]
    for name, _, resumes in pairs:
        if resumes:
            files = [tmp_path / folder / 'iter_6.pth' for folder in (name, f'{name}_cut')]
            assert same(*files), name


# --- statistics and scores ------------------------------------------------------------------------

METRICS = """
val_evaluator = [
    dict(type='SegMetric', batch_f_score=True, per_image_file={folder!r} + 'counts.npz'),
    dict(type='BoundaryF1Metric', prefix='bf1'),
    dict(type='CalibrationMetric', prefix='sure', per_image_file={folder!r} + 'sure.npz'),
    dict(type='SurfaceMetric', prefix='surface', per_image_file={folder!r} + 'surface.npz')]
test_evaluator = val_evaluator
val_cfg = dict(type='ValLossLoop')
val_dataloader = dict(dataset=dict(indices=5))
test_dataloader = val_dataloader
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2))
optim_wrapper = dict(optimizer=dict(lr=1.0))
"""
VALIDATE = """
import pickle
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from mmseg_ext.apis.run import testing, training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.options import use_launcher


@HOOKS.register_module()
class KeepHook(Hook):
    def after_val_epoch(self, runner, metrics=None):
        state = runner.model.module.state_dict()
        pickle.dump([metrics, state], open(f'{folder}/rank{{rank}}.pkl', 'wb'))


cfg = load_config({config!r}, work_dir='{folder}/two')
cfg.custom_hooks = [dict(type='KeepHook'), *{hooks!r}]
use_launcher(cfg, 'pytorch')
training.train(cfg)
cfg = load_config({config!r}, work_dir='{folder}/tested')
cfg.experiment_name = 'tested'
use_launcher(cfg, 'pytorch')
testing.test(cfg, '{folder}/two/iter_2.pth')
"""


def arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize('hooks', [[], [dict(type='PreciseBNHook', num_batches=2)]])
def test_two_processes_validate_what_the_file_holds(hooks, tiny_config, tmp_path, two_ranks):
    """Five images on two processes score as the saved file does on one, in metrics and files."""
    config = tmp_path / 'five.py'
    base = f'_base_ = [{str(tiny_config)!r}]\n'
    config.write_text(base + METRICS.format(folder=f'{tmp_path}/two_'))
    two_ranks(VALIDATE.format(config=str(config), folder=tmp_path, hooks=hooks))
    (scores, state), (others, other) = (
        pickle.loads((tmp_path / f'rank{rank}.pkl').read_bytes()) for rank in (0, 1)
    )
    file = tmp_path / 'two' / 'iter_2.pth'
    saved = torch.load(file)['state_dict']
    assert list(saved) == list(state) == list(other) and scores == others
    for name, value in saved.items():
        assert torch.equal(value, state[name]) and torch.equal(value, other[name]), name

    config.write_text(base + METRICS.format(folder=f'{tmp_path}/one_'))
    cfg = load_config(config, work_dir=tmp_path / 'one')
    alone = testing.test(cfg, file)
    loss = scores.pop('val_loss')
    assert len(alone) > 20 and alone == scores and scores['batch_f_score'] > 0
    tables = [path.name for path in sorted((tmp_path / 'one').glob('*.csv'))]
    assert {'confusions.csv', 'images.csv'} <= set(tables)
    for name in tables:  # what a test on two processes writes, byte for byte
        assert (tmp_path / 'tested' / name).read_text() == (tmp_path / 'one' / name).read_text()
    for name in ('counts', 'sure', 'surface'):
        one, two = (arrays(tmp_path / f'{count}_{name}.npz') for count in ('one', 'two'))
        assert one and list(one) == list(two)
        assert [Path(n).stem for n in one['names']] == ['0', '1', '2', '3', '4']
        for member in one:
            np.testing.assert_array_equal(one[member], two[member], f'{name} {member}')
    cfg = load_config(config, work_dir=tmp_path / 'loss')
    cfg.update(load_from=str(file), experiment_name='loss')
    cfg.default_hooks.checkpoint = None
    assert training.build_runner(cfg).val()['val_loss'] == loss


def test_statistics_are_averaged_and_shared_ones_left_alone(two_ranks):
    texts = two_ranks("""
        from types import SimpleNamespace
        import torch
        from torch import nn
        from mmseg_ext.engine.hooks import SyncStatisticsHook
        net = nn.ModuleList([nn.BatchNorm2d(2), nn.BatchNorm2d(2).eval(), nn.SyncBatchNorm(2),
                             nn.BatchNorm2d(2, track_running_stats=False)])
        for layer in net[:3]:
            layer.running_mean += torch.tensor([rank + 1.0, 5.0])
            layer.running_var += 4.0 * rank
        SyncStatisticsHook().after_train_iter(SimpleNamespace(model=net), 0)
        for layer in net[:3]:
            print(layer.running_mean.tolist(), layer.running_var.tolist())
    """)
    averaged = '[1.5, 5.0] [3.0, 3.0]'
    own = ['[1.0, 5.0] [1.0, 1.0]', '[2.0, 5.0] [5.0, 5.0]']
    assert [t.splitlines() for t in texts] == [[averaged, x, x] for x in own]
