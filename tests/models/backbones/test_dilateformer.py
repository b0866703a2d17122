"""DilateFormer: dilated attention by loops over pixels, its size, any image size and channels."""

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_ext.models.backbones.dilateformer import (
    DilateFormer,
    GlobalAttention,
    MultiScaleDilatedAttention,
    sliding_attention,
)

TINY = dict(arch=dict(embed_dims=12, depths=(1, 2, 1, 1)), num_heads=(3, 3, 2, 2))


def _random(module):
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def _count(width, depths):
    """Parameters, layer by layer, with the classifier of 1000 classes and one norm."""
    total = 27 * 16 + 9 * (16 * 32 + 32 * 64 + 64 * width) + 2 * (16 + 32 + 64)
    for stage, depth in enumerate(depths):
        c = width * 2**stage
        attention = 3 * c * c + 3 * c + c * c + c
        total += depth * (9 * c + c + 4 * c + attention + 8 * c * c + 5 * c)
        total += (18 * c * c + 2 * c + 4 * c) * (stage < 3)
    return total + 2 * 8 * width + 1000 * (8 * width + 1)


@pytest.mark.parametrize('arch, width, depths, public', [
    ('tiny', 72, (2, 2, 6, 2), 17_238_744),
    ('small', 72, (3, 5, 8, 3), 24_057_504),
    ('base', 96, (4, 8, 10, 3), 47_432_376),
])  # fmt: skip
def test_parameters_of_the_public_classifiers(arch, width, depths, public):
    """The integers are what the public code has, its classifier included."""
    with torch.device('meta'):
        ours = sum(p.numel() for p in DilateFormer(arch).parameters())
    further_norms = 2 * (1 + 2 + 4) * width
    assert ours - further_norms + 1000 * (8 * width + 1) == public == _count(width, depths)


def _by_loops(query, key, value, kernel_size, dilation):
    """One pixel and one head at a time; a neighbour outside has a score of 0 and adds nothing."""
    N, A, D, H, W = query.shape
    reach = [dilation * (i - kernel_size // 2) for i in range(kernel_size)]
    out = torch.zeros_like(query)
    for n in range(N):
        for a in range(A):
            for row in range(H):
                for column in range(W):
                    near = [(row + r, column + c) for r in reach for c in reach]
                    inside = [0 <= r < H and 0 <= c < W for r, c in near]
                    score = torch.stack([
                        query[n, a, :, row, column] @ key[n, a, :, r, c] / D**0.5
                        if ok else torch.zeros(()) for ok, (r, c) in zip(inside, near)
                    ])  # fmt: skip
                    weight = score.softmax(0)
                    for w, ok, (r, c) in zip(weight, inside, near):
                        if ok:
                            out[n, a, :, row, column] += w * value[n, a, :, r, c]
    return out


@pytest.mark.parametrize('kernel_size, dilation', [(3, 1), (3, 2), (3, 3), (5, 1)])
def test_sliding_attention_by_loops(kernel_size, dilation):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 3, 4, 5)
    out = sliding_attention(query, key, value, kernel_size=kernel_size, dilation=dilation)
    torch.testing.assert_close(out, _by_loops(query, key, value, kernel_size, dilation))


@torch.no_grad()
def test_each_group_of_heads_has_a_dilation():
    """The first third of the channels of query, key and value belongs to the first dilation."""
    layer = _random(MultiScaleDilatedAttention(12, num_heads=6, kernel_size=3, dilations=(1, 2, 4)))
    x = torch.randn(1, 4, 5, 12)
    weight, bias = layer.qkv.weight[:, :, 0, 0], layer.qkv.bias
    query, key, value = ((x @ w.T + b).permute(0, 3, 1, 2) for w, b in
                         zip(weight.split(12), bias.split(12)))  # fmt: skip
    parts = []
    for index, dilation in enumerate((1, 2, 4)):
        own = [m[:, 4 * index : 4 * index + 4].view(1, 2, 2, 4, 5) for m in (query, key, value)]
        parts.append(_by_loops(*own, 3, dilation).view(1, 4, 4, 5))
    mixed = torch.cat(parts, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(layer(x), mixed @ layer.proj.weight.T + layer.proj.bias)


@torch.no_grad()
def test_global_attention_by_loops():
    layer = _random(GlobalAttention(4, num_heads=2))
    x = torch.randn(1, 2, 3, 4)
    query, key, value = (x.view(6, 4) @ layer.qkv.weight.T + layer.qkv.bias).split(4, 1)
    out = torch.zeros(6, 4)
    for head in (slice(0, 2), slice(2, 4)):
        for pixel in range(6):
            score = key[:, head] @ query[pixel, head] / 2**0.5
            out[pixel, head] = score.softmax(0) @ value[:, head]
    out = out @ layer.proj.weight.T + layer.proj.bias
    torch.testing.assert_close(layer(x), out.view(1, 2, 3, 4))


@torch.no_grad()
@pytest.mark.parametrize('size', [(32, 32), (33, 50), (3, 70)])
def test_any_size(size):
    maps = _random(DilateFormer(**TINY))(torch.randn(1, 3, *size))
    widths, strides = (12, 24, 48, 96), (4, 8, 16, 32)
    expected = [(1, c, *(-(-n // s) for n in size)) for c, s in zip(widths, strides)]
    assert [tuple(x.shape) for x in maps] == expected


@torch.no_grad()
def test_maps_of_some_stages_are_those_of_all():
    net = _random(DilateFormer(**TINY))
    some = DilateFormer(**TINY, out_indices=(1, 3)).eval()
    left = some.load_state_dict(net.state_dict(), strict=False)
    assert left.missing_keys == [] and len(left.unexpected_keys) == 4
    image = torch.randn(1, 3, 40, 32)
    for mine, index in zip(some(image), (1, 3), strict=True):
        assert torch.equal(mine, net(image)[index])


@pytest.mark.parametrize('channels', [1, 4, 5])
def test_other_channels(channels):
    net = MODELS.build(
        dict(type='AnyChannels', backbone='DilateFormer', image_channels=channels, **TINY)
    )
    assert net(torch.randn(2, channels, 32, 32))[0].shape == (2, 12, 8, 8)


def test_every_parameter_learns_and_starts_as_the_paper_s():
    torch.manual_seed(0)
    net = DilateFormer(**TINY)
    net.init_weights()
    linear = torch.cat([m.weight.flatten() for m in net.modules()
                        if isinstance(m, torch.nn.Linear)])  # fmt: skip
    assert abs(linear.std().item() - 0.02) < 1e-3
    # a layer norm's output squared has a fixed mean, so that only its cube tells the weights apart
    sum(x.pow(3).mean() for x in net.train()(torch.randn(2, 3, 64, 64))).backward()
    dead = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert dead == []


def test_stochastic_depth_grows_linearly():
    net = DilateFormer(**TINY, drop_path_rate=0.4)
    rates = [block.drop_path.drop_prob for stage in net.stages for block in stage]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert rates == [b.ffn.dropout_layer.drop_prob for stage in net.stages for b in stage]


@pytest.mark.parametrize('settings, message', [
    (dict(arch='large'), r"arch .*'large'"),
    (dict(num_heads=(3, 6, 12)), r'one divisor of each width \[72, 144, 288, 576\]'),
    (dict(num_heads=(3, 6, 12, 25)), 'one divisor'),
    (dict(dilations=(1, 2)), r'\[3, 6\] of the first stages cannot be shared equally by 2'),
    (dict(kernel_size=4), 'kernel_size must be odd, got 4'),
])  # fmt: skip
def test_arguments_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        DilateFormer(**settings)


@pytest.mark.oracle
@pytest.mark.parametrize('dynamo', [False, True])
def test_onnx_export(dynamo, onnx_export):
    class Last(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = _random(DilateFormer(**TINY))

        def forward(self, x):
            return self.net(x)[-1]

    onnx_export(Last().eval(), torch.randn(1, 3, 33, 50), dynamo=dynamo)
