"""Optimisers of parts: who owns which parameter, rates, order of the steps, mistakes."""

import copy
from logging import getLogger
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
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


def test_a_runner_scales_the_rates_of_both_by_the_batch():
    wrapper = build_optim_wrapper(Pair(), copy.deepcopy(TWO))
    runner = SimpleNamespace(
        _train_dataloader=dict(batch_size=4),
        world_size=1,
        param_schedulers=None,
        logger=getLogger(),
    )
    Runner.scale_lr(runner, wrapper, dict(enable=True, base_batch_size=16))
    rates = [part.optimizer.param_groups[0]['lr'] for part in wrappers_of(wrapper)]
    assert rates == pytest.approx([0.1 / 4, 1e-3 / 4])
    assert set(wrapper.get_lr()) == {'one.base_lr', 'one.lr', 'other.lr'}


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


# --- several processes ----------------------------------------------------------------------------

PAIR = """
import copy
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from support.semi import NETWORK, labelled, unlabelled

init_default_scope('mmseg')
counts, find_unused = {counts!r}, {find_unused!r}


def build():
    # nothing that depends on the rest of the batch, so that a batch of two is two of one
    network = copy.deepcopy(NETWORK)
    for part in (network['backbone'], network['decode_head'], network['auxiliary_head']):
        part['norm_cfg'] = dict(type='GN', num_groups=2)
    for head in (network['decode_head'], network['auxiliary_head']):
        head['dropout_ratio'] = 0
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='AdversarialSegmentor', segmentor=network, self_threshold=0, self_start=0,
        adversarial_weight=1.0, unlabelled_weight=0.5, self_weight=0.5,
        discriminator=dict(type='FCNDiscriminator', widths=(4, 4, 4, 4))))
    model.init_weights()
    return model.train()


class Prepared(torch.nn.Module):
    def forward(self, data, training):
        return data


def optimisers(model):
    sgd = dict(type='SGD', lr=0.5)
    parts = dict(zip(('segmentor', 'discriminator'), counts))
    found = build_optim_wrapper(model, dict(
        constructor='PartsOptimWrapperConstructor',
        **{{name: dict(optimizer=sgd, accumulative_counts=n) for name, n in parts.items()}}))
    found.initialize_count_status(model, 0, 4)
    return found


def batch(step, some):
    (images, samples), others = labelled(), unlabelled(count=2)
    others.ignore.zero_()
    images, weak = images + 0.1 * step, others.weak - 0.1 * step
    return dict(inputs=images[some], data_samples=samples[some], unlabelled=others._replace(
        weak=weak[some], strong=(), ignore=others.ignore[some]))


def train(model, some):
    inner = model if model.__class__.__name__ == 'AdversarialSegmentor' else model.module
    inner.data_preprocessor = Prepared()
    wrapper = optimisers(model)
    for step in range(4):
        model.train_step(batch(step, some), wrapper)
    return inner.state_dict()


start = build().state_dict()
one = train(build(), slice(None))
pair = train(
    MMDistributedDataParallel(build(), broadcast_buffers=False, find_unused_parameters=find_unused),
    slice(rank, rank + 1))
assert list(one) == list(pair) and len(one) > 40
for name, value in one.items():
    torch.testing.assert_close(pair[name], value, rtol=1e-3, atol=1e-5, msg=name)
moved = [name for name in one if (one[name] - start[name]).abs().max() > 1e-4]
print(sorted({{name.split('.')[0] for name in moved}}), len(moved) > len(one) // 2)
"""


@pytest.mark.parametrize('counts, find_unused', [((1, 1), False), ((2, 1), True)])
def test_two_processes_train_as_one_on_the_joined_batch(two_ranks, counts, find_unused):
    """Four steps of an adversarial segmentor; also where one part alone accumulates."""
    texts = two_ranks(PAIR.format(counts=counts, find_unused=find_unused))
    assert [text.splitlines()[-1] for text in texts] == ["['discriminator', 'segmentor'] True"] * 2
