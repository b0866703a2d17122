"""Layers are replaced where they stand, and activations become a part of the layer before them."""

import pytest
import torch
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.transformer import FFN, MultiheadAttention
from torch import nn

from mmseg_ext.apis.run.network import fast as fast_module
from mmseg_ext.apis.run.network.packing import pack_layers
from mmseg_ext.models.layers.packed import PackedAttention, is_available

pytestmark = pytest.mark.skipif(not is_available(), reason='a torch without oneDNN')


class Blocks(nn.Module):
    """What heads and backbones are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.first = ConvModule(3, 8, 1, act_cfg=dict(type='ReLU6', inplace=True))
        self.second = ConvModule(8, 8, 3, padding=1, groups=8)
        self.shared = nn.ReLU(inplace=True)
        self.third, self.fourth = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.read_before = ConvModule(8, 8, 1, act_cfg=dict(type='ReLU', inplace=False))
        self.attention = MultiheadAttention(8, 2, batch_first=True)
        self.feed = FFN(8, 16, act_cfg=dict(type='ReLU', inplace=True))
        self.wide = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        x = self.second(self.first(x))
        x = self.shared(self.third(x)) + self.shared(self.fourth(x))
        inner = self.read_before.conv(x)
        x = self.read_before.activate(inner) + inner
        tokens = self.feed(self.attention(x.flatten(2).transpose(1, 2)))
        return self.wide(tokens.transpose(1, 2).reshape(x.shape))


@torch.no_grad()
def test_what_is_replaced_and_what_it_computes():
    torch.manual_seed(0)
    blocks, x = Blocks().eval(), torch.randn(2, 3, 6, 5)
    expected = blocks(x)
    pack_layers(blocks, lambda: blocks(x))
    kinds = {name: type(part).__name__ for name, part in blocks.named_modules()}
    fused = {n for n, part in blocks.named_modules() if getattr(part, 'attribute', [''])[0] not in
             ('', 'none')}  # fmt: skip
    assert {n for n, kind in kinds.items() if kind.startswith('Packed')} == {
        'first.conv', 'second.conv', 'third', 'fourth', 'read_before.conv', 'attention.attn',
        'feed.layers.0.0', 'feed.layers.1',
    }  # fmt: skip
    assert fused == {'first.conv', 'second.conv', 'feed.layers.0.0'}
    for name in ('first.activate', 'second.activate', 'feed.layers.0.1'):
        assert kinds[name] == 'Identity'
    assert (kinds['shared'], kinds['read_before.activate']) == ('ReLU', 'ReLU')
    for _ in range(2):
        torch.testing.assert_close(blocks(x), expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_layers_that_do_something_of_their_own_are_left():
    linear, hooked, subclass = nn.Linear(4, 4), nn.Linear(4, 4), type('Own', (nn.Linear,), {})(4, 4)
    linear.forward = lambda x: x
    hooked.register_forward_pre_hook(lambda *_: None)
    model = nn.Sequential(linear, hooked, subclass).eval()
    pack_layers(model, lambda: model(torch.randn(2, 4)))
    assert [*model] == [linear, hooked, subclass]


def test_a_torch_without_the_operators_keeps_its_layers(small_segmentor, monkeypatch):
    monkeypatch.setattr(fast_module, 'is_available', lambda: False)
    fast = fast_module.fast_form(small_segmentor)
    assert not [part for part in fast.modules() if type(part).__name__.startswith('Packed')]
    monkeypatch.undo()
    fast = fast_module.fast_form(small_segmentor)
    assert [part for part in fast.modules() if type(part).__name__.startswith('Packed')]
    assert not [part for part in fast.modules() if isinstance(part, PackedAttention)]


@pytest.fixture
def small_segmentor():
    from support.small_network import small_network

    return small_network()
