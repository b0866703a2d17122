"""Winograd's 7x7 convolution against torch's, and where the fast form takes it."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from mmseg_ext.apis.run.network.fast import fast_form
from mmseg_ext.models.layers.winograd_7x7 import Winograd7x7Conv2d


@pytest.mark.parametrize('size', [(1, 1), (3, 5), (8, 8), (17, 12), (2, 70), (45, 130)])
@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('bias', [True, False])
@torch.no_grad()
def test_it_equals_the_convolution(size, padding, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 7, padding=padding, bias=bias).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    if padding == 0 and min(size) < 7:
        with pytest.raises(ValueError, match='smaller than a kernel of 7'):
            Winograd7x7Conv2d(conv)(x)
        return
    torch.testing.assert_close(Winograd7x7Conv2d(conv)(x), conv(x), rtol=0, atol=1e-12)


@torch.no_grad()
def test_blocks_follow_each_other_and_leave_nothing_for_the_next_map(monkeypatch):
    """16 tiles a row: blocks of three rows, the last of one; then a map with one row less."""
    monkeypatch.setattr('mmseg_ext.models.layers.winograd_7x7._BLOCK', 48)
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, 7, padding=3).double()
    ours = Winograd7x7Conv2d(conv)
    for size in ((40, 64), (36, 61)):
        x = torch.randn(2, 2, *size, dtype=torch.float64)
        torch.testing.assert_close(ours(x), conv(x), rtol=0, atol=1e-12)


@torch.no_grad()
def test_in_float32_and_channels_last():
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 64, 7, padding=3)
    x = torch.randn(1, 64, 40, 52)
    ours = Winograd7x7Conv2d(conv)(x.to(memory_format=torch.channels_last))
    exact = conv.double()(x.double())
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert (ours - exact).abs().max() < 2e-5 * exact.abs().max()


@torch.no_grad()
def test_within_autocast_it_stays_in_float32():
    conv = nn.Conv2d(4, 4, 7, padding=3)
    x = torch.randn(1, 4, 9, 9)
    with torch.autocast('cpu', torch.bfloat16):
        found = Winograd7x7Conv2d(conv)(x.bfloat16())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, conv(x.bfloat16().float()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'conv',
    [
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, (7, 5), padding=(3, 2)),
        nn.Conv2d(4, 4, 7, padding=2),
        nn.Conv2d(4, 4, 7, padding=(0, 3)),
        nn.Conv2d(4, 4, 7, padding=6, dilation=2),
        nn.Conv2d(4, 4, 7, padding='same'),
        nn.Conv2d(4, 4, 7, padding=3, stride=2),
        nn.Conv2d(4, 4, 7, padding=3, groups=2),
        nn.Conv2d(4, 4, 7, padding=3, padding_mode='reflect'),
    ],
)
def test_other_convolutions_are_refused(conv):
    with pytest.raises(ValueError, match='only 7x7 convolutions padded by 3'):
        Winograd7x7Conv2d(conv)


@torch.no_grad()
def test_the_fast_form_of_segnet_basic_takes_it_where_there_are_channels():
    init_default_scope('mmseg')
    torch.manual_seed(0)
    config = Config.fromfile('configs/segnet/segnet_basic_camvid180.py')
    model = MODELS.build(config.model).eval()
    plain = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (7, 7)]
    fast = fast_form(model)
    taken = [m for m in fast.modules() if isinstance(m, Winograd7x7Conv2d)]
    assert len(taken) == len([m for m in plain if m.in_channels >= 64]) > 4
    x = torch.randn(2, 3, 96, 80)
    expected = model(x, mode='tensor')
    assert (fast(x, mode='tensor') - expected).abs().max() < 1e-4 * expected.abs().max()


def test_the_fast_form_leaves_convolutions_of_many_weights():
    """FCN's first fully connected layer would read 1.6 GB for some sixteen tiles."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.small = nn.Conv2d(64, 320, 7, padding=3)
            self.large = nn.Conv2d(320, 256, 7, padding=3)

        def forward(self, x, mode):
            return self.large(self.small(x))

    fast = fast_form(Net(), size=16)
    assert isinstance(fast.small, Winograd7x7Conv2d)
    assert type(fast.large) is nn.Conv2d
