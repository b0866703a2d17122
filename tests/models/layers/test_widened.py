"""The first convolution widened: shape, weights, names, and weights of colors that are loaded."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_state_dict
from mmseg.registry import MODELS
from torch import nn

from mmseg_ext.core.inflation import inflate_conv
from mmseg_ext.models.backbones.any_channels import any_channels
from mmseg_ext.models.layers.widened import widen, widen_detector


def _net():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1))


def test_color_weights_are_widened_whenever_they_are_loaded():
    color, wide = _net(), _net()
    widen(wide, 5, rgb_index=(2, 1, 0))
    wanted = inflate_conv(color[0].weight, 5, rgb_index=(2, 1, 0))
    for load in (lambda net, state: net.load_state_dict(state), load_state_dict):
        for net in (copy.deepcopy(wide), wide):
            load(net, color.state_dict())
            assert torch.equal(net[0].weight, wanted) and torch.equal(net[2].bias, color[2].bias)
    assert tuple(color.state_dict()['0.weight'].shape) == (8, 3, 3, 3)  # what is loaded stays
    again = _net()
    widen(again, 5)
    again.load_state_dict(wide.state_dict())  # its own weights are loaded as they are
    assert torch.equal(again[0].weight, wanted)
    assert again(torch.randn(1, 5, 6, 6)).shape == (1, 4, 4, 4)


def test_other_shapes_are_still_refused():
    wide = _net()
    widen(wide, 4)
    state = _net().state_dict()
    state['0.weight'] = torch.zeros(8, 2, 3, 3)
    with pytest.raises(RuntimeError, match='size mismatch'):
        wide.load_state_dict(state)


def test_networks_without_one_first_convolution_are_refused():
    for layers in ([nn.Conv2d(8, 3, 1)], [nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1)]):
        with pytest.raises(ValueError, match='one is expected'):
            widen(nn.Sequential(*layers), 4)


def test_any_backbone_is_built_for_any_channels():
    init_default_scope('mmseg')
    net = any_channels(backbone='MobileNetV2Dilated', image_channels=4)
    assert MODELS.get('AnyChannels') is any_channels
    plain = MODELS.build(dict(type='MobileNetV2Dilated'))
    assert type(net) is type(plain) and list(net.state_dict()) == list(plain.state_dict())
    differ = {
        name
        for name, value in plain.state_dict().items()
        if value.shape != net.state_dict()[name].shape
    }
    assert differ == {'conv1.conv.weight'}
    assert net(torch.randn(2, 4, 64, 64))[0].shape == plain(torch.randn(2, 3, 64, 64))[0].shape


def test_torchvision_s_detectors_normalise_all_channels():
    class Detector:
        backbone = nn.Sequential(nn.Conv2d(3, 8, 3))
        transform = SimpleNamespace(image_mean=[0.4, 0.5, 0.6], image_std=[0.1, 0.2, 0.3])

    widen_detector(Detector, 4, (2, 1, 0))
    assert Detector.transform.image_mean == pytest.approx([0.6, 0.5, 0.4, 0.5])
    assert Detector.transform.image_std == pytest.approx([0.3, 0.2, 0.1, 0.2])
    assert Detector.backbone[0].in_channels == 4
