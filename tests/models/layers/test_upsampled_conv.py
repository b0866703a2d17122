"""conv_of_upsampled against the plain order of operations."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_ext.models.layers.upsampled_conv import conv_of_upsampled


def _plain(coarse, fine, conv, align_corners):
    up = F.interpolate(coarse, fine.shape[2:], mode='bilinear', align_corners=align_corners)
    return conv(torch.cat([up, fine], dim=1))


@pytest.mark.parametrize('align_corners', [True, False])
@pytest.mark.parametrize('sizes', [((4, 6), (16, 24)), ((3, 5), (11, 7)), ((1, 1), (4, 1))])
@pytest.mark.parametrize('bias', [True, False])
def test_value_and_gradients_equal_upsample_then_convolve(sizes, align_corners, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 7, 3, padding=1, bias=bias).double()
    maps = [torch.randn(2, c, *s, dtype=torch.float64) for c, s in zip((5, 3), sizes)]
    inputs = [m.requires_grad_() for m in maps] + list(conv.parameters())
    ours = conv_of_upsampled(maps[0], maps[1], conv, align_corners=align_corners)
    theirs = _plain(maps[0], maps[1], conv, align_corners)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)  # weights of the ramp are float32
    direction = torch.randn_like(theirs)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, direction), torch.autograd.grad(theirs, inputs, direction)
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_bfloat16_autocast_stays_within_its_rounding():
    torch.manual_seed(0)
    conv = nn.Conv2d(48, 32, 3, padding=1)
    coarse, fine = torch.randn(1, 32, 8, 8), torch.randn(1, 16, 32, 32)
    exact = _plain(coarse, fine, conv, True)
    with torch.autocast('cpu', torch.bfloat16):
        ours = conv_of_upsampled(coarse, fine, conv, align_corners=True)
    assert ours.dtype == torch.bfloat16
    assert (ours.float() - exact).abs().max() < 0.03 * exact.abs().max()


@pytest.mark.parametrize(
    ('conv', 'message'),
    [
        (nn.Conv2d(8, 7, 3, padding=2, dilation=2), '3x3 with padding 1'),
        (nn.Conv2d(8, 7, 1), '3x3 with padding 1'),
        (nn.Conv2d(9, 7, 3, padding=1), 'the maps have 8 channels, conv takes 9'),
    ],
)
def test_another_convolution_is_refused(conv, message):
    with pytest.raises(ValueError, match=message):
        conv_of_upsampled(
            torch.zeros(1, 5, 2, 2), torch.zeros(1, 3, 4, 4), conv, align_corners=True
        )


def test_head_gives_the_same_logits_and_gradients_either_way():
    from mmseg_ext.models.decode_heads import DeepLabV3PlusHead

    torch.manual_seed(0)
    arguments = dict(in_channels=(6, 8), in_index=(0, 1), channels=16, num_classes=3)
    plain = DeepLabV3PlusHead(**arguments, dropout=(0.0, 0.0)).double()
    fast = DeepLabV3PlusHead(**arguments, dropout=(0.0, 0.0), mix_first=True).double()
    fast.load_state_dict(plain.state_dict())
    maps = [torch.randn(2, 6, 16, 12).double(), torch.randn(2, 8, 4, 3).double()]
    a, b = plain(maps), fast(maps)
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    a.square().sum().backward()
    b.square().sum().backward()
    for name, parameter in plain.named_parameters():
        other = fast.get_parameter(name)
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-4, atol=1e-4, msg=name)
