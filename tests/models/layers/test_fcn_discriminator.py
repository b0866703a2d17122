"""The discriminator: its size by the closed form, its map by single convolutions."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_ext.models.layers import FCNDiscriminator


@pytest.mark.parametrize('classes', [2, 21])
def test_parameters_by_the_closed_form(classes):
    """Five 4x4 convolutions: 16 weights for each pair of channels and a bias for each."""
    widths = [classes, 64, 128, 256, 512, 1]
    expected = sum(16 * a * b + b for a, b in zip(widths, widths[1:]))
    net = FCNDiscriminator(classes)
    assert sum(p.numel() for p in net.parameters()) == expected
    assert classes != 21 or expected == 2_783_169


def test_the_map_is_that_of_the_convolutions_enlarged():
    torch.manual_seed(0)
    net = FCNDiscriminator(3, widths=(4, 5), slope=0.1)
    x = torch.randn(2, 3, 32, 48)
    convs = list(net.layers)[::2]
    y = x
    for index, conv in enumerate(convs):
        y = F.conv2d(y, conv.weight, conv.bias, stride=2, padding=1)
        y = torch.where(y < 0, 0.1 * y, y) if index < 2 else y
    assert y.shape == (2, 1, 4, 6)
    expected = F.interpolate(y, (32, 48), mode='bilinear', align_corners=False)
    torch.testing.assert_close(net(x), expected)
    assert (net(x) < 0).any()  # nothing cuts the last one's map


@pytest.mark.parametrize('size', [(1, 1), (7, 65), (321, 33)])
def test_any_size(size):
    net = FCNDiscriminator(2, widths=(4, 4, 4, 4))
    assert net(torch.randn(1, 2, *size)).shape == (1, 1, *size)


def test_widths_that_are_none():
    with pytest.raises(ValueError, match='must be positive'):
        FCNDiscriminator(3, widths=(64, 0))
