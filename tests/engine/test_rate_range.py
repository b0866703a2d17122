"""The learning-rate range: rates and smoothed losses by hand, and when it stops."""

from types import SimpleNamespace

import pytest
import torch

from mmseg_ext.engine.rate_range import RateRangeHook


def ranged(losses, *, low=1e-4, high=1.0, steps=5):
    """Run the hook over given losses; returns it, the rates of two groups, and the loop."""
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([dict(params=weights[:1]),
                                 dict(params=weights[1:], lr=0.5)], lr=0.1)  # fmt: skip
    loop = SimpleNamespace(stop_training=False)
    runner = SimpleNamespace(
        iter=0, optim_wrapper=SimpleNamespace(optimizer=optimizer), train_loop=loop
    )
    hook, rates = RateRangeHook(low, high, steps), []
    hook.before_train(runner)
    for runner.iter, loss in enumerate(losses):
        hook.before_train_iter(runner, runner.iter)
        rates.append([group['lr'] for group in optimizer.param_groups])
        hook.after_train_iter(runner, runner.iter, outputs=dict(loss=torch.tensor(loss)))
        if loop.stop_training:
            break
    return hook, rates, loop


def test_rates_rise_by_one_factor_and_parts_keep_their_ratio():
    _, rates, loop = ranged([1.0] * 5)
    expected = [[rate, 5 * rate] for rate in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)]
    assert rates == [pytest.approx(pair) for pair in expected]
    assert not loop.stop_training


def test_losses_are_smoothed_without_a_bias_to_zero():
    hook, _, _ = ranged([2.0, 1.0, 4.0])
    weights = [0.81, 0.9, 1.0]
    third = (0.81 * 2 + 0.9 * 1 + 4) / sum(weights)
    found = [point.smoothed for point in hook.points]
    assert found == pytest.approx([2.0, (0.9 * 2 + 1) / 1.9, third])
    assert [point.loss for point in hook.points] == [2, 1, 4]


def test_it_stops_where_the_mean_is_four_times_the_smallest():
    # after [1, x] the mean is (0.9 + x) / 1.9, which is 4 at x = 6.7
    assert not ranged([1.0, 6.69])[2].stop_training
    assert ranged([1.0, 6.71])[2].stop_training


def test_a_loss_that_is_not_finite_ends_it_and_is_no_point():
    hook, rates, loop = ranged([1.0, float('nan'), 1.0])
    assert loop.stop_training and len(rates) == 2 and len(hook.points) == 1
