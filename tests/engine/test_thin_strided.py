"""Strided 1x1 convolutions of few channels: results and gradients are those of float64."""

import copy

import pytest
import torch
from mmcv.cnn import build_conv_layer
from torch import nn

from mmseg_ext.engine.thin_strided import take_pixels_first

LAST = torch.channels_last


@pytest.mark.parametrize('make', [nn.Conv2d, lambda *a, **k: build_conv_layer(None, *a, **k)])
@pytest.mark.parametrize(
    ('stride', 'size'), [(2, (8, 8)), (2, (9, 7)), (3, (9, 9)), ((1, 2), (5, 6))]
)
def test_results_are_those_of_float64(make, stride, size):
    """Without the change, such a loop ends the process on a CPU with AVX2 and no AVX-512."""
    torch.manual_seed(0)
    conv = make(4, 8, 1, stride=stride).to(memory_format=LAST)
    exact = copy.deepcopy(conv).double()
    assert take_pixels_first(conv) == 1 and take_pixels_first(conv) == 0
    for _ in range(50):
        x = torch.randn(2, 4, *size).contiguous(memory_format=LAST)
        found, expected = (_gradients(net, x) for net in (conv, exact))
        for ours, right in zip(found, expected, strict=True):
            torch.testing.assert_close(ours.double(), right, rtol=1e-5, atol=1e-5)
    assert sorted(conv.state_dict()) == ['bias', 'weight']


def _gradients(conv, x):
    x = x.to(conv.weight.dtype).requires_grad_()
    y = conv(x)
    along = torch.ones_like(y).cumsum(-1) / 8
    return [y, *torch.autograd.grad(y, [x, *conv.parameters()], along)]


@pytest.mark.parametrize(
    'settings',
    [dict(in_channels=8, stride=2), dict(stride=1), dict(kernel_size=3, stride=2),
     dict(stride=2, padding=1), dict(stride=2, groups=2)],
)  # fmt: skip
def test_other_convolutions_stay(settings):
    conv = nn.Conv2d(**{**dict(in_channels=4, out_channels=8, kernel_size=1), **settings})
    assert take_pixels_first(conv) == 0 and type(conv) is nn.Conv2d
