"""Convolutions in groups: their gradients are those of float64, to rounding."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import build_conv_layer
from torch import nn

import mmseg_ext  # noqa: F401
from mmseg_ext.engine import grouped
from mmseg_ext.engine.bfloat16 import is_imitated
from mmseg_ext.engine.grouped import mend_grouped, use_torchs

# of bfloat16, of the largest value; torch's imitation also rounds what it sums
ROUNDING = 2**-5 if is_imitated('cpu') else 2**-7
CASES = (  # kernel, stride, dilation, padding, size
    (3, 1, 2, 2, 32), (3, 1, 4, 4, 33), (3, 2, 1, 1, 32), (5, 1, 1, 2, 20), (3, 2, 2, 2, 31),
    (3, 1, 2, 0, 32), ((3, 5), 1, 2, (2, 4), 24),
)  # fmt: skip


def gradients(conv: nn.Module, x: torch.Tensor, seed: int = 1) -> list[torch.Tensor]:
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    with torch.autocast('cpu', torch.bfloat16, enabled=x.dtype == torch.float32):
        out = conv(x)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed))
    leaves = [x, *conv.parameters()]
    found = torch.autograd.grad(out, leaves, weights.bfloat16().to(out.dtype))
    return [out.detach(), *found]


@pytest.mark.parametrize('layout', [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(('kernel', 'stride', 'dilation', 'padding', 'size'), CASES)
def test_gradients_are_those_of_float64(kernel, stride, dilation, padding, size, layout):
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 16, kernel, stride, padding, dilation, groups=16)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(parameter.bfloat16())
    x = torch.randn(2, 16, size, size).bfloat16().float().contiguous(memory_format=layout)
    exact = gradients(copy.deepcopy(conv).double(), x.double())
    with torch.autocast('cpu', torch.bfloat16):
        plain = conv(x)
    assert mend_grouped(conv) == 1
    found = gradients(conv, x)
    assert torch.equal(found[0], plain)
    assert len(found) == len(exact) == 4
    for ours, right in zip(found, exact):
        assert float((ours.double() - right).abs().max() / right.abs().max()) < ROUNDING


@pytest.mark.parametrize(('channels', 'out', 'groups', 'stride'), [(16, 16, 4, 1), (8, 16, 8, 2)])
def test_gradients_of_larger_groups_are_those_of_float64(channels, out, groups, stride):
    """Torch's own are NaN, or off by their size, in channels_last."""
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, out, 3, stride, 2, dilation=2, groups=groups).bfloat16().float()
    x = torch.randn(2, channels, 32, 32).bfloat16().float()
    exact = gradients(copy.deepcopy(conv).double(), x.double())
    assert mend_grouped(conv) == 1
    found = gradients(conv, x.contiguous(memory_format=torch.channels_last))
    assert len(found) == len(exact) == 4
    for ours, right in zip(found, exact):
        assert float((ours.double() - right).abs().max() / right.abs().max()) < ROUNDING


def test_float32_is_torchs_own_and_names_stay():
    torch.manual_seed(0)
    model = nn.Sequential(
        build_conv_layer(None, 8, 8, 3, padding=2, dilation=2, groups=8, bias=False),
        build_conv_layer(None, 8, 8, 3, padding=1, groups=8),  # plain: torch's is right
        build_conv_layer(None, 8, 4, 3, padding=2, dilation=2),  # dense: likewise
    )
    names, x = list(model.state_dict()), torch.randn(1, 8, 9, 9)
    before = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    assert mend_grouped(model) == 1 and mend_grouped(model) == 0
    after = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    assert len(before) == 5 and all(map(torch.equal, before, after))
    assert list(model.state_dict()) == names and isinstance(model[0], nn.Conv2d)


@pytest.mark.parametrize(
    ('kernel', 'dilation', 'size', 'bias'),
    [(3, 2, (12, 13), True), (3, 12, (9, 30), False), (3, 4, (3, 4), True), (5, 2, (17, 16), False),
     ((3, 5), (2, 1), (11, 12), True), (1, 2, (6, 5), True)],
)  # fmt: skip
def test_depthwise_gradients_of_float32_are_those_of_float64(
    kernel, dilation, size, bias, monkeypatch
):
    torch.manual_seed(0)
    pairs = [(v, v) if isinstance(v, int) else v for v in (kernel, dilation)]
    padding = tuple(d * (k // 2) for k, d in zip(*pairs))
    conv = nn.Conv2d(24, 24, kernel, 1, padding, dilation, 24, bias)
    x = torch.randn(2, 24, *size).contiguous(memory_format=torch.channels_last)
    exact = plain_gradients(copy.deepcopy(conv).double(), x.double())
    output = conv(x)
    assert mend_grouped(conv) == 1
    calls, by_taps = [], grouped._by_taps
    monkeypatch.setattr(grouped, '_by_taps', lambda *args: calls.append(1) or by_taps(*args))
    found = plain_gradients(conv, x)
    assert calls and torch.equal(found[0], output) and len(found) == len(exact) == 3 + bias
    for ours, right in zip(found, exact):
        assert float((ours.double() - right).abs().max() / right.abs().max()) < 2e-6
    use_torchs(conv)
    assert type(conv) is nn.Conv2d


def plain_gradients(conv: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    out = conv(x)
    along = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, [x, *conv.parameters()], along)]


def test_other_depthwise_convolutions_of_float32_are_torchs(monkeypatch):
    monkeypatch.setattr(grouped._Dilated, 'apply', None)  # to be called would fail
    last = torch.randn(1, 8, 9, 9).contiguous(memory_format=torch.channels_last)
    settings = dict(kernel_size=3, padding=2, dilation=2, groups=8)
    with pytest.raises(TypeError):
        _mended(8, 8, **settings)(last)
    conv = _mended(8, 8, **settings)
    conv(last.contiguous()), conv.double()(last.double())
    with torch.no_grad():
        conv.float()(last)
    with torch.autocast('cpu', torch.float16):
        assert conv(last).dtype == torch.float16
    others = (dict(stride=2), dict(padding=0), dict(groups=4), dict(kernel_size=2, padding=1))
    for changes in others:
        out = _mended(8, 8, **{**settings, **changes})(last)
        assert out.requires_grad and out.isfinite().all()


def _mended(*channels, **settings) -> nn.Module:
    conv = nn.Conv2d(*channels, **settings)
    assert mend_grouped(conv) == 1
    return conv


def test_a_copy_computes_with_its_own_weights():
    conv = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, bias=False)
    mend_grouped(conv)
    other = copy.deepcopy(conv)
    nn.init.zeros_(other.weight)
    x = torch.ones(1, 4, 5, 5, requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16):
        assert not other(x).any() and conv(x).any()


def test_frozen_parts_get_no_gradient():
    conv = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4).requires_grad_(False)
    mend_grouped(conv)
    x = torch.randn(1, 4, 6, 6, requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16):
        conv(x).sum().backward()
    expected = F.conv_transpose2d(
        torch.ones(1, 4, 6, 6), conv.weight.bfloat16().float(), padding=2, dilation=2, groups=4
    )
    torch.testing.assert_close(x.grad, expected, rtol=1e-2, atol=1e-2)
    assert conv.weight.grad is None
