"""DeepLab-v2's head and backbones: integers, values against loops, sizes, frozen batch norm."""

import pytest
import torch
import torch.nn.functional as F
from mmseg.models.backbones import ResNet
from mmseg.registry import MODELS
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_ext.models.backbones import DeepLabResNet, DeepLabVGG16
from mmseg_ext.models.decode_heads import DeepLabV2Head


def _count(module):
    return sum(p.numel() for p in module.parameters())


def _head(in_channels=5, num_classes=3, **settings):
    torch.manual_seed(0)
    head = DeepLabV2Head(in_channels, num_classes=num_classes, **settings)
    for p in head.parameters():
        torch.nn.init.normal_(p)
    return head.eval()


# --- the head -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'num_classes, expected', [(21, 1_548_372), (171, 12_608_172), (182, 13_419_224)]
)
def test_parameter_integers_of_the_head(num_classes, expected):
    with torch.device('meta'):
        assert _count(DeepLabV2Head(2048, num_classes=num_classes)) == expected


def test_parameter_integers_with_hidden_layers():
    """fc6 3x3 512 to 1024, fc7 1024 to 1024, fc8 to 21, with biases; four branches: four times."""
    one = (512 * 9 * 1024 + 1024) + (1024 * 1024 + 1024) + (1024 * 21 + 21)
    assert one == 5_790_741
    settings = dict(num_classes=21, hidden_channels=1024)
    with torch.device('meta'):
        assert _count(DeepLabV2Head(512, rates=(12,), **settings)) == one
        assert _count(DeepLabV2Head(512, **settings)) == 4 * one


def _dilated(x, weight, bias, rate):
    """A 3x3 convolution with zeros outside, from shifted copies: no convolution is called."""
    _, _, height, width = x.shape
    padded = F.pad(x, (rate,) * 4)
    out = bias[None, :, None, None].expand(x.shape[0], -1, height, width).clone()
    for i in range(3):
        for j in range(3):
            piece = padded[:, :, i * rate : i * rate + height, j * rate : j * rate + width]
            out += torch.einsum('kc,nchw->nkhw', weight[:, :, i, j], piece)
    return out


def test_logits_are_the_sum_of_dilated_classifiers():
    head = _head(rates=(1, 2, 6))
    x = torch.randn(2, 5, 9, 7)
    expected = sum(
        _dilated(x, c.weight, c.bias, rate) for c, rate in zip(head.classifiers, (1, 2, 6))
    )
    torch.testing.assert_close(head([x]), expected, rtol=1e-5, atol=1e-5)


def test_hidden_layers_are_relu_of_fc6_and_fc7():
    head = _head(rates=(2, 3), hidden_channels=4)
    x = torch.randn(1, 5, 8, 6)
    expected = 0
    for rate, hidden, classifier in zip((2, 3), head.hidden, head.classifiers):
        fc6, fc7 = hidden[0], hidden[3]
        six = _dilated(x, fc6.weight, fc6.bias, rate).clamp(min=0)
        seven = torch.einsum('kc,nchw->nkhw', fc7.weight[:, :, 0, 0], six)
        seven = (seven + fc7.bias[:, None, None]).clamp(min=0)
        eight = torch.einsum('kc,nchw->nkhw', classifier.weight[:, :, 0, 0], seven)
        expected = expected + eight + classifier.bias[:, None, None]
    torch.testing.assert_close(head([x]), expected, rtol=1e-5, atol=1e-4)


def test_dropout_follows_both_hidden_layers_in_training_only():
    head = _head(rates=(1,), hidden_channels=4, dropout_ratio=0.5)
    x = torch.randn(1, 5, 8, 8)
    assert torch.equal(head([x]), head([x]))
    head.train()
    assert not torch.equal(head([x]), head([x]))
    drops = [m.p for m in head.modules() if isinstance(m, torch.nn.Dropout)]
    assert drops == [0.5, 0.5]
    plain = _head(rates=(1,)).train()  # none without hidden layers
    assert torch.equal(plain([x]), plain([x]))


def test_initialisation_is_the_paper_s():
    torch.manual_seed(0)
    head = DeepLabV2Head(64, num_classes=21)
    head.init_weights()
    for classifier in head.classifiers:
        assert classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert classifier.weight.mean().abs().item() < 3e-4  # 3 sd of 12,096 draws
        assert not classifier.bias.any()


def test_every_parameter_gets_a_gradient_and_none_is_spare():
    head = _head(hidden_channels=4).train()
    head([torch.randn(1, 5, 30, 30)]).square().sum().backward()
    assert [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert not hasattr(head, 'conv_seg')


def test_half_precision_is_summed_in_single():
    head = _head(rates=(1, 2)).bfloat16()
    x = torch.randn(1, 5, 6, 6).bfloat16()
    parts = [c(x).float() for c in head.classifiers]
    out = head([x])
    assert out.dtype == torch.float32 and torch.equal(out, parts[0] + parts[1])
    assert _head().double()([x.double()]).dtype == torch.float64


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(rates=()), 'rates needs one or more dilations'),
        (dict(rates=(6, 0)), r'1 or more, got \[6, 0\]'),
        (dict(hidden_channels=0), 'hidden_channels must be 1 or more, or None, got 0'),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        DeepLabV2Head(5, num_classes=3, **settings)


# --- the backbones --------------------------------------------------------------------------------


def test_parameter_integers_of_the_backbones():
    with torch.device('meta'):
        assert _count(DeepLabResNet()) == 42_500_160
        vgg = DeepLabVGG16()
        assert _count(vgg) == 14_714_688
        # with LargeFOV's head the 20.5 M of the first DeepLab paper
        head = DeepLabV2Head(512, num_classes=21, rates=(12,), hidden_channels=1024)
        assert _count(vgg) + _count(head) == 20_505_429
        aspp = DeepLabV2Head(512, num_classes=21, rates=(6, 12, 18, 24), hidden_channels=1024)
        assert _count(aspp) == 4 * _count(head) == 23_162_964


def _narrow(**settings):
    torch.manual_seed(0)
    net = DeepLabResNet(50, base_channels=4, stem_channels=4, **settings)
    net.eval()  # which returns nothing in mmseg's ResNet
    return net


@pytest.mark.parametrize('size, expected', [(321, 41), (241, 31), (161, 21), (240, 31), (160, 21)])
def test_sizes_of_the_three_scales_are_the_published_ones(size, expected):
    """321, 241 and 161 are Caffe's sizes, 321, 240 and 160 the port's; both have 41, 31, 21."""
    net = _narrow()
    maps = net(torch.zeros(1, 3, size, 17))
    assert [m.shape[2] for m in maps[1:]] == [expected] * 3
    assert [m.shape[3] for m in maps] == [5, 3, 3, 3]


def test_only_the_pooling_differs_from_mmseg_s_resnet():
    net = _narrow()
    settings = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), style='caffe')
    other = ResNet(50, base_channels=4, stem_channels=4, **settings)
    other.eval()
    other.load_state_dict(net.state_dict())
    x = torch.randn(1, 3, 33, 49)  # 8n + 1
    for ours, theirs in zip(net(x), other(x)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert net(torch.zeros(1, 3, 240, 9))[3].shape[2] == 31
    assert other(torch.zeros(1, 3, 240, 9))[3].shape[2] == 30


def test_dilations_hold_for_every_block_of_a_stage():
    with torch.device('meta'):
        net = DeepLabResNet()
    found = [{b.conv2.dilation[0] for b in getattr(net, f'layer{i}')} for i in (1, 2, 3, 4)]
    assert found == [{1}, {1}, {2}, {4}]
    assert net.layer2[0].conv1.stride == (2, 2) and net.layer2[0].conv2.stride == (1, 1)
    assert net.layer3[0].conv1.stride == (1, 1)


def test_batch_norm_is_frozen():
    net = _narrow()
    net.init_weights()
    net.train()
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm)]
    assert len(norms) == 53
    assert not any(m.training for m in norms)
    assert not any(p.requires_grad for m in norms for p in m.parameters())
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net(torch.randn(2, 3, 33, 33))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    trained = [n for n, p in net.named_parameters() if p.requires_grad]
    assert len(trained) == 53 and all('conv' in n or 'downsample.0' in n for n in trained)


def test_vgg16_against_its_layers_one_by_one():
    torch.manual_seed(0)
    net = DeepLabVGG16().eval()
    net.init_weights()
    x = torch.randn(1, 3, 33, 20)
    out = x
    weights = iter(net.state_dict().values())
    for stage, stride in zip(((1, 1), (1, 1), (1, 1, 1), (1, 1, 1), (2, 2, 2)), (2, 2, 2, 1, 1)):
        for dilation in stage:
            kernel, bias = next(weights), next(weights)
            out = F.conv2d(out, kernel, bias, padding=dilation, dilation=dilation).relu()
        # the paper's definition of 3x3 pooling: nothing outside, the last window may stick out
        lower = F.pad(out, (1, 3, 1, 3), value=-1e9).unfold(2, 3, stride).unfold(3, 3, stride)
        n, m = ((-(-(s - 1) // 2) + 1 if stride == 2 else s) for s in out.shape[2:])
        out = lower.amax(dim=(4, 5))[:, :, :n, :m]
    assert next(weights, None) is None
    (got,) = net(x)
    assert got.shape == (1, 512, 5, 4)
    torch.testing.assert_close(got, out, rtol=1e-4, atol=1e-4)


def test_vgg16_has_torchvision_s_names():
    with torch.device('meta'):
        names = list(DeepLabVGG16().state_dict())
    convs = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    assert names == [f'features.{i}.{p}' for i in convs for p in ('weight', 'bias')]


def test_registered():
    for name in ('DeepLabV2Head', 'DeepLabResNet', 'DeepLabVGG16', 'MultiScaleEncoderDecoder'):
        assert MODELS.get(name).__name__ == name
