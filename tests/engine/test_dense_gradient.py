"""Plain convolutions: their gradients are those of float64, nearer than torch's own."""

import copy

import pytest
import torch
from mmcv.cnn import build_conv_layer
from torch import nn

import mmseg_ext  # noqa: F401
from mmseg_ext.engine import dense_gradient
from mmseg_ext.engine.dense_gradient import use_products, use_torchs

LAST = torch.channels_last


def gradients(conv, x):
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    out = conv(x)
    along = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    return [out, *torch.autograd.grad(out, [x, *conv.parameters()], along.to(out.dtype))]


def apart(ours, right):
    return float((ours.detach().double() - right.detach()).abs().max() / right.detach().abs().max())


@pytest.mark.parametrize(
    ('kernel', 'dilation', 'bias', 'shape'),
    [(3, 1, True, (2, 64, 19, 17)), (3, 2, False, (1, 64, 30, 24)), (5, 1, True, (3, 64, 21, 30)),
     (3, 6, True, (2, 64, 13, 17)), (3, 12, False, (2, 64, 12, 15)), (3, 18, False, (1, 64, 7, 30)),
     (5, 3, True, (2, 64, 9, 11)), (3, 1, False, (2, 64, 3, 4)), (3, 1, False, (2, 64, 1, 1))],
)  # fmt: skip
def test_gradients_are_those_of_float64(kernel, dilation, bias, shape, monkeypatch):
    torch.manual_seed(0)
    padding = kernel // 2 * dilation
    conv = nn.Conv2d(64, 66, kernel, padding=padding, dilation=dilation, bias=bias)
    conv, x = conv.to(memory_format=LAST), torch.randn(shape).contiguous(memory_format=LAST)
    exact = gradients(copy.deepcopy(conv).double(), x.double())
    plain = conv(x)
    assert use_products(conv) == 1 and use_products(conv) == 0
    calls, by_weight = [], dense_gradient._by_weight
    monkeypatch.setattr(
        dense_gradient, '_by_weight', lambda *args: calls.append(1) or by_weight(*args)
    )
    found = gradients(conv, x)
    assert calls and torch.equal(found[0], plain)
    assert len(found) == len(exact) == 3 + bias
    for ours, right in zip(found, exact):
        assert apart(ours, right) < 2e-6


def test_a_long_sum_is_nearer_to_float64_than_torchs():
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 64, 3, padding=1).to(memory_format=LAST)
    x = torch.randn(4, 64, 64, 64).contiguous(memory_format=LAST)
    exact = gradients(copy.deepcopy(conv).double(), x.double())[2]
    torchs = apart(gradients(conv, x)[2], exact)
    use_products(conv)
    assert apart(gradients(conv, x)[2], exact) < min(2 * torchs, 2e-6)


def test_other_maps_and_modes_are_torchs(monkeypatch):
    monkeypatch.setattr(dense_gradient._Dense, 'apply', None)  # to be called would fail
    conv = nn.Conv2d(64, 64, 3, padding=1)
    use_products(conv)
    x = torch.randn(1, 64, 16, 16)
    with pytest.raises(TypeError):
        conv(x.contiguous(memory_format=LAST))
    conv(x)  # in the other layout
    with torch.autocast('cpu', torch.bfloat16):
        assert conv(x.contiguous(memory_format=LAST)).dtype == torch.bfloat16
    with torch.no_grad():
        conv(x.contiguous(memory_format=LAST))
    use_torchs(conv)
    assert type(conv) is nn.Conv2d


@pytest.mark.parametrize(
    'options',
    [dict(stride=2), dict(groups=2), dict(padding=0), dict(padding_mode='reflect'),
     dict(padding='same'), dict(dilation=2), dict(in_channels=63)],
)  # fmt: skip
def test_only_convolutions_of_the_kind_are_changed(options):
    settings = {**dict(in_channels=64, out_channels=64, kernel_size=3, padding=1), **options}
    assert use_products(nn.Conv2d(**settings)) == 0


@pytest.mark.parametrize('dilation', [1, 7])
def test_mmcvs_convolution_is_one_of_them_and_a_gradient_has_a_gradient(dilation):
    conv = build_conv_layer(None, 64, 64, 3, padding=dilation, dilation=dilation)
    before = type(conv)
    assert use_products(conv) == 1
    x = torch.randn(1, 64, 12, 12).contiguous(memory_format=LAST).requires_grad_()
    (by_weight,) = torch.autograd.grad(conv(x).square().sum(), conv.weight, create_graph=True)
    (found,) = torch.autograd.grad(by_weight.square().sum(), x)
    use_torchs(conv)
    assert type(conv) is before
    (by_weight,) = torch.autograd.grad(conv(x).square().sum(), conv.weight, create_graph=True)
    (right,) = torch.autograd.grad(by_weight.square().sum(), x)
    assert apart(found, right.double()) < 1e-4
