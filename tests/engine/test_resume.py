"""A training that was stopped anywhere and goes on ends like one that was not.

The uninterrupted run leaves a copy of its folder at every moment that matters; each copy is gone on
with, as after a kill.
"""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from torch import nn

from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.core.checkpoints import settings_of
from mmseg_ext.core.saved import best_checkpoint, find_resumable, last_checkpoint
from mmseg_ext.engine import resume
from mmseg_ext.engine.checkpoint_hook import CheckpointHook

EPOCHS = """
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=4, val_interval=2)
param_scheduler = [
    dict(type='ConstantLR', factor=0.1, begin=0, end=2, by_epoch=True),
    dict(type='CosineAnnealingLR', begin=1, T_max=3, end=5, eta_min=1e-4, by_epoch=True)]
train_dataloader['sampler'] = dict(type='DefaultSampler', shuffle=True)
default_hooks = dict(
    logger=dict(interval=1, log_metric_by_epoch=True), checkpoint=dict(by_epoch=True, interval=1))
log_processor = dict(by_epoch=True)
"""


def load(config: Path, folder: Path, **options) -> Config:
    options = {'default_hooks.checkpoint.max_keep_ckpts': 1, **options}
    cfg = load_config(config, work_dir=folder, options=options)
    cfg.experiment_name = folder.name + str(len(list(folder.glob('*')) if folder.is_dir() else ''))
    return cfg


def scores(folder: Path) -> dict:
    """Every score of a validation by its step, from the files that mmengine writes."""
    found = {}
    for file in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in map(json.loads, file.read_text().splitlines()):
            if 'mIoU' in line:
                found[line['step']] = {k: v for k, v in line.items() if 'time' not in k}
    return found


def state_of(path: Path) -> dict:
    content = torch.load(path, weights_only=True)
    hub = content['message_hub']
    info = {k: v for k, v in hub['runtime_info'].items() if k in ('best_score', 'last_validation')}
    best = Path(hub['runtime_info']['best_ckpt']).name
    history = {
        key: value['values'] for key, value in hub['log_scalars'].items() if 'time' not in key
    }
    optimizer = content['optimizer']
    return dict(content['state_dict'], optimizer=optimizer, best=best, info=info, history=history)


def differences(one, other, place: str = '') -> list:
    """Places at which two states differ in any bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = dict.fromkeys([*one, *other])
        return [d for k in keys for d in differences(one.get(k), other.get(k), f'{place}.{k}')]
    if isinstance(one, (list, tuple)) and len(one) == len(other):
        pairs = enumerate(zip(one, other))
        return [d for k, pair in pairs for d in differences(*pair, f'{place}.{k}')]
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [place]
    return [] if one == other or (one != one and other != other) else [f'{place}: {one}, {other}']


def files(folder: Path) -> list:
    return sorted(path.name for path in folder.glob('*.pth*'))


class Moments:
    """Copies of the work folder before and after each write of a checkpoint, and in validations."""

    def __init__(self, monkeypatch, work: Path, target: Path) -> None:
        self.work, self.target, self.count, self.names = work, target, 0, []
        save, image = CheckpointHook._save_checkpoint_with_step, CheckpointHook.before_val
        best = CheckpointHook._save_best_checkpoint

        def saving(hook, runner, step, meta):
            self.keep(f'before_{step}')
            save(hook, runner, step, meta)
            self.keep(f'after_{step}')

        def validating(hook, runner):
            image(hook, runner)
            self.keep(f'validating_{runner.iter}')

        def choosing(hook, runner, metrics):
            best(hook, runner, metrics)
            self.keep(f'best_{runner.iter}')

        monkeypatch.setattr(CheckpointHook, '_save_checkpoint_with_step', saving)
        monkeypatch.setattr(CheckpointHook, 'before_val', validating)
        monkeypatch.setattr(CheckpointHook, '_save_best_checkpoint', choosing)

    def keep(self, name: str) -> None:
        shutil.copytree(self.work, self.target / f'{self.count:02}_{name}')
        self.count += 1


@pytest.fixture(scope='module', params=['iterations', 'epochs'])
def straight(request, tiny_config, tmp_path_factory):
    """Config, an uninterrupted run of it, and the moments of that run."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('straight')
    config = folder / 'tiny.py'
    config.write_text(tiny_config.read_text() + (EPOCHS if request.param == 'epochs' else ''))
    with pytest.MonkeyPatch.context() as patch:
        Moments(patch, folder / 'run', folder / 'moments')
        training.train(load(config, folder / 'run'))
    return config, folder / 'run', sorted((folder / 'moments').iterdir())


def test_a_run_killed_at_any_moment_ends_like_one_that_was_not(straight, tmp_path):
    config, run, moments = straight
    assert len(moments) > 8 and any('validating' in path.name for path in moments)
    wanted, best = state_of(last_checkpoint(run)), best_checkpoint(run)
    assert len(files(run)) == 3  # the best, and two although max_keep_ckpts=1
    for moment in moments[:: 2 if 'iter' in wanted['best'] else 5]:  # epochs take longer
        work = tmp_path / moment.name / 'run'
        shutil.copytree(moment, work)
        (work / '.iter_3.pth.99999999.part').write_bytes(
            b'half'
        )  # what a kill while writing leaves
        training.train(load(config, work), resume=True)
        assert differences(state_of(last_checkpoint(work)), wanted) == [], moment.name
        assert best_checkpoint(work).name == best.name, moment.name
        ours, theirs = (torch.load(p)['state_dict'] for p in (best_checkpoint(work), best))
        assert differences(ours, theirs) == [], moment.name
        assert differences(scores(work), scores(run)) == [], moment.name
        assert sorted(p.name for p in work.glob('*.pth*')) == sorted(
            p.name for p in run.glob('*.pth')
        )
        assert not list(work.glob('.*'))


def test_a_run_that_began_with_weights_does_not_go_back_to_them(tiny_config, straight, tmp_path):
    """Nor forget them, whether the command names them again or not; others are gone on from."""
    config, run, _ = straight
    start, work = last_checkpoint(run), tmp_path / 'run'
    if not start.name.startswith('iter'):
        pytest.skip('once is enough')
    training.train(load(config, work, max_iters=4, load_from=str(start)))
    for length, named in ((5, str(start)), (6, None)):
        training.train(load(config, work, max_iters=length, load_from=named), resume=True)
        last = torch.load(last_checkpoint(work), weights_only=True)
        assert last['meta']['iter'] == length
        assert settings_of(last['meta'])['load_from'] == str(start)
    training.train(load(config, work, max_iters=8, load_from=str(work / 'iter_5.pth')), resume=True)
    log = max(work.glob('2*'), key=lambda path: path.name) / 'vis_data/scalars.json'
    assert '"iter": 6' in log.read_text()
    assert find_resumable(work).path.name == 'iter_8.pth'


def test_a_seed_that_was_drawn_is_gone_on_with(tiny_config, tmp_path):
    def run(name, length, seed=None, resume=False):
        cfg = load(tiny_config, tmp_path / name, max_iters=length, randomness=dict(seed=seed))
        cfg.param_scheduler = []
        training.train(cfg, resume=resume)
        return torch.load(last_checkpoint(tmp_path / name), weights_only=True)

    drawn = run('drawn', 2)['meta']['seed']
    ours, theirs = run('drawn', 4, resume=True), run('given', 4, seed=drawn)
    assert differences(ours['state_dict'], theirs['state_dict']) == []


def test_checkpoints_of_an_earlier_run_are_renamed_and_not_gone_on_from(tiny_config, tmp_path):
    training.train(load(tiny_config, tmp_path, max_iters=6))
    before = {path.name: path.read_bytes() for path in tmp_path.glob('*.pth')}
    assert 'iter_6.pth' in before
    training.train(load(tiny_config, tmp_path, max_iters=3))
    assert last_checkpoint(tmp_path).name == 'iter_3.pth'
    for name, content in before.items():
        assert (tmp_path / f'{name}.old').read_bytes() == content


@pytest.mark.parametrize('damage', ['gone', 'cut'])
def test_a_best_that_is_lost_is_chosen_again(straight, tmp_path, damage):
    """From this step's validation if it was this step's, else from the next that comes."""
    _, run, moments = straight
    config, best = straight[0], best_checkpoint(run)
    if not best.name.endswith('iter_6.pth'):
        pytest.skip('this seed has its best elsewhere')
    work = tmp_path / 'run'
    shutil.copytree(run, work)
    if damage == 'gone':
        (work / best.name).unlink()
    else:
        (work / best.name).write_bytes(best.read_bytes()[:-900])
    training.train(load(config, work), resume=True)
    ours, theirs = (torch.load(path)['state_dict'] for path in (work / best.name, best))
    assert differences(ours, theirs) == []


@pytest.mark.parametrize('done', [3, 6])
def test_gradients_that_wait_for_their_step_are_gone_on_with(done):
    """Killed after a number of iterations, two steps of four parts each end the same."""
    torch.manual_seed(0)
    data = torch.randn(8, 5, 3)

    def runner_of() -> SimpleNamespace:
        torch.manual_seed(1)
        model = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        wrapper = OptimWrapper(optimizer, accumulative_counts=4)
        return SimpleNamespace(model=model, optim_wrapper=wrapper)

    def go_on(runner: SimpleNamespace, first: int, last: int) -> nn.Module:
        runner.optim_wrapper.initialize_count_status(runner.model, first, 8)
        for batch in data[first:last]:
            runner.optim_wrapper.update_params(runner.model(batch).square().mean())
        return runner.model

    whole = go_on(runner_of(), 0, 8)
    stopped, resumed = runner_of(), runner_of()
    checkpoint = dict(state_dict=go_on(stopped, 0, done).state_dict())
    resume.keep_gradients(stopped, checkpoint)
    resumed.model.load_state_dict(checkpoint['state_dict'])
    resume._give_gradients(resumed.model, checkpoint[resume.GRADIENTS], Path('iter.pth'))
    assert torch.equal(go_on(resumed, done, 8).weight, whole.weight)
    with pytest.raises(ValueError, match='of other parameters'):
        resume._give_gradients(nn.Linear(4, 2), checkpoint[resume.GRADIENTS], Path('iter.pth'))


def test_names_that_nothing_would_find_again_are_refused():
    with pytest.raises(ValueError, match='filename_tmpl=step_{}.pth'):
        CheckpointHook(interval=1, filename_tmpl='step_{}.pth')


def test_a_momentum_that_is_not_finite_is_refused(straight, tmp_path):
    config, run, _ = straight
    path = last_checkpoint(shutil.copytree(run, tmp_path / 'run'))
    content = torch.load(path, weights_only=True)
    content['optimizer']['state'][1]['momentum_buffer'].view(-1)[0] = float('nan')
    torch.save(content, path)
    with pytest.raises(ValueError, match='optimizer 1 momentum_buffer is not finite'):
        training.train(load(config, tmp_path / 'run'), resume=True)


def test_a_score_that_is_not_reported_is_named_and_nothing_is_lost(tiny_config, tmp_path):
    def cfg(score):
        options = {'default_hooks.checkpoint.save_best': score}
        return load_config(tiny_config, options=options, work_dir=tmp_path / 'run')

    with pytest.raises(ValueError, match=r"save_best='mIou', .*; did you mean mIoU .*--resume"):
        training.train(cfg('mIou'))
    assert (tmp_path / 'run' / 'iter_3.pth').is_file()
    assert training.train(cfg('mIoU'), resume=True).iter == 6
    assert list((tmp_path / 'run').glob('best_mIoU_iter_*.pth'))


def test_a_config_can_say_that_a_run_goes_on(tiny_config, tmp_path):
    folder = tmp_path / 'run'
    training.train(load(tiny_config, folder, **{'train_cfg.max_iters': 3}))
    training.train(load(tiny_config, folder, resume=True))
    logs = [path.read_text() for path in sorted(folder.glob('*/*.log'))]
    assert 'Iter(train) [3/6]' not in logs[-1] and 'Iter(train) [4/6]' in logs[-1]
    kept = Config.fromfile(folder / tiny_config.name)  # what trains the run anew
    assert kept.resume is False
