"""Inflating the first convolution: exact responses, and loading through init_cfg."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import mmseg_ext  # noqa: F401
from mmseg_ext.core.inflation import inflate_conv
from mmseg_ext.engine.inflate import inflate_state


def conv(image, weight):
    return torch.nn.functional.conv2d(image, weight, padding=1)


@pytest.mark.parametrize('channels', [1, 2, 3, 4, 5, 8, 13])
def test_equal_channels_give_the_grey_response_exactly(channels):
    torch.manual_seed(0)
    weight = torch.randn(6, 3, 3, 3, dtype=torch.float64)
    grey = torch.rand(2, 1, 7, 9, dtype=torch.float64)
    for rgb_index in ((0, 1, 2), ()):
        wide = inflate_conv(weight, channels, rgb_index=rgb_index)
        assert wide.shape == (6, channels, 3, 3)
        got = conv(grey.expand(-1, channels, -1, -1), wide)
        want = conv(grey.expand(-1, 3, -1, -1), weight)
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


def test_colors_keep_their_filters_where_they_are():
    weight = torch.randn(4, 3, 3, 3)
    torch.testing.assert_close(inflate_conv(weight, 3), weight)
    torch.testing.assert_close(inflate_conv(weight, 3, rgb_index=(2, 1, 0)), weight.flip(1))
    wide = inflate_conv(weight, 6, rgb_index=(3, 2, 1))
    torch.testing.assert_close(wide[:, [3, 2, 1]], weight / 2)
    for extra in (0, 4, 5):
        torch.testing.assert_close(wide[:, extra], weight.mean(1) / 2)


def test_mistakes():
    weight = torch.randn(4, 3, 3, 3)
    for wrong in ((0, 1), (0, 0, 1), (0, 1, 5), (-1, 0, 1)):
        with pytest.raises(ValueError, match='rgb_index'):
            inflate_conv(weight, 5, rgb_index=wrong)
    with pytest.raises(ValueError, match=r'\(4, 1, 3, 3\)'):
        inflate_conv(weight[:, :1], 5)
    with pytest.raises(ValueError, match='at least 1'):
        inflate_conv(weight, 0)
    two = torch.nn.ModuleList([torch.nn.Conv2d(4, 2, 3), torch.nn.Conv2d(4, 2, 3)])
    state = {'0.weight': torch.ones(2, 3, 3, 3), '1.weight': torch.ones(2, 3, 3, 3)}
    with pytest.raises(ValueError, match='another network'):
        inflate_state(state, two)


def resnet(in_channels, **settings):
    init_default_scope('mmseg')
    return MODELS.build(
        dict(
            type='ResNetV1c',
            depth=18,
            base_channels=4,
            stem_channels=4,
            in_channels=in_channels,
            norm_cfg=dict(type='BN'),
            **settings,
        )
    )


def save(path, model, prefix):
    torch.manual_seed(3)
    state = {f'{prefix}{k}': torch.randn_like(v.float()).to(v.dtype) for k, v in
             model.state_dict().items()}  # fmt: skip
    torch.save(dict(state_dict=state), path)
    return state


def test_init_cfg_loads_all_and_inflates_the_first_convolution(tmp_path):
    state = save(tmp_path / 'rgb.pth', resnet(3), 'backbone.')
    model = resnet(
        5,
        init_cfg=dict(
            type='InflatedPretrained',
            checkpoint=str(tmp_path / 'rgb.pth'),
            prefix='backbone.',
            rgb_index=(2, 1, 0),
        ),
    )
    model.init_weights()
    for name, value in model.state_dict().items():
        want = state[f'backbone.{name}']
        if name == 'stem.0.weight':
            want = inflate_conv(want, 5, rgb_index=(2, 1, 0))
        torch.testing.assert_close(value, want)


def test_children_that_initialise_themselves_do_not_undo_it(tmp_path):
    """MobileNetV2 is made of mmcv's ConvModules, which draw new weights when asked to."""
    init_default_scope('mmseg')
    settings = dict(type='MobileNetV2', widen_factor=0.25, norm_cfg=dict(type='BN'))
    state = save(tmp_path / 'rgb.pth', MODELS.build(settings), '')
    cfg = dict(type='InflatedPretrained', checkpoint=str(tmp_path / 'rgb.pth'))
    model = MODELS.build(dict(settings, init_cfg=cfg))
    model.init_weights()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, state[name])


def test_weights_of_another_network_or_prefix(tmp_path):
    torch.save(dict(state_dict={'other.weight': torch.ones(1)}), tmp_path / 'a.pth')
    cfg = dict(type='InflatedPretrained', checkpoint=str(tmp_path / 'a.pth'))
    with pytest.raises(ValueError, match=r'a\.pth: not one name fits ResNetV1c'):
        resnet(5, init_cfg=cfg).init_weights()
    with pytest.raises(ValueError, match=r"a\.pth: no weights begin with 'backbone\.'"):
        resnet(5, init_cfg=dict(cfg, prefix='backbone')).init_weights()
