"""A loss, gradient or weight that is not finite: the run stops, or leaves the step out."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmseg.registry import HOOKS
from torch import nn

from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.options import use_nan
from mmseg_ext.engine.nonfinite import NonFiniteError, NonFiniteHook
from mmseg_ext.engine.parts import PartsOptimWrapper

GOOD, STEEP, TOO_LARGE, BAD_GRADIENT = 1.0, 'steep', 'square', 'gradient'


class Net(nn.Module):
    """BN in front of a convolution; its loss can be made to break in several ways."""

    def __init__(self):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1)

    def loss(self, fault, seed):
        x = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(seed))
        if fault is BAD_GRADIENT:  # the root of zero: a finite loss with an infinite gradient
            return (self.conv(self.norm(x)) * 0).abs().sum().sqrt()
        if fault is TOO_LARGE:
            return (self.conv(self.norm(x)) * 1e25).square().mean()
        if fault is STEEP:
            return self.conv(self.norm(x)).sum() * 9
        return self.conv(self.norm(x * fault)).square().mean()


class Scaled(OptimWrapper):
    """mmengine's AmpOptimWrapper, which wants CUDA, as far as it matters here."""

    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=scale)

    def backward(self, loss, **kwargs):
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs):
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()


def sample(index):
    return SimpleNamespace(img_path=f'images/{index}.png')


def state(net, optimizer):
    return copy.deepcopy([net.state_dict(), optimizer.state_dict()['state']])


def run(faults, *, hook, kind=torch.optim.SGD, wrapper=OptimWrapper, **settings):
    """Train for as many iterations as faults; return the states after each."""
    torch.manual_seed(0)
    net = Net()
    options = dict(momentum=0.9) if kind is torch.optim.SGD else {}
    optimizer = kind(net.parameters(), lr=0.05, weight_decay=0.1, **options)
    runner = SimpleNamespace(
        model=net,
        optim_wrapper=wrapper(optimizer=optimizer, **settings),
        logger=MMLogger.get_instance('test_nonfinite'),
    )
    states = []
    hook.before_train(runner)
    for runner.iter, fault in enumerate(faults):
        batch = dict(data_samples=[sample(2 * runner.iter), sample(2 * runner.iter + 1)])
        hook.before_train_iter(runner, runner.iter, batch)
        loss = net.loss(fault, runner.iter)
        runner.optim_wrapper.update_params(loss)
        hook.after_train_iter(runner, runner.iter, batch, dict(loss=loss))
        states.append(state(net, optimizer))
    hook.after_train(runner)
    return states


def equal(a, b):
    leaves = [torch.utils._pytree.tree_leaves(x) for x in (a, b)]
    return len(leaves[0]) == len(leaves[1]) and all(
        torch.equal(torch.as_tensor(x), torch.as_tensor(y)) for x, y in zip(*leaves)
    )


@pytest.mark.parametrize(
    'fault, told',
    [
        (math.nan, 'loss = nan is'),
        (TOO_LARGE, 'loss = inf is'),
        (BAD_GRADIENT, 'norm of the gradients'),
    ],
)
def test_stops_with_iteration_rate_and_images(fault, told):
    with pytest.raises(NonFiniteError) as error:
        run([GOOD, GOOD, fault, GOOD], hook=NonFiniteHook())
    text = str(error.value)
    assert told in text and 'iteration 3, learning rate 0.05, ' in text and '\n' not in text
    assert 'images images/4.png, images/5.png;' in text and '--nan skip' in text


@pytest.mark.parametrize('kind', [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize('fault', [math.nan, math.inf, TOO_LARGE, BAD_GRADIENT])
def test_a_skipped_step_moves_nothing(fault, kind):
    hook = NonFiniteHook(action='skip')
    states = run([GOOD, GOOD, fault, fault, GOOD], hook=hook, kind=kind)
    assert hook.skipped == 2
    assert equal(states[1], states[2]) and equal(states[1], states[3])
    assert not equal(states[3], states[4])
    leaves = torch.utils._pytree.tree_leaves(states[4])
    assert all(torch.as_tensor(leaf).isfinite().all() for leaf in leaves)


def test_finite_runs_are_the_same_with_and_without():
    plain = run([GOOD] * 4, hook=Hook())
    for action in ('stop', 'skip'):
        assert equal(run([GOOD] * 4, hook=NonFiniteHook(action=action)), plain)


def test_more_than_a_tenth_and_more_than_five_stop():
    assert run([math.nan] * 5, hook=NonFiniteHook(action='skip'))
    with pytest.raises(NonFiniteError, match='6 of the last 6 steps were left out'):
        run([math.nan] * 6, hook=NonFiniteHook(action='skip'))
    often = ([GOOD] * 9 + [math.nan]) * 20  # exactly a tenth, for ever
    assert run(often, hook=NonFiniteHook(action='skip'))
    with pytest.raises(NonFiniteError, match='11 of the last 100 steps .* iteration 202,'):
        run([*often, GOOD, math.nan], hook=NonFiniteHook(action='skip'))


def test_a_part_of_an_accumulated_step_spoils_the_whole_step_once():
    hook = NonFiniteHook(action='skip')
    states = run([GOOD, GOOD, math.nan, GOOD, GOOD, GOOD], hook=hook, accumulative_counts=2)
    assert hook.skipped == 1
    weights = [s[0]['conv.weight'] for s in states]
    assert torch.equal(weights[1], weights[3]) and not torch.equal(weights[3], weights[5])
    with pytest.raises(NonFiniteError, match='iteration 3,.*images/4.png'):
        run([GOOD, GOOD, math.nan, GOOD], hook=NonFiniteHook(), accumulative_counts=2)


def test_an_overflow_is_the_scalers_business_and_a_bad_loss_is_not():
    hook = NonFiniteHook()
    states = run([STEEP] * 12, hook=hook, wrapper=Scaled, scale=2.0**127)
    weights = [s[0]['conv.weight'] for s in states]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[-1])
    with pytest.raises(NonFiniteError, match='loss = nan is not finite in iteration 2,'):
        run([GOOD, math.nan], hook=NonFiniteHook(), wrapper=Scaled, scale=2.0)
    hook = NonFiniteHook(action='skip')
    states = run([GOOD, math.nan, GOOD], hook=hook, wrapper=Scaled, scale=2.0)
    assert hook.skipped == 1 and equal(states[0], states[1]) and not equal(states[1], states[2])


def test_a_scaler_that_never_lets_a_step_through_stops():
    with pytest.raises(NonFiniteError, match='the loss scaler left 21 of the last 21 steps'):
        run([BAD_GRADIENT] * 30, hook=NonFiniteHook(), wrapper=Scaled, scale=2.0**16)


# --- two optimisers -------------------------------------------------------------------------------


def run_two(faults, *, hook, second=OptimWrapper, **settings):
    """As :func:`run`, of two networks; only the second one's loss breaks."""
    torch.manual_seed(0)
    nets = nn.ModuleDict(dict(first=Net(), second=Net()))
    optimizers = {name: torch.optim.SGD(net.parameters(), lr=0.05) for name, net in nets.items()}
    parts = dict(
        first=OptimWrapper(optimizer=optimizers['first']),
        second=second(optimizer=optimizers['second'], **settings),
    )
    runner = SimpleNamespace(
        model=nets,
        optim_wrapper=PartsOptimWrapper(**parts),
        logger=MMLogger.get_instance('test_nonfinite'),
    )
    states = []
    hook.before_train(runner)
    for runner.iter, fault in enumerate(faults):
        batch = dict(data_samples=[sample(runner.iter)])
        hook.before_train_iter(runner, runner.iter, batch)
        losses = dict(
            first=nets['first'].loss(GOOD, runner.iter),
            second=nets['second'].loss(fault, runner.iter),
        )
        runner.optim_wrapper.update_params(losses)
        hook.after_train_iter(runner, runner.iter, batch, dict(loss=losses['second']))
        states.append({name: state(net, optimizers[name]) for name, net in nets.items()})
    return states


@pytest.mark.parametrize('fault', [math.nan, TOO_LARGE, BAD_GRADIENT])
def test_one_of_two_networks_that_breaks_leaves_out_the_steps_of_both(fault):
    """Also of the one that would have stepped first, with its buffers."""
    hook = NonFiniteHook(action='skip')
    states = run_two([GOOD, fault, GOOD], hook=hook)
    assert hook.skipped == 1 and equal(states[0], states[1])
    for name in ('first', 'second'):
        assert not equal(states[1][name], states[2][name])
    with pytest.raises(NonFiniteError, match='iteration 2'):
        run_two([GOOD, fault, GOOD], hook=NonFiniteHook())


def test_the_scaler_of_one_of_two_leaves_out_its_steps_alone():
    hook = NonFiniteHook()
    states = run_two([GOOD, BAD_GRADIENT, GOOD], hook=hook, second=Scaled, scale=2.0)
    weights = [[s[name][0]['conv.weight'] for s in states] for name in ('first', 'second')]
    assert [torch.equal(w[0], w[1]) for w in weights] == [False, True]
    assert not torch.equal(weights[1][1], weights[1][2]) and sum(hook._scaled) == 1
    with pytest.raises(NonFiniteError, match='the loss scaler left 21 of the last 21 steps'):
        run_two([BAD_GRADIENT] * 30, hook=NonFiniteHook(), second=Scaled, scale=2.0**16)


def test_a_scaled_loss_of_one_of_two_gives_the_same_steps():
    plain = run_two([GOOD] * 3, hook=Hook())
    scaled = run_two([GOOD] * 3, hook=NonFiniteHook(), second=Scaled, scale=2.0**10)
    assert equal(plain, scaled)  # a power of two is exact


@pytest.mark.parametrize('name', ['conv.weight', 'norm.running_var'])
@pytest.mark.parametrize('value', [math.nan, -math.inf])
def test_no_checkpoint_holds_what_is_not_finite(name, value):
    net = Net()
    checkpoint, runner = dict(state_dict=net.state_dict()), SimpleNamespace(iter=7)
    NonFiniteHook().before_save_checkpoint(runner, checkpoint)
    net.state_dict()[name].view(-1)[1] = value
    with pytest.raises(NonFiniteError, match=f'iteration 8: {name} holds'):
        NonFiniteHook().before_save_checkpoint(runner, checkpoint)


def test_actions_are_checked():
    with pytest.raises(ValueError, match="action must be 'stop' or 'skip', got 'warn'"):
        NonFiniteHook(action='warn')


# --- in a Runner ----------------------------------------------------------------------------------


@HOOKS.register_module(force=True)
class SpoilBatchHook(Hook):
    """Puts a NaN into an image of some iterations, before anything looks at it."""

    def __init__(self, iterations):
        self.iterations = iterations

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 in self.iterations:
            image = data_batch['inputs'][0].float()
            image[0, 3, 4] = math.nan
            data_batch['inputs'][0] = image
            self.path = data_batch['data_samples'][0].img_path


def settings(config, folder, iterations):
    cfg = load_config(config, work_dir=folder)
    cfg.experiment_name = folder.name
    cfg.custom_hooks = [dict(type='SpoilBatchHook', iterations=iterations)]
    return cfg


def test_any_run_of_ours_stops_and_keeps_the_last_checkpoint(tiny_config, tmp_path):
    cfg = settings(tiny_config, tmp_path / 'stop', [5])
    with pytest.raises(NonFiniteError, match=r'decode.loss_ce = nan.*in iteration 5, .*\.png'):
        training.train(cfg)
    names = sorted(p.name for p in (tmp_path / 'stop').glob('*.pth'))
    assert 'iter_3.pth' in names and 'iter_6.pth' not in names


def test_any_run_of_ours_skips_when_asked(tiny_config, tmp_path):
    cfg = settings(tiny_config, tmp_path / 'skip', [2, 5])
    use_nan(cfg, 'skip')
    runner = training.train(cfg)
    (hook,) = (h for h in runner.hooks if isinstance(h, NonFiniteHook))
    assert hook.skipped == 2
    weights = torch.load(tmp_path / 'skip' / 'iter_6.pth')['state_dict']
    assert all(value.isfinite().all() for value in weights.values())
    assert int(weights['backbone.stem.1.num_batches_tracked']) == 4


def test_the_runs_own_hook_is_kept():
    from mmengine.config import Config

    cfg = Config(dict(custom_hooks=[dict(type='NonFiniteHook'), dict(type='IterSeedHook')]))
    use_nan(cfg, 'skip')
    assert [dict(h) for h in cfg.custom_hooks] == [
        dict(type='NonFiniteHook', action='skip'), dict(type='IterSeedHook')]  # fmt: skip


def test_processes_agree(two_ranks):
    """One process alone has a bad loss, whose gradient is zero: both name it and stop."""
    texts = two_ranks("""
        from types import SimpleNamespace
        import torch
        from mmengine.optim import OptimWrapper
        from mmseg_ext.engine.nonfinite import NonFiniteError, NonFiniteHook
        net = torch.nn.Linear(2, 1)
        wrapper = OptimWrapper(torch.optim.SGD(net.parameters(), lr=0.5))
        runner, hook = SimpleNamespace(model=net, optim_wrapper=wrapper), NonFiniteHook()
        hook.before_train(runner)
        for runner.iter in range(3):
            batch = dict(data_samples=[SimpleNamespace(img_path=f'rank{rank}_{runner.iter}.png')])
            hook.before_train_iter(runner, runner.iter, batch)
            loss = net(torch.ones(1, 2)).sum()
            if rank == 1 and runner.iter == 1:
                loss = loss + torch.tensor(float('inf'))
            wrapper.update_params(loss)
            try:
                hook.after_train_iter(runner, runner.iter, batch, dict(loss=loss))
            except NonFiniteError as error:
                print(error)
                break
    """)
    assert texts[0] == texts[1]
    assert texts[0].startswith('loss = inf is not finite in iteration 2, learning rate 0.5, ')
    assert 'images rank1_1.png;' in texts[0]
