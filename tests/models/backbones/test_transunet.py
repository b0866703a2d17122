"""TransUNet: its parts restated in plain torch, its size by arithmetic, its loss by hand."""

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from scipy import ndimage

from mmseg_ext.models.backbones.transunet import (
    Bottleneck,
    HybridStem,
    StdConv2d,
    TransUNet,
    UpBlock,
)
from mmseg_ext.models.losses import soft_dice

TINY = dict(img_size=32, stem_width=32, stem_depths=(1, 1, 2), embed_dims=8, num_layers=1,
            num_heads=2, decoder_channels=(8, 8, 4, 4))  # fmt: skip


def _random(module):
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def _count(num_classes, *, tokens=196):
    """Parameters of R50-ViT-B_16, layer by layer."""

    def bottleneck(before, width, project):
        norms = 2 * (width + width + 4 * width)
        convs = before * width + 9 * width * width + width * 4 * width
        return convs + norms + project * (before * 4 * width + 2 * 4 * width)

    stem = 3 * 64 * 49 + 2 * 64
    for before, width, blocks in ((64, 64, 3), (256, 128, 4), (512, 256, 9)):
        stem += bottleneck(before, width, True) + (blocks - 1) * bottleneck(4 * width, width, False)
    layer = 4 * (768 * 768 + 768) + 768 * 3072 + 3072 + 3072 * 768 + 768 + 2 * 2 * 768
    encoder = stem + 1024 * 768 + 768 + tokens * 768 + 12 * layer + 2 * 768
    decoder = 9 * 768 * 512 + 2 * 512
    for before, skip, out in ((512, 512, 256), (256, 256, 128), (128, 64, 64), (64, 0, 16)):
        decoder += 9 * (before + skip) * out + 9 * out * out + 4 * out
    return encoder, encoder + decoder + 9 * 16 * num_classes + num_classes


@pytest.mark.parametrize('img_size, classes, expected', [
    (224, 9, 105_277_081), (224, 21, 105_278_821), (512, 21, 105_914_725)])  # fmt: skip
def test_parameter_count(img_size, classes, expected):
    head = dict(type='ConvSegHead', in_channels=16, num_classes=classes,
                loss_decode=dict(type='CrossEntropyLoss'))  # fmt: skip
    with torch.device('meta'):
        parts = [MODELS.build(dict(type='TransUNet', img_size=img_size)), MODELS.build(head)]
    found = sum(p.numel() for part in parts for p in part.parameters())
    assert found == expected == _count(classes, tokens=(img_size // 16) ** 2)[1]


@pytest.mark.oracle
def test_stem_and_transformer_have_timm_s_size():
    try:
        import timm
    except Exception as error:
        pytest.skip(f'timm: {error}')
    with torch.device('meta'):
        theirs = timm.create_model('vit_base_r50_s16_224', num_classes=0)
        ours = TransUNet()
    shapes = [tuple(p.shape) for n, p in theirs.named_parameters()
              if n not in ('cls_token', 'pos_embed')]  # fmt: skip
    mine = [tuple(p.shape) for n, p in ours.named_parameters()
            if not n.startswith(('enter', 'decoder', 'pos_embed'))]  # fmt: skip
    assert sorted(mine) == sorted(shapes) and len(mine) > 200
    assert tuple(theirs.pos_embed.shape) == (1, 1 + 14 * 14, 768)
    assert ours.pos_embed.shape == (1, 768, 14, 14)
    assert sum(p.numel() for p in theirs.parameters()) - 2 * 768 == _count(1)[0] == 97_888_576


@torch.no_grad()
def test_weights_are_standardised_for_each_output_channel():
    conv = StdConv2d(2, 3, 3, stride=2, padding=1)
    torch.nn.init.normal_(conv.weight, mean=5, std=2)
    x = torch.randn(1, 2, 6, 6)
    weight = torch.stack([(w - w.mean()) / (w.var(correction=0) + 1e-5).sqrt()
                          for w in conv.weight])  # fmt: skip
    expected = F.conv2d(x, weight, conv.bias, stride=2, padding=1)
    torch.testing.assert_close(conv(x), expected, rtol=1e-5, atol=1e-5)


def _conv_norm(x, conv, norm, groups, eps, *, stride=1):
    weight = conv.weight
    centred = weight - weight.mean((1, 2, 3), keepdim=True)
    weight = centred / (centred.square().mean((1, 2, 3), keepdim=True) + 1e-5).sqrt()
    x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
    N, C, H, W = x.shape
    x = x.view(N, groups, -1)
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + eps).sqrt()
    return x.view(N, C, H, W) * norm.weight[:, None, None] + norm.bias[:, None, None]


@pytest.mark.parametrize('stride, before', [(1, 128), (2, 128), (1, 64)])
@torch.no_grad()
def test_bottleneck_restated(stride, before):
    block = _random(Bottleneck(before, 32, stride=stride))
    x = torch.randn(2, before, 6, 8)
    y = _conv_norm(x, *block.reduce, 32, 1e-6).relu()
    y = _conv_norm(y, *block.conv, 32, 1e-6, stride=stride).relu()
    y = _conv_norm(y, *block.restore, 32, 1e-6)
    same = stride == 1 and before == 128
    residual = x if same else _conv_norm(x, *block.project, 128, 1e-5, stride=stride)
    torch.testing.assert_close(block(x), (residual + y).relu(), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_stem_fills_up_the_quarter_map_only_for_the_decoder():
    stem = _random(HybridStem(3, 32, (1, 1, 1)))
    image = torch.randn(1, 3, 32, 48)
    half, quarter, eighth, sixteenth = stem(image)
    assert [tuple(m.shape[1:]) for m in (half, quarter, eighth, sixteenth)] == [
        (32, 16, 24), (128, 8, 12), (256, 4, 6), (512, 2, 3)]  # fmt: skip
    assert quarter[..., -1, :].eq(0).all() and quarter[..., -1].eq(0).all()
    assert quarter[..., :-1, :-1].gt(0).any()
    short = stem.stages[0](F.max_pool2d(half, 3, 2))
    assert torch.equal(quarter[..., :-1, :-1], short)
    assert torch.equal(eighth, stem.stages[1](short))


@torch.no_grad()
def test_decoder_block_doubles_with_aligned_corners():
    block = UpBlock(3, 2)
    block.conv1 = block.conv2 = torch.nn.Identity()
    x = torch.tensor([0.0, 3.0]).expand(1, 1, 2, 2)
    out = block(x, torch.full((1, 1, 4, 4), 7.0))
    torch.testing.assert_close(out[0, 0], torch.tensor([0.0, 1, 2, 3]).expand(4, 4))
    assert out[0, 1].eq(7).all()


@torch.no_grad()
def test_transformer_restated():
    net = _random(TransUNet(**TINY))
    x = torch.randn(2, 512, 2, 2)  # the grid of 32 pixels: positions are not resized
    layer = net.layers[0]
    t = F.conv2d(x, net.patch_embed.weight, net.patch_embed.bias) + net.pos_embed
    t = t.flatten(2).transpose(1, 2)

    def norm(v, n):
        v = (v - v.mean(-1, keepdim=True)) / (v.var(-1, correction=0, keepdim=True) + 1e-6).sqrt()
        return v * n.weight + n.bias

    attention = layer.attn.attn
    qkv = norm(t, layer.ln1) @ attention.in_proj_weight.T + attention.in_proj_bias
    q, k, v = (part.view(2, 4, 2, 4).transpose(1, 2) for part in qkv.split(8, dim=-1))
    seen = ((q @ k.transpose(-1, -2)) / 2).softmax(-1) @ v  # heads of 4 channels
    t = t + attention.out_proj(seen.transpose(1, 2).reshape(2, 4, 8))
    (first, _, _), second = layer.ffn.layers[0], layer.ffn.layers[1]
    hidden = norm(t, layer.ln2) @ first.weight.T + first.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    t = norm(t + hidden @ second.weight.T + second.bias, net.norm)
    expected = t.transpose(1, 2).view(2, 8, 2, 2)
    torch.testing.assert_close(net.encode(x), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('side', [3, 5, 2])
def test_positions_are_resized_as_the_public_code_does(side):
    """By ``ndimage.zoom(order=1)``, when weights of another size are loaded, and on the way."""
    small = _random(TransUNet(**TINY))
    large = TransUNet(**{**TINY, 'img_size': 16 * side})
    grid = small.pos_embed[0].permute(1, 2, 0).numpy()
    zoom = side / len(grid)
    expected = torch.from_numpy(ndimage.zoom(grid, (zoom, zoom, 1), order=1)).permute(2, 0, 1)
    large.load_state_dict(small.state_dict())
    torch.testing.assert_close(large.pos_embed[0], expected, rtol=0, atol=1e-5)
    x = torch.randn(1, 512, side, side)
    torch.testing.assert_close(large.eval().encode(x), small.encode(x))


@torch.no_grad()
def test_positions_are_resized_for_other_sizes():
    net = _random(TransUNet(**TINY))
    x = torch.randn(1, 512, 3, 5)
    before = net.encode(x)
    net.pos_embed.copy_(net.pos_embed.mean((2, 3), keepdim=True).expand_as(net.pos_embed))
    constant = net.encode(x)
    assert not torch.allclose(before, constant)
    # constant positions are a bias of the embedding: order of tokens does not matter
    shuffled = net.encode(x.flip(3)).flip(3)
    torch.testing.assert_close(shuffled, constant, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_any_size_equals_the_padded_one_cut():
    net = _random(TransUNet(**TINY))
    image = torch.randn(1, 3, 33, 50)
    padded = torch.zeros(1, 3, 48, 64)
    padded[:, :, :33, :50] = image
    (out,) = net(image)
    assert out.shape == (1, 4, 33, 50)
    assert torch.equal(out, net(padded)[0][:, :, :33, :50])


def test_every_parameter_learns():
    torch.manual_seed(0)
    net = TransUNet(**TINY)
    net.init_weights()
    assert net.pos_embed.std() > 0.01
    net.train()(torch.randn(2, 3, 32, 32))[0].square().mean().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('settings, words', [
    (dict(TINY, img_size=40), 'multiple of 16, got 40'),
    (dict(TINY, decoder_channels=(8, 8, 4)), r'one width more than stem_depths \(3\)'),
])  # fmt: skip
def test_sizes_must_fit(settings, words):
    with pytest.raises(ValueError, match=words):
        TransUNet(**settings)


def test_squared_dice_by_hand():
    """Two pixels, two classes; probabilities of the first class 0.8 and 0.4, label 0 and 1."""
    logits = torch.log(torch.tensor([[[[0.8, 0.4]], [[0.2, 0.6]]]]))
    label = torch.tensor([[[0, 1]]])
    first = 2 * 0.8 / (1 + 0.8**2 + 0.4**2)
    second = 2 * 0.6 / (1 + 0.2**2 + 0.6**2)
    expected = 1 - (first + second) / 2
    got = soft_dice.soft_dice_loss(logits, label, smooth=0.0, squared=True)
    assert got.item() == pytest.approx(expected, abs=1e-6)
    loss = MODELS.build(dict(type='SoftDiceLoss', squared=True, smooth=0.0, loss_weight=0.5))
    assert loss(logits, label).item() == pytest.approx(expected / 2, abs=1e-6)


@pytest.mark.oracle
@pytest.mark.parametrize('dynamo', [False, True])
def test_onnx_export(dynamo, onnx_export):
    class First(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = _random(TransUNet(**TINY))
            for norm in self.net.modules():  # random running statistics make values explode
                if isinstance(norm, torch.nn.BatchNorm2d):
                    torch.nn.init.ones_(norm.weight)

        def forward(self, x):
            return self.net(x)[0]

    onnx_export(First().eval(), torch.randn(1, 3, 33, 50), dynamo=dynamo)
