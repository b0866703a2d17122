"""TransDeepLab: its size, its encoder against mmseg's Swin, its pyramid by hand, any image size."""

import pytest
import torch
from mmseg.models.backbones.swin import SwinTransformer
from mmseg.registry import MODELS

from mmseg_ext.models.backbones.transdeeplab import SwinSpatialPyramid, TransDeepLab

TINY = dict(
    embed_dims=8,
    depths=(1, 1, 2),
    num_heads=(1, 2, 2),
    window_size=2,
    pyramid_windows=(1, 2, 3),
    decoder_depth=1,
    last_depth=2,
    decoder_heads=2,
)


def _random(module):
    """Random values for every parameter, small enough for a softmax that is not one-hot."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    module.eval()  # mmseg's Swin returns nothing here
    return module


@pytest.mark.parametrize('windows, expected', [
    ((14,), 17_483_142),
    ((7, 14), 21_143_676),
    ((2, 7, 14), 24_852_402),
    ((1, 2, 7, 14), 28_610_232),
])  # fmt: skip
def test_parameter_counts_of_the_public_network(windows, expected):
    """Of its four configurations, with 9 classes; in millions they are in its README."""
    with torch.device('meta'):
        net = TransDeepLab(pyramid_windows=windows)
    assert sum(p.numel() for p in net.parameters()) + 192 * 9 == expected


@torch.no_grad()
def test_encoder_is_mmseg_s_swin_where_that_needs_no_padding():
    theirs = _random(SwinTransformer(
        embed_dims=8, depths=(1, 1, 2, 2), num_heads=(1, 2, 2, 4), window_size=2,
        out_indices=(0, 2)))  # fmt: skip
    ours = TransDeepLab(**TINY).eval()
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert {n.split('.')[0] for n in missing} == {
        'norm_low', 'pyramid', 'up_stages', 'last_stage', 'norm_up', 'final_expand'
    }  # fmt: skip
    assert {n.rsplit('.', 1)[0] for n in unexpected if not n.startswith('stages.3')} == {
        'norm0', 'norm2', 'stages.2.downsample.norm', 'stages.2.downsample.reduction'
    }  # fmt: skip
    after_blocks = []
    for stage in ours.stages:
        stage.blocks.register_forward_hook(lambda m, i, out: after_blocks.append(out))
    image = torch.randn(1, 3, 64, 96)
    ours(image)
    assert len(after_blocks) == 3
    for mine, expected, norm in zip(after_blocks[::2], theirs(image), (theirs.norm0, theirs.norm2)):
        mine = norm(mine).permute(0, 3, 1, 2)
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_pyramid_gates_channels_then_pixels_and_adds_them():
    """Blocks that do nothing leave the map; the rest is done pixel by pixel in plain Python."""
    net = _random(SwinSpatialPyramid(
        12, 3, windows=(2, 3), depth=2, num_heads=2, drop_path=0.0, dropout=0.5))  # fmt: skip
    assert [len(branch) for branch in net.branches] == [2, 1]
    assert [branch[0].attn.window for branch in net.branches] == [2, 3]
    for branch in net.branches:
        for block in branch:
            for layer in (block.attn.w_msa.proj, block.ffn.layers[1]):
                layer.weight.zero_(), layer.bias.zero_()
    x = torch.randn(1, 3, 4, 12)
    both = torch.cat([x, x], -1)
    first, second = (net.attn.mlp[i].weight[:, :, 0, 0] for i in (0, 2))
    pooled = (both.mean((0, 1, 2)), both.amax((0, 1, 2)))
    gate = torch.sigmoid(sum(second @ (first @ values).relu() for values in pooled))
    mean_weight, peak_weight = net.attn.spatial.weight.flatten()
    out = torch.empty(1, 3, 4, 3)
    for row in range(3):
        for column in range(4):
            y = both[0, row, column] * gate
            score = mean_weight * y.mean() + peak_weight * y.max() + net.attn.spatial.bias
            y = both[0, row, column] + y * torch.sigmoid(score)
            out[0, row, column] = (net.proj.weight @ y + net.proj.bias).relu()
    assert first.shape == (2, 24) and 0.1 < out.gt(0).float().mean() < 0.9
    torch.testing.assert_close(net(x), out)


@torch.no_grad()
def test_the_skip_is_the_first_stage_behind_its_blocks():
    net = _random(TransDeepLab(**TINY))
    net.norm_low.weight.fill_(1.0), net.norm_low.bias.zero_()
    seen = []
    net.stages[0].blocks.register_forward_hook(lambda m, given, out: seen.append(out))
    net.last_stage.register_forward_hook(lambda m, given, out: seen.append(given[0]))
    net(torch.randn(1, 3, 16, 32))
    first, joined = seen
    assert joined.shape == (1, 4, 8, 16)
    expected = torch.nn.functional.layer_norm(first, (8,))
    torch.testing.assert_close(joined[..., :8], expected)


@torch.no_grad()
def test_any_size_equals_the_padded_one_cut():
    net = _random(TransDeepLab(**TINY))
    image = torch.randn(1, 3, 17, 50)
    padded = torch.zeros(1, 3, 32, 64)
    padded[:, :, :17, :50] = image
    (out,) = net(image)
    assert out.shape == (1, 16, 17, 50)
    assert torch.equal(out, net(padded)[0][:, :, :17, :50])


@pytest.mark.parametrize('channels', [1, 4, 5])
def test_other_channels(channels):
    net = MODELS.build(
        dict(type='AnyChannels', backbone='TransDeepLab', image_channels=channels, **TINY)
    )
    assert net(torch.randn(1, channels, 9, 8))[0].shape == (1, 16, 9, 8)


def test_every_parameter_learns():
    torch.manual_seed(0)
    net = TransDeepLab(**TINY)
    net.init_weights()
    tables = [p for n, p in net.named_parameters() if 'relative_position' in n]
    assert len(tables) == 4 + (2 + 2 + 1) + 2 + 2 and all(t.abs().max() > 0 for t in tables)
    net.train()(torch.randn(2, 3, 48, 48))[0].square().mean().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []
    still = [n for n, p in net.named_parameters() if not p.grad.abs().max() > 0]
    # a window of one pixel has nothing to weigh, and a key's bias is the same for all
    assert all(n.startswith('pyramid.branches.0') and 'position' in n for n in still)


def test_stochastic_depth():
    """Linear in the encoder; one rate in the pyramid and the decoder, none in its last stage."""
    net = TransDeepLab(drop_path_rate=0.3, **TINY)
    rates = [b.drop_path.drop_prob for s in net.stages for b in s.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])
    for blocks, rate in ((net.pyramid.branches[0], 0.3), (net.up_stages[0][0], 0.3),
                         (net.last_stage[0], 0.0)):  # fmt: skip
        assert [b.drop_path.drop_prob for b in blocks] == [rate] * len(blocks) != []
    assert net.pyramid.dropout.p == 0.1


@pytest.mark.parametrize('settings, message', [
    (dict(num_heads=(1, 2)), r'one divisor of each width \[8, 16, 32\]'),
    (dict(num_heads=(3, 1, 1)), r'one divisor of each width \[8, 16, 32\]'),
    (dict(decoder_heads=3), 'decoder_heads must divide embed_dims 8, got 3'),
    (dict(pyramid_windows=(7, 7)), r'pyramid_windows needs different sides, got \[7, 7\]'),
    (dict(pyramid_windows=()), r'pyramid_windows needs different sides, got \[\]'),
])  # fmt: skip
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        TransDeepLab(**{**TINY, **settings})


@pytest.mark.oracle
@pytest.mark.parametrize('dynamo', [False, True])
def test_onnx_export(dynamo, onnx_export):
    class First(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = _random(TransDeepLab(**TINY))

        def forward(self, x):
            return self.net(x)[0]

    onnx_export(First().eval(), torch.randn(1, 3, 33, 50), dynamo=dynamo)
