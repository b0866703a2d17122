"""Rates after going on equal those of a run that had today's settings from its start."""

import copy
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from support.paths import ROOT
from torch import nn

from mmseg_ext.apis.config.schedule import set_max_iters
from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.core.checkpoints import settings_of
from mmseg_ext.engine.resume_schedule import adapt_settings

SCHEDULES = sorted((ROOT / 'configs/_base_/schedules').glob('*.py'))


class Run:
    """Optimiser and schedulers of a config, stepped as a training steps them."""

    def __init__(self, cfg: Config, epoch_length: int = 0) -> None:
        torch.manual_seed(0)
        self.cfg, self.epoch_length, self.iter = cfg, epoch_length, 0
        own = cfg.optim_wrapper.get('segmentor', cfg.optim_wrapper)  # the first of several
        given = dict(own.optimizer)
        self.head, self.body = nn.Linear(2, 2), nn.Linear(2, 2)
        kind = getattr(torch.optim, given.pop('type'))
        groups = [dict(params=self.body.parameters()),
                  dict(params=self.head.parameters(), lr=10 * given['lr'])]  # fmt: skip
        self.optim_wrapper = OptimWrapper(kind(groups, **given))
        self.param_schedulers = [
            PARAM_SCHEDULERS.build(dict(s, optimizer=self.optim_wrapper))
            for s in cfg.get('param_scheduler') or []
        ]
        self.logger = logging.getLogger('resume')

    def train(self, steps: int) -> list:
        """Rates of all groups, by iteration."""
        rates = []
        for _ in range(steps):
            rates.append([group['lr'] for group in self.optim_wrapper.param_groups])
            for parameter in (*self.body.parameters(), *self.head.parameters()):
                parameter.grad = torch.ones_like(parameter)
            self.optim_wrapper.step()
            self._step(False)
            self.iter += 1
            if self.epoch_length and self.iter % self.epoch_length == 0:
                self._step(True)
        return rates

    def _step(self, by_epoch: bool) -> None:
        for scheduler in self.param_schedulers:
            if scheduler.by_epoch == by_epoch:
                scheduler.step()

    def checkpoint(self) -> dict:
        epoch = self.iter // self.epoch_length if self.epoch_length else 0
        meta = dict(iter=self.iter, epoch=epoch, cfg=self.cfg.pretty_text)
        states = [dict(s.state_dict()) for s in self.param_schedulers]
        return copy.deepcopy(
            dict(meta=meta, optimizer=self.optim_wrapper.state_dict(), param_schedulers=states)
        )

    def go_on_from(self, checkpoint: dict) -> 'Run':
        """As mmengine does, after our hook."""
        adapt_settings(self, checkpoint, Path('iter.pth'))
        self.optim_wrapper.load_state_dict(checkpoint['optimizer'])
        for scheduler, state in zip(self.param_schedulers, checkpoint['param_schedulers']):
            scheduler.load_state_dict(state)
        self.iter = checkpoint['meta']['iter']
        return self


def longer(cfg: Config, factor: float) -> Config:
    """The same config for another length; epochs are counted as epochs."""
    cfg = copy.deepcopy(cfg)
    if 'max_iters' in cfg.train_cfg:
        set_max_iters(cfg, round(cfg.train_cfg.max_iters * factor))
        return cfg
    cfg.train_cfg.max_epochs = round(cfg.train_cfg.max_epochs * factor)
    for scheduler in cfg.param_scheduler:
        for key in ('end', 'T_max'):
            if scheduler.get(key, 0) > 10:
                scheduler[key] = round(scheduler[key] * factor)
    return cfg


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('path', SCHEDULES, ids=lambda path: path.stem)
@pytest.mark.parametrize('factor', [2, 0.75])
def test_another_length_gives_the_rates_of_a_run_of_that_length(path, factor):
    cfg = Config.fromfile(path)
    epochs = 'max_epochs' in cfg.train_cfg
    cfg = cfg if epochs else longer(cfg, 40 / cfg.train_cfg.max_iters)
    length = 2 if epochs else 0
    last = 2 * cfg.train_cfg.max_epochs if epochs else 40
    stopped = Run(cfg, length)
    stopped.train(last // 2)
    straight = Run(longer(cfg, factor), length)
    total = round(last * factor)
    wanted = straight.train(total)
    went_on = Run(longer(cfg, factor), length).go_on_from(stopped.checkpoint())
    rest = went_on.train(total - last // 2)
    assert rest == wanted[last // 2 :] and min(min(row) for row in rest[:-1]) > 0
    assert rest != Run(cfg, length).train(last)[last // 2 :]
    states = [dict(s.state_dict()) for s in went_on.param_schedulers]
    assert states == [dict(s.state_dict()) for s in straight.param_schedulers]


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    ('kind', 'settings'),
    [
        ('LinearLR', dict(start_factor=0.2, begin=0, end=9)),
        ('MultiStepLR', dict(milestones=[4, 12], gamma=0.3)),
        ('CosineAnnealingLR', dict(T_max=20, eta_min=1e-5)),
        ('ExponentialLR', dict(gamma=0.9)),
        ('OneCycleLR', dict(eta_max=0.5, total_steps=30)),
    ],
)
def test_schedules_of_other_kinds_are_computed_anew_too(kind, settings):
    poly = dict(type='PolyLR', power=0.9, begin=0, end=20, by_epoch=False)
    base = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)))
    stopped = Run(Config(dict(base, param_scheduler=[poly])))
    stopped.train(7)
    now = Config(dict(base, param_scheduler=[dict(type=kind, by_epoch=False, **settings)]))
    wanted = Run(now).train(20)
    assert Run(now).go_on_from(stopped.checkpoint()).train(13) == wanted[7:]


@pytest.mark.filterwarnings('ignore')
def test_an_unchanged_config_goes_on_bit_for_bit_and_a_changed_rate_holds(caplog):
    cfg = longer(Config.fromfile(ROOT / 'configs/_base_/schedules/sgd_poly.py'), 20 / 20000)
    stopped, straight = Run(cfg), Run(cfg)
    stopped.train(9)
    wanted = straight.train(20)
    assert Run(cfg).go_on_from(stopped.checkpoint()).train(11) == wanted[9:]
    assert caplog.text == ''
    other = copy.deepcopy(cfg)
    other.optim_wrapper.optimizer.update(lr=0.5, weight_decay=0.25, nesterov=True)
    went_on = Run(other).go_on_from(stopped.checkpoint())
    assert went_on.train(11) == Run(other).train(20)[9:]
    for group in went_on.optim_wrapper.param_groups:
        assert (group['weight_decay'], group['momentum'], group['nesterov']) == (0.25, 0.9, True)
    buffers = [s['momentum_buffer'] for s in went_on.optim_wrapper.optimizer.state.values()]
    assert len(buffers) == 4
    for change in ('optimizer.lr: 0.01 -> 0.5', 'weight_decay: 0.0005 -> 0.25', 'None -> True'):
        assert change in caplog.text


def test_other_losses_and_batches_are_told_and_other_masks_refused(caplog):
    dataset = dict(type='FolderDataset', metainfo=dict(classes=('a', 'b')), label_map={3: 0, 7: 1})
    cfg = Config(
        dict(
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            model=dict(decode_head=dict(loss_decode=dict(type='DiceLoss', loss_weight=1.0))),
            train_dataloader=dict(batch_size=2, num_workers=1, dataset=dataset),
        )
    )
    stopped = Run(cfg)
    stopped.train(2)
    other = copy.deepcopy(cfg)
    other.train_dataloader.update(batch_size=4, num_workers=9)
    other.model.decode_head.loss_decode.loss_weight = 9.0
    Run(other).go_on_from(stopped.checkpoint())
    assert caplog.messages == [
        'the settings differ from those of iter.pth and hold from iteration 2 on: '
        'model.decode_head.loss_decode.loss_weight: 1.0 -> 9.0; train_dataloader.batch_size: 2 -> 4'
    ]
    other.train_dataloader.dataset.label_map = {3: 1, 7: 0}
    with pytest.raises(ValueError, match='iter.pth was trained with .* value 3 meant a, and now'):
        Run(other).go_on_from(stopped.checkpoint())


def test_without_a_schedule_the_rate_of_the_config_holds():
    """The reference repository's rate is set by a hook before each epoch, whatever was saved."""
    base = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)), param_scheduler=None)
    stopped = Run(Config(base))
    stopped.train(3)
    stopped.optim_wrapper.param_groups[0]['lr'] = 1e-5  # of the hook
    assert Run(Config(base)).go_on_from(stopped.checkpoint()).train(1)[0] == [0.1, 1.0, 0.1]


def test_another_optimiser_and_a_schedule_by_scores_are_refused():
    base = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)))
    stopped = Run(Config(base))
    stopped.train(1)
    adam = Run(Config(dict(optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)))))
    with pytest.raises(ValueError, match='SGD.*AdamW.*load_from='):
        adam.go_on_from(stopped.checkpoint())
    unknown = stopped.checkpoint()
    unknown['meta'].pop('cfg')
    with pytest.raises(ValueError, match='AdamW'):
        adam.go_on_from(unknown)
    plateau = Run(Config(base))
    plateau.param_schedulers = [SimpleNamespace(
        param_name='lr', need_val_args=True, by_epoch=True, state_dict=dict)]  # fmt: skip
    with pytest.raises(ValueError, match='follows the scores'):
        plateau.go_on_from(stopped.checkpoint())


def test_the_settings_are_read_from_text_and_never_run(tmp_path):
    text = f'optim_wrapper = dict(a=__import__("os").mkdir({str(tmp_path / "ran")!r}), b=(1, [2]))'
    assert settings_of(dict(cfg=text)) == dict(optim_wrapper=dict(a={}, b=[1, [2]]))
    assert not (tmp_path / 'ran').exists()
    assert settings_of(dict(cfg='dict(')) == settings_of(None) == {}
    keys = {0: 1, 255: 2, -1: 3, 'a.b': dict(c=[dict(d=4)])}  # that are no names
    text = Config(dict(label_map=keys)).pretty_text
    assert settings_of(dict(cfg=text)) == dict(label_map=keys)
    assert settings_of(dict(cfg='a = dict({[1]: 2, b: 3})')) == dict(a={'[1]': 2, 'b': 3})


def test_a_training_goes_on_to_twice_its_length(tiny_config, tmp_path):
    """Through the whole tool: rates and weights equal those of one run of twelve iterations."""

    def run(folder: Path, length: int, resume: bool = False) -> dict:
        options = {'max_iters': length, 'train_cfg.val_interval': 12}
        options |= {
            'default_hooks.checkpoint.interval': 6,
            'default_hooks.checkpoint.save_best': None,
        }
        cfg = load_config(tiny_config, work_dir=folder, options=options)
        cfg.experiment_name = f'{folder.name}{length}'
        training.train(cfg, resume=resume)
        lines = [json.loads(line) for file in folder.glob('*/vis_data/scalars.json')
                 for line in file.read_text().splitlines()]  # fmt: skip
        return {line['iter']: line['lr'] for line in lines if 'lr' in line}

    straight = run(tmp_path / 'straight', 12)
    run(tmp_path / 'two', 6)
    rates = run(tmp_path / 'two', 12, resume=True)
    assert {i: rates[i] for i in range(7, 13)} == {i: straight[i] for i in range(7, 13)}
    assert all(rates[i] > 1e-4 for i in range(7, 12)) and rates[6] != straight[6]
    told = [line.split('the settings differ')[1] for file in (tmp_path / 'two').glob('*/*.log')
            for line in file.read_text().splitlines() if 'the settings differ' in line]  # fmt: skip
    places = {change.split(': ')[0] for change in told[0].split(' on: ')[1].split('; ')}
    assert len(told) == 1 and places == {'param_scheduler.0.end', 'train_cfg.max_iters'}
    with pytest.raises(ValueError, match=r'iter_12.pth has 12 iterations .* ends after 9'):
        run(tmp_path / 'two', 9, resume=True)
