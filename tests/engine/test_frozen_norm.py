"""A training says which batch norms are frozen before anything has set them, and only those."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_ext.engine.freeze import FreezeHook
from mmseg_ext.engine.frozen_norm import FrozenNormHook


def said(model, caplog, *, steps=2):
    logger = logging.getLogger('frozen_norm')
    runner = SimpleNamespace(model=model, logger=logger)
    hook = FrozenNormHook()
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger='frozen_norm'):
        for index in range(steps):
            hook.before_train_iter(runner, index)
    return [record.getMessage() for record in caplog.records]


def deeplab(**settings):
    backbone = MODELS.build(dict(type='DeepLabResNet', depth=50, base_channels=8, **settings))
    return nn.ModuleDict(dict(backbone=backbone, head=nn.BatchNorm2d(4))).train()


def test_names_the_part_once(caplog):
    (message,) = said(deeplab(), caplog)
    assert 'normalise nothing: 53 of backbone.' in message  # 1 + 3 (3 + 4 + 6 + 3) + 4 shortcuts
    assert 'load_from' in message and 'norm_eval=False' in message


def test_what_the_message_advises_ends_it(caplog):
    advised = deeplab(norm_eval=False, norm_cfg=dict(type='BN', requires_grad=True))
    assert said(advised, caplog) == []


@pytest.mark.parametrize('name', ['running_mean', 'running_var', 'weight', 'bias'])
def test_weights_that_set_any_of_it_end_it(name, caplog):
    loaded = deeplab()  # Caffe's have scale and shift alone
    with torch.no_grad():
        for module in loaded.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                getattr(module, name)[1] += 0.1
    assert said(loaded, caplog) == []


def test_a_part_that_a_hook_freezes(caplog):
    model = nn.ModuleDict(dict(backbone=nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))).train()
    assert said(model, caplog) == []
    model['head'] = nn.Linear(4, 2)
    wrapper = SimpleNamespace(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    freeze = FreezeHook()
    freeze.before_run(SimpleNamespace(model=model, optim_wrapper=wrapper, _train_loop=object()))
    freeze.before_train_iter(SimpleNamespace(), 0)
    (message,) = said(model, caplog)
    assert 'normalise nothing: 1 of backbone.' in message


@pytest.mark.parametrize('name', ['teacher', 'student'])
def test_a_teacher_is_in_evaluation_anyway(name, caplog):
    model = nn.Module()
    setattr(model, name, nn.Sequential(nn.BatchNorm2d(3)).eval())
    assert len(said(model, caplog)) == (name == 'student')
