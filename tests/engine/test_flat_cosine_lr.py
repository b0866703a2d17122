"""The reference repository's learning rate: published points, the schedulers and the hook."""

from types import SimpleNamespace

import pytest
import torch
from mmengine import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope

import mmseg_ext
from mmseg_ext.engine.flat_cosine_lr import FlatCosineLrHook, flat_cosine_lr

CONFIGS = mmseg_ext.__path__[0] + '/../configs/fmsi/'


@pytest.mark.parametrize(
    'epoch, expected',
    [
        (0, 1.75e-4),
        (1, 3.5e-4),
        (2, 8.75e-4),
        (3, 1.75e-3),
        (50, 6.8637e-4),
        (85, 1.75e-5),
        (99, 1.75e-5),
    ],
)
def test_points_of_the_unfrozen_curve(epoch, expected):
    assert flat_cosine_lr(epoch, 1.75e-3, 1.75e-5) == pytest.approx(expected, rel=1e-4)


def test_last_frozen_epoch():
    assert flat_cosine_lr(49, 3.5e-3, 3.5e-5) == pytest.approx(1.4376e-3, rel=1e-4)


def _scheduled(cfg, epochs):
    init_default_scope('mmseg')
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper)
    settings = [dict(s, optimizer=wrapper) for s in cfg.param_scheduler]
    schedulers = [PARAM_SCHEDULERS.build(s) for s in settings]
    for _ in range(epochs):
        yield wrapper.param_groups[0]['lr']
        for scheduler in schedulers:
            scheduler.step()


@pytest.mark.parametrize('name, lr_max', [('fmsi_xception_voc', 1.75e-3),
                                          ('fmsi_xception_lr7e3_voc12aug', 7e-3)])  # fmt: skip
def test_the_configs_schedulers_reproduce_the_formula_at_every_epoch(name, lr_max):
    cfg = Config.fromfile(f'{CONFIGS}{name}.py')
    rates = list(_scheduled(cfg, cfg.train_cfg.max_epochs))
    assert len(rates) == 100
    for epoch, rate in enumerate(rates):
        assert rate == pytest.approx(flat_cosine_lr(epoch, lr_max, lr_max / 100), rel=1e-12), epoch


def test_the_two_runs_of_preset_repo_continue_one_curve():
    first = Config.fromfile(f'{CONFIGS}fmsi_xception_repo_frozen_voc12aug.py')
    second = Config.fromfile(f'{CONFIGS}fmsi_xception_repo_voc12aug.py')
    assert first.train_cfg.max_epochs + second.train_cfg.max_epochs == 100
    assert first.train_dataloader.batch_size == 8 and second.train_dataloader.batch_size == 4

    class Runner:
        pass

    def rate(cfg, epoch):
        settings = next(dict(h) for h in cfg.custom_hooks if h.type == 'FlatCosineLrHook')
        settings.pop('type')
        runner = Runner()
        runner.epoch = epoch
        runner.optim_wrapper = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        FlatCosineLrHook(**settings).before_train_epoch(runner)
        return runner.optim_wrapper.param_groups[0]['lr']

    assert rate(first, 49) == pytest.approx(1.4376e-3, rel=1e-4)
    assert rate(second, 0) == pytest.approx(6.8637e-4, rel=1e-4)
    assert rate(second, 49) == 1.75e-5


def test_of_several_optimisers_the_first_ones_rate_is_set():
    weights = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    parts = [OptimWrapper(torch.optim.SGD([weight], lr=1e-4)) for weight in weights]
    runner = SimpleNamespace(optim_wrapper=OptimWrapperDict(one=parts[0], other=parts[1]), epoch=0)
    FlatCosineLrHook(lr_max=1.75e-3, lr_min=1.75e-5).before_train_epoch(runner)
    assert [part.param_groups[0]['lr'] for part in parts] == [pytest.approx(1.75e-4), 1e-4]
