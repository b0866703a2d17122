"""Layers with arranged weights compute what torch's compute."""

import copy
import pickle

import pytest
import torch
from torch import nn

from mmseg_ext.models.layers import packed as module
from mmseg_ext.models.layers.packed import PackedAttention, PackedLinear, is_fusible, packed

pytestmark = pytest.mark.skipif(not module.is_available(), reason='a torch without oneDNN')

ACTIVATIONS = dict(
    none=None,
    relu=nn.ReLU(inplace=True),
    relu6=nn.ReLU6(),
    hardtanh=nn.Hardtanh(-0.5, 0.25),
)
LAYERS = dict(
    linear=nn.Linear(12, 20),
    linear_without_bias=nn.Linear(12, 20, bias=False),
    pointwise=nn.Conv2d(12, 20, 1),
    pointwise_strided=nn.Conv2d(12, 20, 1, stride=(2, 3), bias=False),
    depthwise=nn.Conv2d(12, 12, 3, padding=1, groups=12),
    depthwise_strided=nn.Conv2d(12, 12, (3, 5), stride=2, padding=(1, 2), groups=12, bias=False),
    depthwise_dilated=nn.Conv2d(12, 12, 3, padding=4, dilation=4, groups=12),
)


def inputs(layer, *, seed=0, batch=3, size=(17, 14)):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 7, 12) if isinstance(layer, nn.Linear) else (batch, 12, *size)
    return torch.randn(shape, generator=generator)


@pytest.mark.parametrize('activation', ACTIVATIONS.values(), ids=ACTIVATIONS)
@pytest.mark.parametrize('layer', LAYERS.values(), ids=LAYERS)
@torch.no_grad()
def test_results_are_those_of_torch(layer, activation):
    other = packed(layer, activation)
    assert type(other).__name__.startswith('Packed')
    for seed in range(2):  # the second time the weights are arranged
        for x in (inputs(layer, seed=seed), inputs(layer, seed=seed, batch=1, size=(5, 30))):
            expected = layer(x) if activation is None else activation(layer(x))
            torch.testing.assert_close(other(x), expected, rtol=1e-5, atol=1e-6)
            if x.dim() == 4:
                last = x.contiguous(memory_format=torch.channels_last)
                torch.testing.assert_close(other(last), expected, rtol=1e-5, atol=1e-6)
            turned = x.transpose(0, 1).contiguous().transpose(0, 1)
            torch.testing.assert_close(other(turned), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('activation', ACTIVATIONS.values(), ids=ACTIVATIONS)
@torch.no_grad()
def test_large_products_are_the_same(activation):
    layer = nn.Linear(300, 20)
    other, x = packed(layer, activation), torch.randn(2, 300, 300).transpose(0, 1)
    expected = layer(x) if activation is None else activation(layer(x))
    torch.testing.assert_close(other(x), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_maps_stay_in_channels_last():
    for name in ('pointwise', 'depthwise'):
        x = inputs(LAYERS[name]).contiguous(memory_format=torch.channels_last)
        assert packed(LAYERS[name])(x).is_contiguous(memory_format=torch.channels_last)


def test_other_layers_have_no_such_form():
    for conv in (
        nn.Conv2d(12, 20, 3), nn.Conv2d(12, 12, 1, groups=3), nn.Conv2d(12, 20, 1, padding=1),
        nn.Conv2d(12, 12, 3, padding=1, groups=12, padding_mode='reflect'),
        nn.Conv2d(12, 12, 3, padding='same', groups=12),
    ):  # fmt: skip
        assert packed(conv) is None
    assert not is_fusible(nn.GELU()) and not is_fusible(nn.Dropout())
    with pytest.raises(ValueError, match='oneDNN has no Sigmoid'):
        PackedLinear(nn.Linear(2, 3), nn.Sigmoid())


@pytest.mark.parametrize('name', LAYERS)
@torch.no_grad()
def test_copies_and_files_arrange_their_own_weights(name):
    layer = LAYERS[name]
    other, x = packed(layer, nn.ReLU()), inputs(layer)
    expected = other(x)
    copied = copy.deepcopy(other)
    copied.weight.mul_(2)  # of the copy alone
    assert torch.equal(pickle.loads(pickle.dumps(other))(x), expected)
    assert torch.equal(other(x), expected) and not torch.equal(copied(x), expected)
    assert {*other.state_dict()} == {*layer.state_dict()}
    assert other.weight is layer.weight


@pytest.mark.parametrize('name', LAYERS)
@torch.no_grad()
def test_weights_that_change_count(name):
    layer = copy.deepcopy(LAYERS[name])
    other, x = packed(layer), inputs(layer)
    other(x)
    layer.weight.mul_(-1)
    torch.testing.assert_close(other(x), layer(x), rtol=1e-5, atol=1e-6)
    other.load_state_dict({key: value * 3 for key, value in layer.state_dict().items()})
    torch.testing.assert_close(other(x), layer(x), rtol=1e-5, atol=1e-6)


@torch.inference_mode()
def test_weights_made_for_inference():
    layer = nn.Linear(12, 20)
    torch.testing.assert_close(packed(layer)(inputs(layer)), layer(inputs(layer)))


@pytest.mark.parametrize('name', LAYERS)
@torch.no_grad()
def test_what_onednn_does_not_take_goes_the_usual_way(name):
    layer = LAYERS[name]
    other, x = packed(layer, nn.ReLU()), inputs(layer)
    double = copy.deepcopy(other).double()
    torch.testing.assert_close(double(x.double()), layer(x).relu().double(), rtol=1e-5, atol=1e-6)
    with torch.autocast('cpu', torch.bfloat16):
        assert other(x).dtype == torch.bfloat16
    assert other(x[:0]).shape == layer(x[:0]).shape
    shapes = copy.deepcopy(other).to('meta')(x.to('meta')).shape
    assert shapes == layer(x).shape


def attention(**changes):
    torch.manual_seed(0)
    made = nn.MultiheadAttention(16, 4, **dict(dict(batch_first=True), **changes)).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


TOKENS = dict(
    same=lambda a, b, c: (a, a, a),
    views_of_the_same=lambda a, b, c: (a.view_as(a), a.view_as(a), a.view_as(a)),
    cross=lambda a, b, c: (a, b, b),
    all_different=lambda a, b, c: (a, b, c),
    shared_query_and_key=lambda a, b, c: (b, b, c),
)


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('batch_first', [True, False])
@pytest.mark.parametrize('tokens', TOKENS.values(), ids=TOKENS)
@torch.no_grad()
def test_attention_is_that_of_torch(tokens, batch_first, bias):
    plain = attention(batch_first=batch_first, bias=bias)
    other = PackedAttention(plain)
    generator = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(2, t, 16, generator=generator) for t in (5, 7, 7))
    given = tokens(a, b, c)
    if not batch_first:
        given = [one.transpose(0, 1) for one in given]
    for _ in range(2):
        found, weights = other(*given)
        assert weights is None
        torch.testing.assert_close(found, plain(*given)[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(copy.deepcopy(other)(*given)[0], found)


@torch.no_grad()
def test_changed_weights_of_attention_count():
    plain, x = attention(), torch.randn(2, 5, 16)
    other = PackedAttention(plain)
    other(x, x, x)
    plain.in_proj_weight.mul_(-1)
    plain.out_proj.weight.mul_(2)
    torch.testing.assert_close(other(x, x, x)[0], plain(x, x, x)[0], rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_masks_count():
    plain = attention()
    other, x = PackedAttention(plain), torch.randn(2, 5, 16)
    mask, keys = torch.ones(5, 5).triu(1).bool(), torch.tensor([[0, 0, 0, 1, 1], [0] * 5]).bool()
    for given in (dict(attn_mask=mask), dict(key_padding_mask=keys)):
        found, _ = other(x, x, x, **given)
        torch.testing.assert_close(found, plain(x, x, x, **given)[0])
        assert not torch.allclose(found, plain(x, x, x)[0])
    found, _ = other(x[0], x[0], x[0])
    torch.testing.assert_close(found, plain(x[0], x[0], x[0])[0])


def test_attention_of_other_kinds_is_left():
    assert PackedAttention.is_suited(attention())
    for changes in (dict(kdim=8), dict(add_bias_kv=True), dict(add_zero_attn=True)):
        assert not PackedAttention.is_suited(attention(**changes))
    assert not PackedAttention.is_suited(nn.Linear(2, 2))
