"""From three channels to any number: sums, places, and what is refused."""

import pytest
import torch

from mmseg_ext.core.inflation import inflate_conv, needs_inflation, spread


def test_spread_puts_three_numbers_at_their_places_and_their_mean_elsewhere():
    assert spread([10.0, 20.0, 60.0], 5, rgb_index=(2, 1, 0)) == [60.0, 20.0, 10.0, 30.0, 30.0]
    assert spread([10.0, 20.0, 60.0], 1, rgb_index=(2, 1, 0)) == [30.0]
    with pytest.raises(ValueError, match='three different channels below 4'):
        spread([1.0, 2.0, 3.0], 4, rgb_index=(0, 0, 1))


def test_only_the_channels_may_differ():
    weight = torch.ones(8, 3, 7, 7)
    assert needs_inflation(weight, (8, 5, 7, 7))
    for wanted in ((8, 3, 7, 7), (9, 5, 7, 7), (8, 5, 3, 3), (8,), ()):
        assert not needs_inflation(weight, wanted)
    assert not needs_inflation(torch.ones(8, 4, 7, 7), (8, 5, 7, 7))


@pytest.mark.parametrize('channels', [1, 4, 5])
def test_a_grey_image_gets_the_response_it_had(channels):
    weight = torch.randn(2, 3, 3, 3)
    image = torch.randn(1, 1, 8, 8)
    wide = inflate_conv(weight, channels, rgb_index=(2, 1, 0))
    before = torch.conv2d(image.expand(1, 3, 8, 8), weight)
    torch.testing.assert_close(torch.conv2d(image.expand(1, channels, 8, 8), wide), before)
