"""Optimisers of parts: who owns which parameter, rates, order of the steps, mistakes."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from mmseg_ext.engine.step_hook import wrappers_of

TWO = dict(
    constructor='PartsOptimWrapperConstructor',
    one=dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
        paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10.0)}),
    ),
    other=dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.99))),
)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.ModuleDict(dict(body=nn.Linear(2, 2), head=nn.Linear(2, 1)))
        self.other = nn.Linear(2, 1)


def test_each_parameter_is_in_exactly_one_optimiser():
    model = Pair()
    wrapper = build_optim_wrapper(model, copy.deepcopy(TWO))
    assert isinstance(wrapper, OptimWrapperDict) and list(wrapper.keys()) == ['one', 'other']
    kinds = [type(part.optimizer).__name__ for part in wrappers_of(wrapper)]
    assert kinds == ['SGD', 'Adam']
    for name, part in wrapper.items():
        owned = [id(p) for group in part.optimizer.param_groups for p in group['params']]
        assert sorted(owned) == sorted(id(p) for p in getattr(model, name).parameters())
    rates = {round(group['lr'], 6) for group in wrapper['one'].optimizer.param_groups}
    assert rates == {0.1, 1.0}  # names within the part are those of a plain config
    assert wrapper['other'].optimizer.defaults['betas'] == (0.9, 0.99)


def test_all_gradients_are_of_the_weights_before_the_first_step():
    """A loss of both parts: the second part's gradient would see the first one's step."""
    model = Pair()
    with torch.no_grad():
        for value in model.parameters():
            value.fill_(1.0)
    config = copy.deepcopy(TWO)
    config['one']['paramwise_cfg'] = None
    config['other']['optimizer'] = dict(type='SGD', lr=1.0)
    wrapper = build_optim_wrapper(model, config)
    x = torch.ones(1, 2)
    weight = model.one['head'].weight
    losses = dict(one=model.one['head'](x).sum(), other=(weight * model.other.weight).sum())
    wrapper.update_params(losses)
    assert model.other.weight.tolist() == [[0.0, 0.0]]  # 1 - 1 * 1
    assert weight.tolist()[0] == pytest.approx([1 - 0.1 * (1 + 1)] * 2)
    assert weight.grad is None and model.other.weight.grad is None


def test_a_part_steps_when_its_own_count_is_full():
    model = Pair()
    config = copy.deepcopy(TWO)
    config['one']['accumulative_counts'] = 2
    wrapper = build_optim_wrapper(model, config)
    wrapper.initialize_count_status(model, 1, 4)  # as when a run goes on after one iteration
    assert wrapper.progress == 0.25
    steps = []
    for name, part in wrapper.items():
        part.optimizer.register_step_post_hook(lambda *_, name=name: steps.append(name))
    for _ in range(3):
        x = torch.ones(1, 2)
        wrapper.update_params(dict(one=model.one['head'](x).sum(), other=model.other(x).sum()))
        steps.append('-')
    assert steps == ['one', 'other', '-', 'other', '-', 'one', 'other', '-']
    assert wrapper.progress == 1


@pytest.mark.parametrize(
    'change, words',
    [
        (dict(other=None), r'optim_wrapper.other must be dict\(optimizer='),
        (dict(othr=TWO['other']), r'optim_wrapper.othr: Pair has no part.*did you mean other\?'),
        (dict(zzz=TWO['other']), 'Pair has no part of this name; it has one, other'),
        (dict(paramwise_cfg=dict(norm_decay_mult=0)), 'each part is to have its own'),
    ],
)
def test_mistakes(change, words):
    with pytest.raises(ValueError, match=words):
        build_optim_wrapper(Pair(), {**copy.deepcopy(TWO), **change})


def test_a_part_without_an_optimiser_and_a_shared_one_are_refused():
    model, config = Pair(), copy.deepcopy(TWO)
    del config['other']
    with pytest.raises(ValueError, match=r'no optimiser for other \(it has one\): add other=dict'):
        build_optim_wrapper(model, config)
    model.other.requires_grad_(False)
    assert list(build_optim_wrapper(model, config).keys()) == ['one']
    model = Pair()
    model.other.weight = model.one['head'].weight
    with pytest.raises(ValueError, match='one.head.weight belongs to one and other'):
        build_optim_wrapper(model, copy.deepcopy(TWO))
