"""UNet 3+: full-scale skips by hand, its size, any image size, the losses of deep supervision."""

import math

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_ext.models.backbones.unet3plus import FullScaleStage, UNet3Plus, rescale

TINY = dict(widths=(4, 6, 8), skip_channels=2)


def _random(module):
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def test_parameters_layer_by_layer():
    """26,971,777 is what the public code has with one class."""
    widths = (64, 128, 256, 512, 1024)
    conv = lambda before, after: 9 * before * after + 3 * after  # noqa: E731  with bias and norm
    total = 0
    for before, width in zip((3, *widths), widths):
        total += conv(before, width) + conv(width, width)
    for level in range(4):
        total += sum(conv(width, 64) for width in widths[: level + 1])
        total += conv(320, 64) * (3 - level) + conv(1024, 64) + conv(320, 320)
    with torch.device('meta'):
        net = UNet3Plus()
    assert sum(p.numel() for p in net.parameters()) == total == 26_971_777 - (9 * 320 + 1)


def test_finer_maps_become_maxima_of_their_blocks():
    x = torch.arange(20.0).view(1, 1, 4, 5)
    assert rescale(x, -1, (2, 3)).tolist() == [[[[6, 8, 9], [16, 18, 19]]]]
    assert rescale(x, -2, (1, 2)).tolist() == [[[[18, 19]]]]
    assert torch.equal(rescale(x, 0, (4, 5)), x)


def test_coarser_maps_are_enlarged_between_centres_of_pixels_and_cut():
    x = torch.tensor([[0.0, 4.0]]).view(1, 1, 1, 2)
    assert rescale(x, 1, (1, 4)).tolist() == [[[[0, 1, 3, 4]]]]
    assert rescale(x, 1, (2, 3)).tolist() == [[[[0, 1, 3]] * 2]]
    assert rescale(x, 2, (1, 8)).tolist() == [[[[0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4]]]]


@torch.no_grad()
def test_a_stage_mixes_all_maps_from_fine_to_coarse():
    stage = FullScaleStage([1, 1, 1], level=1, width=1)
    for skip in [*stage.skips, stage.mix]:
        skip[0][1] = torch.nn.Identity()  # the norm
        skip[0][0].weight.zero_(), skip[0][0].bias.zero_()
    for factor, skip in enumerate(stage.skips, 1):
        skip[0][0].weight[0, 0, 1, 1] = factor
    for index in range(3):
        stage.mix[0][0].weight[index, index, 1, 1] = 1
    fine = torch.arange(16.0).view(1, 1, 4, 4)
    own = torch.tensor([[1.0, -2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    coarse = torch.full((1, 1, 1, 1), 7.0)
    out = stage([fine, own, coarse])[0]
    assert out.tolist() == [[[5, 7], [13, 15]], [[2, 0], [6, 8]], [[21, 21], [21, 21]]]


@torch.no_grad()
@pytest.mark.parametrize('size', [(16, 16), (17, 30), (1, 5)])
def test_any_size(size):
    maps = _random(UNet3Plus(**TINY))(torch.randn(1, 3, *size))
    sides = [[math.ceil(side / stride) for side in size] for stride in (4, 2, 1)]
    assert [tuple(x.shape) for x in maps] == [
        (1, width, *side) for width, side in zip((8, 6, 6), sides)
    ]


@torch.no_grad()
def test_deeper_stages_feed_finer_ones_with_what_they_have_decoded():
    """The finest stage reads the second stage's decoded map, not the encoder's."""
    net = _random(UNet3Plus(**TINY))
    x = torch.randn(1, 3, 16, 16)
    net.up[0].mix[0][0].weight.zero_(), net.up[0].mix[0][0].bias.zero_()
    net.up[0].mix[0][1].bias.fill_(-1.0)  # the second stage decodes zeros
    seen = []
    net.up[1].skips[1].register_forward_hook(lambda m, given, out: seen.append(given[0]))
    middle = net(x)[1]
    assert middle.eq(0).all() and len(seen) == 1 and seen[0].eq(0).all()
    assert seen[0].shape == (1, 6, 16, 16)


@pytest.mark.parametrize('channels', [1, 4, 5])
def test_other_channels(channels):
    net = MODELS.build(
        dict(type='AnyChannels', backbone='UNet3Plus', image_channels=channels, **TINY)
    )
    assert net(torch.randn(1, channels, 9, 8))[-1].shape == (1, 6, 9, 8)


def _segmentor():
    loss = dict(type='CrossEntropyLoss', avg_non_ignore=True)
    head = dict(type='ConvSegHead', num_classes=3, loss_decode=loss)
    return MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=dict(type='UNet3Plus', **TINY),
            decode_head=dict(head, in_channels=6),
            auxiliary_head=[
                dict(head, in_channels=8, in_index=0),
                dict(head, in_channels=6, in_index=1),
            ],
        )
    )


def _losses(net):
    sample = SegDataSample()
    label = torch.tensor([[2, 2, 2, 0], [255, 255, 255, 255]]).repeat(5, 3)
    sample.gt_sem_seg = PixelData(data=label[None])
    return net(torch.randn(2, 3, *label.shape), [sample, sample], mode='loss')


def test_deep_supervision_by_hand():
    """Classifiers that see nothing have logits 0, 0, log a: cross entropy log(2 + a) or less log a.

    Three quarters of the labelled pixels have class 2; ignored ones do not count.
    """
    net = _segmentor()
    heads = dict(decode=net.decode_head, aux_0=net.auxiliary_head[0], aux_1=net.auxiliary_head[1])
    factors = dict(decode=2.0, aux_0=3.0, aux_1=5.0)
    for name, head in heads.items():
        torch.nn.init.zeros_(head.conv_seg.weight)
        head.conv_seg.bias.data = torch.tensor([0.0, 0.0, math.log(factors[name])])
    losses = _losses(net)
    for name, a in factors.items():
        expected = math.log(2 + a) - 0.75 * math.log(a)
        assert losses[f'{name}.loss_ce'].item() == pytest.approx(expected, rel=1e-5)
    total, _ = net.parse_losses(losses)
    assert total.item() == pytest.approx(
        sum(math.log(2 + a) - 0.75 * math.log(a) for a in factors.values()), rel=1e-5
    )


def test_every_parameter_learns_at_an_odd_size_and_starts_as_in_the_public_code():
    torch.manual_seed(0)
    net = _segmentor()
    net.init_weights()
    wide = UNet3Plus(widths=(32, 64))
    wide.init_weights()
    conv, norm = (
        wide.down[1][1][0],
        [m for m in wide.modules() if isinstance(m, torch.nn.BatchNorm2d)],
    )
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.03)
    scales = torch.cat([m.weight for m in norm])
    assert scales.mean().item() == pytest.approx(1, abs=0.01)
    assert scales.std().item() == pytest.approx(0.02, rel=0.15)
    net.parse_losses(_losses(net))[0].backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []
    weights = {n: p for n, p in net.named_parameters() if p.dim() == 4}
    assert len(weights) == 6 + 6 + 2 + 3
    assert [n for n, p in weights.items() if not p.grad.abs().max() > 0] == []


def test_two_stages_are_needed():
    with pytest.raises(ValueError, match=r'widths needs two stages or more, got \[8\]'):
        UNet3Plus(widths=(8,))


@pytest.mark.oracle
@pytest.mark.parametrize('dynamo', [False, True])
def test_onnx_export(dynamo, onnx_export):
    class Last(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = _random(UNet3Plus(**TINY))

        def forward(self, x):
            return self.net(x)[-1]

    onnx_export(Last().eval(), torch.randn(1, 3, 18, 23), dynamo=dynamo)
