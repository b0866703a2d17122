"""Swin-UNet: its encoder against mmseg's Swin, its skips, any image size, its own size."""

import pytest
import torch
from mmseg.models.backbones.swin import SwinTransformer
from mmseg.registry import MODELS

from mmseg_ext.models.backbones.swin_unet import SwinUNet
from mmseg_ext.models.layers.padding import pad_to_multiple

TINY = dict(embed_dims=8, num_heads=(1, 2, 2, 4), window_size=2)


def _random(module):
    """Random values for every parameter, small enough for a softmax that is not one-hot."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    module.eval()  # mmseg's Swin returns nothing here
    return module


@pytest.mark.parametrize('depths, window, expected', [
    ((2, 2, 2, 2), 7, 27_170_052),
    ((2, 2, 2, 2), 8, 27_177_444),
    ((2, 2, 6, 2), 7, 41_381_988),
    ((2, 2, 6, 2), 8, 41_394_756),
])  # fmt: skip
def test_parameter_counts_of_the_public_network(depths, window, expected):
    head = dict(type='ConvSegHead', in_channels=96, kernel_size=1, bias=False, num_classes=21,
                loss_decode=dict(type='CrossEntropyLoss'))  # fmt: skip
    with torch.device('meta'):
        parts = [MODELS.build(dict(type='SwinUNet', depths=depths, window_size=window)),
                 MODELS.build(head)]  # fmt: skip
    assert sum(p.numel() for part in parts for p in part.parameters()) == expected


@torch.no_grad()
def test_encoder_is_mmseg_s_swin_where_that_needs_no_padding():
    theirs = _random(SwinTransformer(
        embed_dims=8, depths=(2, 2, 2, 2), num_heads=(1, 2, 2, 4), window_size=2,
        out_indices=(0, 1, 2)))  # fmt: skip
    ours = SwinUNet(**TINY).eval()
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert {n.split('.')[0] for n in missing} == {
        'norm', 'expand', 'up_stages', 'norm_up', 'final_expand'}  # fmt: skip
    assert {n.split('.')[0] for n in unexpected} == {'norm0', 'norm1', 'norm2'}
    after_blocks = []
    for stage in ours.stages:
        stage.blocks.register_forward_hook(lambda m, i, out: after_blocks.append(out))
    image = torch.randn(1, 3, 64, 96)
    ours(image)
    expected = theirs(image)
    assert len(expected) == 3
    for index, (mine, other) in enumerate(zip(after_blocks, expected)):
        mine = getattr(theirs, f'norm{index}')(mine).permute(0, 3, 1, 2)
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_skips_are_taken_before_a_stage_s_blocks():
    net = _random(SwinUNet(**TINY))
    image = torch.randn(1, 3, 32, 64)
    last = net.up_stages[-1].fuse.weight
    last[:, :8] = 0  # of the joined map, keep what came from the encoder's first stage
    before = net(image)[0]
    for parameter in net.stages[0].blocks.parameters():
        parameter.mul_(1.5)
    assert torch.equal(net(image)[0], before)
    last[:, :8] = 0.3
    changed = net(image)[0]
    for parameter in net.stages[0].blocks.parameters():
        parameter.mul_(1.5)
    assert not torch.allclose(net(image)[0], changed)


@torch.no_grad()
def test_any_size_equals_the_padded_one_cut():
    net = _random(SwinUNet(**TINY))
    image = torch.randn(1, 3, 33, 50)
    padded = torch.zeros(1, 3, 64, 64)
    padded[:, :, :33, :50] = image
    (out,) = net(image)
    assert out.shape == (1, 8, 33, 50)
    assert torch.equal(out, net(padded)[0][:, :, :33, :50])
    assert pad_to_multiple(padded, 32) is padded


def test_every_parameter_learns_and_starts_as_the_paper_s():
    torch.manual_seed(0)
    net = SwinUNet(**TINY)
    net.init_weights()
    tables = [p for n, p in net.named_parameters() if 'relative_position' in n]
    assert len(tables) == 14 and all(t.abs().max() > 0 for t in tables)
    # Few values each: all linear layers together have the deviation of the paper.
    linear = torch.cat([m.weight.flatten() for m in net.modules()
                        if isinstance(m, torch.nn.Linear)])  # fmt: skip
    assert abs(linear.std().item() - 0.02) < 1e-3
    net.train()(torch.randn(2, 3, 64, 64))[0].square().mean().backward()
    dead = [n for n, p in net.named_parameters() if p.grad is None]
    assert dead == []


def test_stochastic_depth_grows_linearly_and_is_mirrored():
    net = SwinUNet(drop_path_rate=0.7, depths=(2, 2, 2, 2), **TINY)
    rates = [[b.drop_path.drop_prob for b in s.blocks] for s in net.stages]
    assert sum(rates, []) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert [[b.drop_path.drop_prob for b in s.blocks] for s in net.up_stages] == rates[2::-1]
    assert all(b.ffn.dropout_layer.drop_prob == b.drop_path.drop_prob
               for s in net.stages for b in s.blocks)  # fmt: skip


@pytest.mark.parametrize('settings', [dict(num_heads=(1, 2, 4)), dict(num_heads=(3, 1, 1, 1))])
def test_heads_must_fit(settings):
    with pytest.raises(ValueError, match=r'one divisor of each width \[8, 16, 32, 64\]'):
        SwinUNet(embed_dims=8, **settings)


@pytest.mark.oracle
@pytest.mark.parametrize('dynamo', [False, True])
def test_onnx_export(dynamo, onnx_export):
    class First(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = _random(SwinUNet(**TINY))

        def forward(self, x):
            return self.net(x)[0]

    onnx_export(First().eval(), torch.randn(1, 3, 33, 50), dynamo=dynamo)
