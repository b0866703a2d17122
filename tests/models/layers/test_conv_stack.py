"""Stacks of convolutions: widths, what follows what, and a start of the variance that is stated."""

import pytest
import torch
from mmengine.model import initialize
from torch import nn

from mmseg_ext.models.layers.conv_stack import conv_bn_pairs, conv_stack, msra


@pytest.mark.parametrize('transposed', [False, True])
@pytest.mark.parametrize('kernel', [3, 7])
def test_one_convolution_for_each_step_between_widths(kernel, transposed):
    stack = conv_stack((3, 4, 5), kernel, transposed=transposed)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layers = [m for m in stack.modules() if isinstance(m, (kind, nn.BatchNorm2d, nn.ReLU))]
    order = zip(layers, 2 * [kind, nn.BatchNorm2d, nn.ReLU], strict=True)
    assert all(isinstance(layer, expected) for layer, expected in order)
    assert [(m.in_channels, m.out_channels) for m in layers if isinstance(m, kind)] == [
        (3, 4), (4, 5)]  # fmt: skip
    assert stack(torch.randn(2, 3, 9, 8)).shape == (2, 5, 9, 8)


def test_a_single_width_is_no_layer_and_relu_may_be_left_out():
    x = torch.randn(1, 3, 4, 4)
    assert conv_stack((3,))(x) is x
    assert conv_stack((3, 4)).eval()(x).min() >= 0
    assert conv_stack((3, 4), relu=False).eval()(x).min() < 0


def test_pairs_are_each_convolution_and_the_norm_behind_it():
    stacks = [conv_stack((3, 4, 5)), conv_stack((5, 6))]
    pairs = conv_bn_pairs(stacks)
    assert [(c.out_channels, n.num_features) for c, n in pairs] == [(4, 4), (5, 5), (6, 6)]


@pytest.mark.parametrize('transposed', [False, True])
def test_msra_has_variance_two_over_fan_in(transposed):
    """Fan-in of 64 channels and 3 x 3: 576. 4 of 64 * 32 * 9 weights' standard errors."""
    torch.manual_seed(0)
    stack = conv_stack((64, 32), transposed=transposed)
    initialize(stack, msra())
    weight = next(p for p in stack.parameters() if p.ndim == 4)
    assert weight.numel() == 18432
    assert weight.var().item() == pytest.approx(2 / 576, rel=4 * (2 / 18432) ** 0.5)
    norm = next(m for m in stack.modules() if isinstance(m, nn.BatchNorm2d))
    assert (norm.weight == 1).all() and (norm.bias == 0.001).all()


def test_what_is_given_comes_after_and_wins():
    stack = conv_stack((3, 4))
    initialize(stack, msra(dict(type='Constant', layer='Conv2d', val=0.5)))
    assert (next(stack.parameters()) == 0.5).all()
    assert msra([dict(type='A'), dict(type='B')])[-2:] == [dict(type='A'), dict(type='B')]
