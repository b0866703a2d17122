"""Hooks: layout, freezing, precise BN, seeds per iteration, the bar."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import nn

from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.engine.hooks import (
    ChannelsLastHook,
    FreezeBackboneHook,
    IterSeedHook,
    PreciseBNHook,
    _untouched_randomness,
    update_bn_statistics,
)
from mmseg_ext.engine.progress import ProgressHook


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.decode_head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.decode_head(self.backbone(x))


def runner_of(model: nn.Module, **attributes) -> SimpleNamespace:
    logger = MMLogger.get_instance('test_hooks')
    return SimpleNamespace(model=model, logger=logger, **{'iter': 0, 'epoch': 0, **attributes})


def test_channels_last_changes_the_layout_and_not_the_values():
    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(2, 3, 8, 9)
    before = net(x)
    ChannelsLastHook().before_run(runner_of(net))
    assert net.backbone[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert net.backbone(x).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(net(x), before, rtol=1e-5, atol=1e-6)


def test_convolutions_take_other_gradients_while_they_train():
    net, hook = (
        nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 3, 1)),
        ChannelsLastHook(),
    )
    runner = runner_of(net)
    hook.before_run(runner)
    assert [type(conv) for conv in net] == [nn.Conv2d] * 2  # a test runs as it was
    hook.before_train(runner)
    assert [type(conv) is nn.Conv2d for conv in net] == [False, True]
    hook.after_train(runner)
    assert [type(conv) for conv in net] == [nn.Conv2d] * 2


def test_freezing_stops_gradients_only():
    torch.manual_seed(0)
    net = Net()
    net.backbone[0].bias.requires_grad_(False)  # frozen by somebody else: stays so
    hook, runner = FreezeBackboneHook(until_iter=2), runner_of(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=0.1)
    hook.before_train(runner)
    seen = []
    for runner.iter in range(4):
        hook.before_train_iter(runner, runner.iter)
        weight, mean = net.backbone[0].weight.clone(), net.backbone[1].running_mean.clone()
        optimizer.zero_grad()
        net(torch.randn(2, 3, 8, 8) + 1).square().mean().backward()
        optimizer.step()
        seen.append(torch.equal(weight, net.backbone[0].weight))
        assert not torch.equal(mean, net.backbone[1].running_mean)  # BN statistics keep moving
        assert net.backbone.training
    assert seen == [True, True, False, False]
    assert not net.backbone[0].bias.requires_grad


def test_a_resumed_run_past_the_limit_is_not_frozen():
    net = Net()
    FreezeBackboneHook(until_epoch=3).before_train(runner_of(net, epoch=3))
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize('arguments', [{}, dict(until_epoch=1, until_iter=1)])
def test_freezing_needs_exactly_one_limit(arguments):
    with pytest.raises(ValueError, match='either until_epoch or until_iter'):
        FreezeBackboneHook(**arguments)


def test_freezing_names_a_missing_part():
    with pytest.raises(ValueError, match='bakbone'):
        FreezeBackboneHook(until_iter=1, module='bakbone').before_train(runner_of(Net()))


def test_precise_bn_equals_numpy():
    torch.manual_seed(0)
    bn = nn.BatchNorm2d(3, momentum=0.3)
    batches = [torch.randn(4, 3, 5, 6) * (i + 1) + i for i in range(5)]
    update_bn_statistics(bn, bn, batches)
    arrays = [b.double().numpy() for b in batches]
    mean = np.mean([a.mean((0, 2, 3)) for a in arrays], 0)
    square = np.mean([a.var((0, 2, 3), ddof=1) + a.mean((0, 2, 3)) ** 2 for a in arrays], 0)
    np.testing.assert_allclose(bn.running_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(bn.running_var, square - mean**2, rtol=1e-4)
    # nearly the variance of all values together, which no single batch has
    np.testing.assert_allclose(bn.running_var, np.concatenate(arrays).var((0, 2, 3)), rtol=0.02)
    assert bn.momentum == 0.3


def test_precise_bn_leaves_frozen_layers_alone():
    frozen = nn.BatchNorm2d(3).eval()
    update_bn_statistics(nn.ModuleList([frozen]), lambda x: frozen(x), [torch.randn(2, 3, 4, 4)])
    assert torch.equal(frozen.running_mean, torch.zeros(3))


def test_precise_bn_refuses_no_batches():
    with pytest.raises(ValueError, match='num_batches'):
        PreciseBNHook(num_batches=0)


def test_randomness_is_put_back():
    def draw():
        return torch.rand(1).item(), np.random.rand(), random.random()

    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    with _untouched_randomness():
        first = draw()
    assert draw() == first


def train(config, folder, **changes) -> tuple[list, dict]:
    """Losses of each iteration and the last checkpoint's weights."""
    cfg = load_config(config, work_dir=folder)
    cfg.experiment_name = folder.name
    cfg.merge_from_dict(changes)
    training.train(cfg)
    scalars = next(folder.glob('*/vis_data/scalars.json')).read_text().splitlines()
    losses = [Config(eval(line)).loss for line in scalars if '"loss"' in line]
    return losses, torch.load(folder / 'iter_6.pth')['state_dict']


def test_precise_bn_changes_statistics_and_no_training(tiny_config, tmp_path):
    plain, plain_state = train(tiny_config, tmp_path / 'plain')
    hook = dict(custom_hooks=[dict(type='PreciseBNHook', num_batches=4)])
    precise, precise_state = train(tiny_config, tmp_path / 'precise', **hook)
    assert len(plain) == 6 and plain == precise
    changed = {k for k, v in plain_state.items() if not torch.equal(v, precise_state[k])}
    assert changed and all('running' in k or 'num_batches' in k for k in changed)
    assert any(k.endswith('running_var') for k in changed)


def test_iteration_seed_depends_on_seed_iteration_only():
    def draw(seed: int, iteration: int) -> float:
        IterSeedHook().before_train_iter(SimpleNamespace(seed=seed, iter=iteration), iteration)
        return torch.rand(1).item()

    assert draw(3, 7) == draw(3, 7)
    assert len({draw(s, i) for s in range(4) for i in range(4)}) == 16


def test_the_bar_counts_iterations_and_can_be_switched_off(monkeypatch, capsys):
    runner = SimpleNamespace(max_iters=3, iter=1)
    for wish, shown in (('1', True), ('0', False)):
        monkeypatch.setenv('MMSEG_EXT_PROGRESS', wish)
        hook = ProgressHook()
        hook.before_train(runner)
        for index in (1, 2):
            hook.after_train_iter(runner, index, outputs=dict(loss=torch.tensor(0.5)))
        hook.after_train(runner)
        assert ('3/3' in capsys.readouterr().err) == shown
