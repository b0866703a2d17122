"""Which batch norms are folded, and that networks compute the same without them."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from mmseg_ext.apis.run.network.folding import fold_norms


class _Net(nn.Module):
    """Two convolutions and two norms with statistics of their own, called as ``order`` says."""

    def __init__(self, order):
        super().__init__()
        self.a, self.b = (nn.Conv2d(3, 3, 3, padding=1, bias=False) for _ in range(2))
        self.n, self.m = (nn.BatchNorm2d(3) for _ in range(2))
        self.order = order

    def forward(self, x):
        return self.order(self, x)


def _norms(model):
    return [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]


def _folded(net, *sizes):
    """A folded copy, which has to compute the same."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
        if isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    net.eval()
    net.double()
    folded, x = copy.deepcopy(net), torch.randn(2, 3, *(sizes or (9, 7)), dtype=torch.float64)
    with torch.no_grad():
        fold_norms(folded, lambda: folded(x))
        for found, expected in zip(_maps(folded(x)), _maps(net(x)), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    return folded


def _maps(output):
    return [output] if isinstance(output, torch.Tensor) else list(output)


def _tap(net, x):
    y = net.a(x)
    return net.n(y) + y


def _in_place(net, x):
    y = net.a(x)
    z = net.n(y)
    return z + y.relu_()


def _part(net, x):
    return net.n(net.a(x)[:1])


@pytest.mark.parametrize(
    ('order', 'left'),
    [
        (lambda net, x: net.m(net.b(net.n(net.a(x)).relu())), []),
        (lambda net, x: net.n(net.a(x)) + net.n(net.a(x * 2)), ['m']),  # an image at two scales
        (lambda net, x: net.n(net.a(x).relu()), ['n', 'm']),
        (lambda net, x: net.a(net.n(x)), ['n', 'm']),
        (lambda net, x: net.m(net.n(net.a(x))), ['m']),
        (lambda net, x: net.n(net.a(x)) + net.m(net.a(x * 2)), ['n', 'm']),
        (lambda net, x: net.n(net.a(x)) + net.n(net.b(x)), ['n', 'm']),
        (lambda net, x: net.n(net.a(x)) + net.n(x), ['n', 'm']),
        (lambda net, x: net.n(net.a(x)) + net.a(x * 2), ['n', 'm']),
        (_tap, ['n', 'm']),
        (_in_place, ['n', 'm']),
        (_part, ['n', 'm']),
        (lambda net, x: net.a(x), ['n', 'm']),
    ],
)
def test_only_norms_that_alone_read_one_convolution_are_folded(order, left):
    assert _norms(_folded(_Net(order))) == left


def test_norms_without_statistics_stay():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
    assert _norms(_folded(net)) == ['1']


def test_a_norm_without_weights_is_folded():
    assert _norms(_folded(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False)))) == []


def test_a_convolution_with_two_names_is_replaced_under_both():
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    folded = _Twice(net)
    with torch.no_grad():
        fold_norms(folded.eval(), lambda: folded(torch.zeros(1, 3, 2, 2)))
    assert isinstance(folded.net[1], nn.Identity) and folded.net[0] is folded.first


class _Twice(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net, self.first = net, net[0]

    def forward(self, x):
        return self.net(x)


@pytest.mark.parametrize(
    'backbone',
    [
        dict(type='ResNet', depth=50, dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)),
        dict(type='ResNet', depth=18),
        dict(type='MobileNetV2', out_indices=(6,)),
        dict(type='XceptionDeepLab', num_middle_blocks=1),
    ],
)  # fmt: skip
def test_all_norms_of_backbones_that_name_them_are_folded(backbone):
    """Half of them keep convolution and norm as attributes, and call them in their own code."""
    init_default_scope('mmseg')
    net = MODELS.build(backbone)
    assert len(_norms(net)) > 10
    assert _norms(_folded(net, 64, 48)) == []
