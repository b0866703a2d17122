"""AFFP and its parts against loops over the paper's steps, and the printed parameter counts."""

import warnings

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_ext.models.layers.aspp import ASPP
from mmseg_ext.models.necks import AFFP, FRM, FSM, SPPM


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _group_norm(x: np.ndarray, groups: int, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    width = x.shape[0] // groups
    for g in range(groups):
        part = x[g * width : (g + 1) * width]
        y[g * width : (g + 1) * width] = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
    return y * weight[:, None, None] + bias[:, None, None]


@pytest.mark.parametrize('gate', ['hard', 'straight_through', 'public'])
def test_fsm_equals_its_steps(gate):
    torch.manual_seed(0)
    module = FSM(8, groups=2, gate=gate).double()
    with torch.no_grad():  # as if learnt, one weight negative
        module.norm.weight.copy_(torch.tensor([1.0, 0.5, 2, -0.3, 1, 1, 0.7, 1.5]))
        module.norm.bias.copy_(torch.linspace(-0.5, 0.5, 8))
    x = torch.randn(2, 8, 3, 5, dtype=torch.float64)
    gamma, beta = module.norm.weight.detach().numpy(), module.norm.bias.detach().numpy()
    expected, gates = np.empty(x.shape), []
    for n, image in enumerate(x.numpy()):
        score = _group_norm(image, 2, gamma, beta) * (gamma / gamma.sum())[:, None, None]
        soft = 1 / (1 + np.exp(-score))
        up = (soft >= 0.5).astype(float)
        gates.append(up.mean())
        if gate == 'public':  # ScConv's code: values below the gate keep their sigmoid, in both
            rich, poor = (
                np.where(soft > 0.5, 1, soft) * image,
                np.where(soft > 0.5, 0, soft) * image,
            )
        else:
            rich, poor = up * image, (1 - up) * image
        expected[n] = np.concatenate([rich[:4] + poor[4:], rich[4:] + poor[:4]])
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=0, atol=1e-12)
    assert 0.2 < np.mean(gates) < 0.8  # both gates occur


def test_fsm_keeps_the_sum_of_its_halves():
    x = torch.randn(1, 32, 4, 4)
    y = FSM(32)(x)
    torch.testing.assert_close(y[:, :16] + y[:, 16:], x[:, :16] + x[:, 16:])


def test_hard_gate_is_frozen_and_straight_through_learns():
    hard, soft = FSM(32), FSM(32, gate='straight_through')
    assert [p.requires_grad for p in hard.parameters()] == [False, False]
    assert _count(hard) == _count(soft) == 64
    soft(torch.randn(2, 32, 4, 4)).square().sum().backward()
    assert soft.norm.weight.grad.abs().sum() > 0 and soft.norm.bias.grad.abs().sum() > 0


def test_straight_through_gradient_is_that_of_the_soft_gate():
    torch.manual_seed(0)
    module = FSM(4, groups=2, gate='straight_through').double()
    x, direction = torch.randn(2, 1, 4, 3, 3, dtype=torch.float64)
    module(x).backward(direction)
    weight = module.norm.weight.detach().clone().requires_grad_()
    y = nn.functional.group_norm(x, 2, weight, module.norm.bias.detach())
    soft = (y * (weight / weight.sum())[:, None, None]).sigmoid()
    rich, poor = soft * x, (1 - soft) * x
    crossed = torch.cat([rich[:, :2] + poor[:, 2:], rich[:, 2:] + poor[:, :2]], dim=1)
    crossed.backward(direction)
    torch.testing.assert_close(module.norm.weight.grad, weight.grad)


def test_public_gate_learns_where_it_is_not_reached():
    torch.manual_seed(0)
    module = FSM(4, groups=2, gate='public').double()
    assert all(p.requires_grad for p in module.parameters())
    x, direction = torch.randn(2, 1, 4, 3, 3, dtype=torch.float64)
    module(x).backward(direction)
    weight = module.norm.weight.detach().clone().requires_grad_()
    y = nn.functional.group_norm(x, 2, weight, module.norm.bias.detach())
    soft = (y * (weight / weight.sum())[:, None, None]).sigmoid()
    rich = torch.where(soft > 0.5, torch.ones_like(soft), soft) * x
    poor = torch.where(soft > 0.5, torch.zeros_like(soft), soft) * x
    crossed = torch.cat([rich[:, :2] + poor[:, 2:], rich[:, 2:] + poor[:, :2]], dim=1)
    crossed.backward(direction)
    assert weight.grad.abs().min() > 0
    torch.testing.assert_close(module.norm.weight.grad, weight.grad)


def test_the_gate_of_a_branch_is_its_affp_s():
    branches = [m for m in AFFP(32, 16, gate='public').modules() if isinstance(m, FSM)]
    assert {m.gate for m in branches} == {'public'} and len(branches) == 3
    with pytest.raises(ValueError, match="gate must be 'hard', .* or 'public', got 'soft'"):
        FSM(32, gate='soft')


def _conv(x: np.ndarray, weight: np.ndarray, bias=None, dilation: int = 1) -> np.ndarray:
    """Convolve one image pixel by pixel, zero padding."""
    out, _, k, _ = weight.shape
    _, h, w = x.shape
    y = np.zeros((out, h, w))
    for i in range(h):
        for j in range(w):
            for a in range(k):
                for b in range(k):
                    r, c = i + (a - k // 2) * dilation, j + (b - k // 2) * dilation
                    if 0 <= r < h and 0 <= c < w:
                        y[:, i, j] += weight[:, :, a, b] @ x[:, r, c]
    return y if bias is None else y + bias[:, None, None]


@pytest.mark.parametrize('merge', ['joint', 'pair'])
def test_frm_equals_its_table_of_convolutions(merge):
    torch.manual_seed(1)
    module = FRM(8, dilation=2, merge=merge).double()
    p = {k: v.detach().numpy() for k, v in module.named_parameters()}
    x = torch.randn(1, 8, 5, 6, dtype=torch.float64)
    image = x[0].numpy()
    up, low = _conv(image[:4], p['squeeze_up.weight']), _conv(image[4:], p['squeeze_low.weight'])
    wide = _conv(up, p['dilated.weight'], p['dilated.bias'], dilation=2)
    wide += _conv(up, p['pointwise_up.weight'])
    cheap = np.concatenate([_conv(low, p['pointwise_low.weight']), low])
    means = np.concatenate([wide.mean((1, 2)), cheap.mean((1, 2))])
    e = np.exp(means).reshape(2, 8)
    b = e / e.sum() if merge == 'joint' else e / e.sum(0)
    expected = b[0][:, None, None] * wide + b[1][:, None, None] * cheap
    np.testing.assert_allclose(module(x)[0].detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('sizes', [(5, 9, 13), (3,), (3, 9)])
def test_sppm_equals_pooling_with_each_kernel(sizes):
    torch.manual_seed(2)
    module = SPPM(6, kernel_sizes=sizes).eval()
    x = torch.randn(2, 6, 11, 7)
    y = module.enter(x)
    pooled = [nn.functional.max_pool2d(y, k, stride=1, padding=k // 2) for k in sizes]
    torch.testing.assert_close(module(x), module.leave(torch.cat([y, *pooled], dim=1)))


def test_parameter_integers_of_the_parts():
    with torch.device('meta'):
        assert _count(FSM(320)) == 640
        assert _count(FRM(320, dilation=6)) == 301_120
        assert _count(SPPM(256)) == 328_704
        assert _count(AFFP(320)) == 1_776_960
        assert _count(AFFP(320, with_sppm=False)) == 1_448_256
        assert _count(AFFP(320, with_sppm=False, with_frm=False)) == 1_448_256 - 3 * 301_120


@pytest.mark.parametrize('size', [(1, 1), (7, 5), (1, 9)])
def test_affp_keeps_odd_sizes(size):
    module = MODELS.build(dict(type='AFFP', in_channels=32, channels=16)).eval()
    assert module(torch.randn(1, 32, *size)).shape == (1, 16, *size)


def test_one_value_per_channel_in_training_names_the_setting():
    one = torch.randn(1, 32, 1, 1)
    for module in (AFFP(32, 16), AFFP(32, 16, with_sppm=False), ASPP(32, 16), SPPM(32)):
        name = type(module).__name__
        with pytest.raises(
            ValueError, match=rf'^{name}: .*\(1, 32, 1, 1\): .*batch_size, drop_last'
        ):
            module(one)
        assert module(one.expand(2, -1, -1, -1)).isfinite().all()
        assert module.eval()(one).isfinite().all()
    larger = torch.randn(1, 32, 3, 3)
    for module in (AFFP(32, 16, with_sppm=False), ASPP(32, 16)):
        with pytest.raises(
            ValueError, match=r'^ImagePooling: .*\(1, 32, 1, 1\): .*batch of at least 2'
        ):
            module(larger)
    assert AFFP(32, 16)(larger).isfinite().all()  # no global mean in it


@pytest.mark.parametrize('module', [AFFP(32, 16, with_sppm=False), ASPP(32, 16)])
def test_the_check_leaves_no_trace_in_an_export(module):
    with warnings.catch_warnings(record=True) as caught:  # torch's group norm looks at its input
        warnings.simplefilter('always')
        traced = torch.jit.trace(module.eval(), torch.randn(1, 32, 1, 1))
    assert [w for w in caught if w.filename.endswith('layers/norms.py')] == []
    x = torch.randn(2, 32, 5, 7)  # another size than the traced one
    torch.testing.assert_close(traced(x), module(x))


@pytest.mark.parametrize('dynamo', [False, True])
def test_onnx_export(dynamo, onnx_export):
    onnx_export(AFFP(32, 16, with_sppm=False).eval(), torch.randn(1, 32, 5, 7), dynamo=dynamo)


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: FSM(7), 'channels .7. must be even and a multiple of groups'),
        (lambda: FSM(8, groups=3), r'multiple of groups \(3\)'),
        (lambda: FSM(32, gate='soft'), "gate must be 'hard', .* or 'public', got 'soft'"),
        (lambda: FRM(6), 'multiple of four, got 6'),
        (lambda: FRM(8, merge='mean'), "'joint' or 'pair', got 'mean'"),
        (lambda: SPPM(8, kernel_sizes=(5, 4)), r'odd, from 3 on and ascending, got \[5, 4\]'),
        (lambda: SPPM(8, kernel_sizes=()), 'ascending'),
        (lambda: AFFP(32, rates=()), 'rates is empty'),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
