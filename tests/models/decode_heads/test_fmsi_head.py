"""FMSI's modules against their equations, and the integers of Tables 2 and 3."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS

import mmseg_ext  # noqa: F401
from mmseg_ext.models.decode_heads import (
    GGCA,
    MSEA,
    DeepLabV3PlusHead,
    DeformASPP,
    FMSIHead,
    InterestFlow,
    MFPHead,
)
from mmseg_ext.models.layers.aspp import ASPP, ImagePooling

BACKBONE = 37_867_312
D3, D5 = dict(type='DeformASPP', rates=(6, 12, 18)), dict(type='DeformASPP')
G5 = dict(type='DeformASPP', attention=dict(type='GGCA'))
M = dict(type='MSEA')


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def _count(module):
    return sum(p.numel() for p in module.parameters())


def _head(type='FMSIHead', in_channels=(256, 728, 2048), num_classes=21, **kwargs):
    return MODELS.build(
        dict(type=type, in_channels=in_channels, in_index=(0, 1, 2), num_classes=num_classes,
             **kwargs))  # fmt: skip


@pytest.mark.parametrize(
    'expected, kwargs',
    [
        (54_713_557, dict(type='DeepLabV3PlusHead')),
        (55_117_579, dict(context=D3)),
        (65_350_447, dict(context=D5)),
        (66_062_127, dict(context=D5, flow={})),
        (66_062_715, dict(context=G5, flow={})),
        (66_290_397, dict(context=G5, flow={}, attention=M)),
        (55_708_171, dict(context=dict(D3, with_1x1=True))),
        (65_941_039, dict(context=dict(D5, with_1x1=True))),
        (45_879_087, dict(context=dict(D5, pre_conv=256))),
        # the control that the paper lacks, and the variants of the full model
        (63_692_757, dict(context=dict(type='ASPP', rates=(6, 8, 12, 18, 24), with_1x1=False))),
        (66_308_697, dict(context=dict(G5, attention_on='concat'), flow={}, attention=M)),
        (66_880_989, dict(context=dict(G5, with_1x1=True), flow={}, attention=M)),
        (67_119_882, dict(context=dict(G5, modulated=True), flow={}, attention=M)),
        (46_819_037, dict(context=dict(G5, pre_conv=256), flow={}, attention=M)),
        (66_487_517, dict(context=G5, flow={}, attention=dict(M, fusion='concat'))),
        (66_356_445, dict(context=G5, flow=dict(entry_lateral=True), attention=M)),
        (66_880_733, dict(context=G5, flow=dict(smooth=True), attention=M)),
    ],
)
def test_parameter_integers(expected, kwargs):
    with torch.device('meta'):
        head = _head(**kwargs)
    assert BACKBONE + _count(head) == expected


def test_parameter_integers_of_the_parts():
    assert _count(GGCA(256)) == 588
    assert _count(MSEA(256)) == 227_682
    assert _count(InterestFlow((256, 728, 2048))) == 711_680
    with torch.device('meta'):
        assert _count(ASPP(2048)) == 15_536_640
        assert _count(DeformASPP(2048, rates=(6, 12, 18))) == 15_940_662
        assert _count(DeformASPP(2048)) == 26_173_530


def test_ggca_equals_a_loop_over_groups_rows_and_columns():
    torch.manual_seed(0)
    module = GGCA(16, groups=4, reduction=2).eval()
    module.shared[1].running_mean.normal_()
    module.shared[1].running_var.uniform_(0.5, 2)
    x = torch.randn(2, 16, 5, 7)
    w1, b1 = module.shared[0].weight[:, :, 0, 0], module.shared[0].bias
    w2, b2 = module.shared[3].weight[:, :, 0, 0], module.shared[3].bias
    norm = module.shared[1]

    def squeeze(v):  # one group's channel vector through the shared convolutions
        h = w1 @ v + b1
        h = (h - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
        return w2 @ (h * norm.weight + norm.bias).relu() + b2

    expected = torch.empty_like(x)
    with torch.no_grad():
        for n in range(2):
            for g in range(4):
                part = x[n, 4 * g : 4 * g + 4]
                rows = [torch.sigmoid(squeeze(part[:, h].mean(1)) + squeeze(part[:, h].amax(1)))
                        for h in range(5)]  # fmt: skip
                cols = [torch.sigmoid(squeeze(part[..., w].mean(1)) + squeeze(part[..., w].amax(1)))
                        for w in range(7)]  # fmt: skip
                for h in range(5):
                    for w in range(7):
                        expected[n, 4 * g : 4 * g + 4, h, w] = part[:, h, w] * rows[h] * cols[w]
        ours = module(x)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
    assert (ours.abs() <= x.abs()).all()  # two sigmoid gates never enlarge


def _separable(x, stage, k):
    y = F.conv2d(x, stage[0].weight, padding=k // 2, groups=x.shape[1])
    y = F.conv2d(y, stage[1].weight)
    norm = stage[2]
    y = (y - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
    return (y * norm.weight[:, None, None] + norm.bias[:, None, None]).clamp(min=0)


@pytest.mark.parametrize('weight', ['input', 'multiscale'])
def test_msea_equals_its_equations_in_numpy(weight):
    torch.manual_seed(0)
    module = MSEA(32, weight=weight).eval()
    x = torch.randn(2, 32, 9, 6)
    with torch.no_grad():
        mixed = sum(_separable(x, s, k) for s, k in zip(module.scales, (3, 5, 7), strict=True))
        m = mixed.numpy().astype(np.float64)
        w1 = module.channel_mlp[0].weight[:, :, 0, 0].numpy()
        w2 = module.channel_mlp[2].weight[:, :, 0, 0].numpy()
        vectors = [m.mean((2, 3)), m.max((2, 3))]
        c = sum(np.maximum(v @ w1.T, 0) @ w2.T for v in vectors)
        c_a = 1 / (1 + np.exp(-c))
        pooled = np.pad(np.stack([m.mean(1), m.max(1)], 1), ((0, 0), (0, 0), (3, 3), (3, 3)))
        kernel = module.spatial.weight.numpy()[0]
        s = np.empty((2, 9, 6))
        for n, i, j in np.ndindex(2, 9, 6):
            s[n, i, j] = (pooled[n, :, i : i + 7, j : j + 7] * kernel).sum()
        s_a = 1 / (1 + np.exp(-s))
        base = x.numpy() if weight == 'input' else m
        expected = base * s_a[:, None] + base * c_a[:, :, None, None]
        ours = module(x).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_interest_flow_staged_equals_upsampling_each_map_on_its_own():
    """Bilinear interpolation is linear: doing it before the sum must give the same."""
    torch.manual_seed(0)
    flow = InterestFlow((8, 12, 16)).eval()
    entry, middle, last = (
        torch.randn(2, 8, 15, 21),
        torch.randn(2, 12, 4, 6),
        torch.randn(2, 16, 4, 6),
    )

    def up(x):
        x = F.interpolate(x, size=(8, 12), mode='bilinear', align_corners=True)
        return F.interpolate(x, size=(15, 21), mode='bilinear', align_corners=True)

    with torch.no_grad():
        expected = entry + up(flow.exit(last)) + up(flow.middle(middle))
        ours = flow(entry, middle, last)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_interest_flow_match_takes_the_literal_two_steps():
    torch.manual_seed(0)
    flow = InterestFlow((8, 12, 16), mode='match').eval()
    entry, middle, last = (
        torch.randn(1, 8, 16, 16),
        torch.randn(1, 12, 8, 8),
        torch.randn(1, 16, 4, 4),
    )
    with torch.no_grad():
        up = F.interpolate(flow.exit(last), scale_factor=2, mode='bilinear', align_corners=True)
        up = F.interpolate(up + flow.middle(middle), scale_factor=2, mode='bilinear',
                           align_corners=True)  # fmt: skip
        torch.testing.assert_close(flow(entry, middle, last), up + entry, rtol=1e-5, atol=1e-5)


def test_image_pooling_equals_interpolating_the_mean():
    pool = ImagePooling(6, 4).eval()
    x = torch.randn(2, 6, 5, 7)
    mean = F.adaptive_avg_pool2d(x, 1)
    expected = F.interpolate(pool.conv(mean), size=(5, 7), mode='bilinear', align_corners=True)
    torch.testing.assert_close(pool(x), expected)


def test_fresh_deformable_aspp_equals_the_plain_one():
    """Offsets start at zero, where deformable and atrous convolution are the same."""
    torch.manual_seed(0)
    rates = (6, 8, 12, 18, 24)
    deform = DeformASPP(12, 8, rates=rates).eval()
    plain = ASPP(12, 8, rates=rates, with_1x1=False, branch_bias=False).eval()
    offsets = {k: v for k, v in deform.state_dict().items() if 'conv_offset' in k}
    assert len(offsets) == 10 and not any(v.any() for v in offsets.values())
    plain.load_state_dict({k: v for k, v in deform.state_dict().items() if k not in offsets})
    x = torch.randn(2, 12, 33, 29)
    with torch.no_grad():
        torch.testing.assert_close(deform(x), plain(x), rtol=1e-5, atol=1e-5)


def test_global_initialisation_leaves_offsets_at_zero():
    head = _head(in_channels=(8, 12, 16), channels=16, flow={}, attention=M,
                 init_cfg=dict(type='Kaiming', layer='Conv2d'))  # fmt: skip
    head.init_weights()
    offsets = [v for k, v in head.state_dict().items() if 'conv_offset' in k]
    assert len(offsets) == 10 and not any(v.any() for v in offsets)


def test_every_parameter_of_the_full_head_gets_a_gradient():
    torch.manual_seed(0)
    slots = dict(flow={}, attention=dict(M, reduction=2), context=dict(G5, rates=(1, 2)))
    head = _head(in_channels=(8, 12, 16), channels=16, num_classes=5, **slots)
    head.init_weights()
    maps = [torch.randn(2, 8, 16, 16), torch.randn(2, 12, 4, 4), torch.randn(2, 16, 4, 4)]
    logits = head(maps)
    assert logits.shape == (2, 5, 16, 16)
    logits.square().sum().backward()
    parameters = dict(head.named_parameters())
    assert len(parameters) == 59
    assert [n for n, p in parameters.items() if p.grad is None or not p.grad.isfinite().all()] == []
    # convolutions in front of a norm have a bias without effect; all else must move
    silent = [n for n, p in parameters.items() if not p.grad.abs().sum() > 0]
    assert [n for n in silent if not n.endswith('bias')] == []


@pytest.mark.parametrize('head', [FMSIHead, DeepLabV3PlusHead, MFPHead])
def test_a_forward_is_read_in_one_class(head):
    """Heads share functions; none inherits another's steps."""
    assert head.__bases__ == (BaseDecodeHead,)
    assert {'forward', '_refine'} <= set(vars(head)) and '_transform_inputs' not in vars(head)


def test_empty_slots_give_the_baseline_graph():
    torch.manual_seed(0)
    plain = _head('DeepLabV3PlusHead', in_channels=(8, 12, 16), channels=8).eval()
    fmsi = _head(in_channels=(8, 12, 16), channels=8, context=dict(type='ASPP')).eval()
    fmsi.load_state_dict(plain.state_dict())
    maps = [torch.randn(1, 8, 16, 16), torch.randn(1, 12, 4, 4), torch.randn(1, 16, 4, 4)]
    torch.testing.assert_close(fmsi(maps), plain(maps), rtol=0, atol=0)


@pytest.mark.parametrize(
    'build, message',
    [
        (lambda: GGCA(10), r'channels \(10\) must be a multiple of groups \(4\)'),
        (lambda: MSEA(8, kernel_sizes=(3, 4)), 'kernel sizes must be odd'),
        (lambda: MSEA(8, fusion='max'), "'sum' or 'concat', got 'max'"),
        (lambda: MSEA(8, weight='both'), "'input' or 'multiscale', got 'both'"),
        (lambda: InterestFlow((8, 16)), 'three maps'),
        (lambda: InterestFlow((8, 8, 8), mode='x'), "got 'x'"),
        (lambda: InterestFlow((8, 8, 8), 16), 'entry_lateral=True'),
        (lambda: ASPP(8, rates=()), 'rates is empty'),
        (lambda: ASPP(8, attention_on='all'), "got 'all'"),
        (lambda: FMSIHead((8,), (0,), num_classes=2), 'at least two maps'),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
