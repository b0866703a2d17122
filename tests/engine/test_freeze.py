"""A frozen part does not move: neither weights nor statistics, and no optimiser holds it."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmseg_ext.engine.freeze import FreezeHook


def network():
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    return nn.ModuleDict(dict(backbone=backbone, head=nn.Linear(4, 2)))


def run(module, *, steps=3, groups=False):
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    params = [dict(params=list(part.parameters())) for part in model.values()]
    sgd = torch.optim.SGD(
        params if groups else model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.5
    )
    wrapper = OptimWrapper(sgd)
    runner = SimpleNamespace(model=model, optim_wrapper=wrapper, _train_loop=object())
    hook = FreezeHook(module=module)
    hook.before_run(runner)
    for index in range(steps):
        model.train()
        hook.before_train_iter(runner, index)
        out = model['head'](model['backbone'](torch.randn(8, 3)))
        wrapper.update_params(out.square().mean())
    moved = {
        key for key, value in model.state_dict().items() if not torch.equal(value, before[key])
    }
    return moved, sgd


@pytest.mark.parametrize('groups', [False, True])
def test_weights_and_statistics_stay(groups):
    moved, sgd = run('backbone', groups=groups)
    assert moved == {'head.weight', 'head.bias'}  # weight decay would move the others, too
    assert [p.shape for group in sgd.param_groups for p in group['params']] == [(2, 4), (2,)]


def test_a_part_within_a_part():
    moved, _ = run('backbone.1')
    assert moved == {'backbone.0.weight', 'backbone.0.bias', 'head.weight', 'head.bias'}


@pytest.mark.parametrize(
    ('module', 'message'),
    [
        ('backbon', "no part 'backbon' to freeze; did you mean backbone"),
        ('neck', "no part 'neck' to freeze; it has backbone, head"),
        ('backbone.2', 'backbone.2 has no parameters to freeze'),
    ],
)
def test_what_cannot_be_frozen_is_named(module, message):
    with pytest.raises(ValueError) as raised:
        run(module)
    assert message in str(raised.value)


def test_something_must_be_left_to_train():
    model = network()['backbone']
    runner = SimpleNamespace(model=model, optim_wrapper=None, _train_loop=object())
    for part in model:
        part.requires_grad_(False)
    with pytest.raises(ValueError, match='leaves nothing to train'):
        FreezeHook(module='0').before_run(runner)


def test_a_test_freezes_nothing():
    model = network()
    FreezeHook().before_run(SimpleNamespace(model=model, _train_loop=None))
    assert all(parameter.requires_grad for parameter in model.parameters())
