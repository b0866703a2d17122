"""MFP-DeepLabv3+: the counts of its tables, and the head against its layer table."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from support.paths import ROOT
from torch import nn

from mmseg_ext.models.decode_heads import DeepLabV3PlusHead, MFPHead

CONFIGS = ROOT / 'configs' / 'mfp'
EXPECTED = {
    'deeplabv3plus_mobilenetv2_bmseg': 5_813_266,
    'mfp_aspp_fsm': 3_650_194,
    'mfp_aspp_fsm_frm': 4_553_554,
    'mfp_affp': 4_882_258,
    'mfp_attn_simam': 4_882_258,
    'mfp_attn_pscan': 4_949_336,
    'mfp_up_nearest': 5_591_560,
    'mfp_up_deconv': 5_591_560 + 1_069_760,
    'mfp_up_carafe': 5_591_560 + 195_356,
    'mfp_mobilenetv2_bmseg': 5_633_832,
    'mfp_mobilenetv2_lite': 5_330_344,
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def _count(name: str, **head) -> int:
    model = Config.fromfile(CONFIGS / f'{name}.py').model
    model.decode_head.update(head)
    with torch.device('meta'):
        parts = [MODELS.build(model[key]) for key in ('backbone', 'decode_head')]
    return sum(p.numel() for part in parts for p in part.parameters())


@pytest.mark.parametrize('name, expected', EXPECTED.items())
def test_parameter_integers_of_the_tables(name, expected):
    assert _count(name) == expected


@pytest.mark.parametrize(
    'expected, head',
    [
        (5_631_784, dict(skip_channels=(64, 128, 128))),
        (5_217_688, dict(skip_channels=(48, 48, 48))),
        # the nearest that an AFFP + PSCAN with skips comes to the paper's 5,325,000
        (5_288_072, dict(skip_channels=(64, 64, 64), upsample_cfg=dict(type='nearest'))),
    ],
)
def test_parameter_integers_of_other_widths(expected, head):
    assert _count('mfp_mobilenetv2_bmseg', **head) == expected


def _small(**kwargs) -> MFPHead:
    arguments = dict(
        in_channels=(6, 8, 16, 32),
        in_index=(0, 1, 2, 3),
        channels=16,
        skip_channels=(5, 6, 7),
        num_classes=3,
        dropout=(0.0, 0.0),
    )
    return MFPHead(**{**arguments, **kwargs}).eval()


def _maps(h: int = 16, w: int = 12):
    sizes = [(h, w), (-(-h // 2), -(-w // 2)), *[(-(-h // 4), -(-w // 4))] * 2]
    return [torch.randn(2, c, *s) for c, s in zip((6, 8, 16, 32), sizes)]


def _conv(x, layers: nn.Sequential):
    """Convolution, batch norm at its stored statistics and ReLU, restated."""
    conv, norm = layers[0], layers[1]
    y = F.conv2d(x, conv.weight, conv.bias, padding=conv.padding)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    y = (y - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]
    return y.clamp(min=0)


@torch.no_grad()
def test_head_equals_the_decoder_table():
    torch.manual_seed(0)
    head = _small(upsample_cfg=dict(type='nearest'))
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    maps = _maps()
    x = head.attention(head.context(maps[3]))
    up = [
        y.repeat_interleave(s, 2).repeat_interleave(s, 3)
        for y, s in zip((maps[1], maps[2], x), (2, 4, 4))
    ]
    skips = [_conv(y, head.skips[i]) for i, y in enumerate((maps[0], up[0], up[1]))]
    fused = _conv(_conv(torch.cat([up[2], *skips], dim=1), head.fuse1), head.fuse2)
    expected = F.conv2d(fused, head.conv_seg.weight, head.conv_seg.bias)
    torch.testing.assert_close(head(maps), expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_fresh_dysample_equals_bilinear():
    """Its offsets start near zero, so the whole head starts near the bilinear one."""
    torch.manual_seed(0)
    head = _small(upsample_cfg=dict(type='dysample', groups=4))
    other = _small(upsample_cfg=dict(type='bilinear', align_corners=False))
    for name, parameter in head.named_parameters():
        if name.startswith('upsamplers'):
            parameter.zero_()
    other.load_state_dict(head.state_dict(), strict=False)
    maps = _maps()
    torch.testing.assert_close(head(maps), other(maps), rtol=1e-4, atol=1e-5)


def _head(plus: bool, **kwargs) -> BaseDecodeHead:
    if not plus:
        return _small(**kwargs)
    baseline = dict(in_channels=(6, 32), in_index=(0, 3), channels=16, num_classes=3)
    return DeepLabV3PlusHead(**baseline, **kwargs).eval()


@pytest.mark.parametrize('plus', [False, True])
def test_a_recomputed_decoder_changes_no_value(plus):
    """Gradients, running statistics and the random masks are those of the usual pass."""
    heads = [_head(plus, with_cp=again, dropout=(0.5, 0.1)).train() for again in (False, True)]
    heads[1].load_state_dict(heads[0].state_dict())
    maps, kept = _maps(), []
    for head in heads:
        torch.manual_seed(1)
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, saved=saved: saved.append(x.numel()) or x, lambda x: x
        ):
            logits = head(maps)
        logits.square().mean().backward()
        kept.append(sum(saved))
    assert kept[1] < 0.7 * kept[0]
    plain, again = (dict(head.named_parameters()) for head in heads)
    assert len(plain) >= 38
    for name, parameter in plain.items():
        if parameter.requires_grad:
            torch.testing.assert_close(again[name].grad, parameter.grad, rtol=0, atol=0)
    for name, value in heads[0].state_dict().items():
        torch.testing.assert_close(heads[1].state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize('plus', [False, True])
def test_the_order_of_channels_changes_no_value(plus):
    """Without a graph, heads that refine a map work in channels_last."""
    torch.manual_seed(0)
    head = _head(plus)
    maps, inside = _maps(), []
    for part in (head.context, *([head.low_level] if plus else head.upsamplers)):
        part.register_forward_hook(lambda _, inputs, __: inside.extend(inputs))
    expected = head(maps)
    inside.clear()
    with torch.no_grad():
        ours = head(maps)
    assert len(inside) >= 2
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in inside)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('size', [(16, 12), (15, 9), (1, 1), (7, 2)])
@torch.no_grad()
def test_any_size(size):
    assert _small()(_maps(*size)).shape == (2, 3, *size)


def test_every_trainable_parameter_gets_a_gradient():
    head = _small().train()
    head(_maps()).square().sum().backward()
    without = [n for n, p in head.named_parameters() if p.requires_grad and p.grad is None]
    frozen = [n for n, p in head.named_parameters() if not p.requires_grad]
    assert without == []
    assert len(frozen) == 6 and all('norm' in n for n in frozen)  # three hard gates


def test_two_maps_make_a_head_for_xception():
    head = _small(in_channels=(6, 32), in_index=(0, 2), skip_channels=(5,), scale_factors=(4,))
    maps = [torch.randn(1, 6, 8, 8), torch.randn(1, 9, 4, 4), torch.randn(1, 32, 2, 2)]
    assert head(maps).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(skip_channels=(64, 64)), 'skip_channels must have 3 entries'),
        (dict(scale_factors=(4,)), 'scale_factors must have 3 entries'),
        (dict(upsample_cfg=[dict(type='nearest')] * 2), 'one dict or 3 of them, got 2'),
        (dict(in_channels=(32,), in_index=(0,)), 'a skip and the context map'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        _small(**arguments)
