"""Winograd's convolution and the fast form of a model against the plain ones; see test_folding."""

import copy

import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from mmseg_ext.apis.run.network import fast as fast_module
from mmseg_ext.apis.run.network.fast import fast_form
from mmseg_ext.engine import bfloat16
from mmseg_ext.models.layers.winograd import WinogradConv2d, is_suited


@pytest.mark.parametrize('size', [(1, 1), (4, 4), (5, 7), (16, 13), (2, 33), (44, 260)])
@pytest.mark.parametrize('dilation', [1, 2, 3, 4, 12])
@pytest.mark.parametrize('bias', [True, False])
def test_winograd_equals_the_convolution(size, dilation, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 6, 3, padding=dilation, dilation=dilation, bias=bias).double()
    x = torch.randn(2, 5, *size, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(WinogradConv2d(conv)(x), conv(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize('size', [(3, 3), (6, 9), (18, 13), (46, 262)])
@pytest.mark.parametrize('dilation', [1, 2, 4])
def test_winograd_without_padding(size, dilation):
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 6, 3, dilation=dilation).double()
    x = torch.randn(2, 5, *size, dtype=torch.float64)
    with torch.no_grad():
        if min(size) <= 2 * dilation:
            with pytest.raises(ValueError, match=rf'{size[0]}x{size[1]} is smaller than a kernel'):
                WinogradConv2d(conv)(x)
        else:
            torch.testing.assert_close(WinogradConv2d(conv)(x), conv(x), rtol=0, atol=1e-12)


def test_winograd_in_float32_and_channels_last():
    torch.manual_seed(0)
    conv = nn.Conv2d(256, 64, 3, padding=1)
    x = torch.randn(1, 256, 24, 20).to(memory_format=torch.channels_last)
    with torch.no_grad():
        ours, theirs = WinogradConv2d(conv)(x), conv(x)
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


def test_winograd_stays_in_float32_within_autocast():
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 8, 3, padding=1)
    x = torch.randn(1, 8, 9, 10)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert conv(x).dtype == torch.bfloat16
        found = WinogradConv2d(conv)(x)
    with torch.no_grad():
        torch.testing.assert_close(found, conv(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'conv',
    [
        nn.Conv2d(4, 4, 3, padding=2, dilation=1),
        nn.Conv2d(4, 4, 3, padding=2, dilation=(2, 1)),
        nn.Conv2d(4, 4, 3, padding=(2, 1), dilation=(2, 1)),
        nn.Conv2d(4, 4, 3, padding=(0, 1)),
        nn.Conv2d(4, 4, 3, dilation=(2, 1)),
        nn.Conv2d(4, 4, 3, padding='same'),
        nn.Conv2d(4, 4, 3, padding=1, stride=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode='reflect'),
        nn.Conv2d(4, 4, 1),
    ],
)
def test_other_convolutions_are_refused(conv):
    assert not is_suited(conv)
    with pytest.raises(ValueError, match='only 3x3 convolutions padded by their dilation'):
        WinogradConv2d(conv)


def _trained_like(name: str) -> nn.Module:
    """Build a config's model; its batch norms have statistics and affine values of their own."""
    init_default_scope('mmseg')
    cfg = Config.fromfile(name).model
    cfg.backbone.init_cfg = None
    torch.manual_seed(0)
    return _with_statistics(MODELS.build(cfg))


def _with_statistics(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.2, 0.2)
    return model.eval()


@pytest.mark.parametrize(
    'name',
    [
        'configs/fmsi/deeplabv3plus_mobilenetv2_camvid.py',
        'configs/fmsi/fmsi_xception_mid4_shapes.py',
        'configs/mfp/mfp_mobilenetv2_bmseg.py',
    ],
)
@torch.no_grad()
def test_fast_form_computes_the_same(name, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    model = _trained_like(name)
    before = copy.deepcopy(model.state_dict())
    fast = fast_form(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fast.decode_head.fuse2.modules())
    assert any(isinstance(m, WinogradConv2d) for m in fast.modules())
    x = torch.randn(2, 3, 80, 64)
    expected = model(x, mode='tensor')
    difference = (fast(x, mode='tensor') - expected).abs().max()
    assert difference < 1e-4 * expected.abs().max()
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


class _OtherEachTime(nn.Module):
    """A network whose outputs grow with each call, from the second on."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.calls = 0

    def forward(self, x, mode):
        self.calls += 1
        return self.body(x) * self.calls


def test_a_model_that_computes_something_else_each_time_is_refused():
    with pytest.raises(ValueError, match='something else each time'):
        fast_form(_OtherEachTime())


@torch.no_grad()
def test_every_output_is_compared():
    """Some heads give more than logits, as EncNet's does."""

    class Two(_OtherEachTime):
        other = False

        def forward(self, x, mode):
            second = super().forward(x, mode) if self.other else x
            return self.body(x), [second]

    net, x = Two(), torch.randn(1, 3, 8, 6)
    (logits, (same,)), expected = fast_form(net)(x, ''), net.eval().body(x)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(same, x)
    net.other = True
    with pytest.raises(ValueError, match='something else each time'):
        fast_form(net)


@torch.no_grad()
def test_transposed_convolutions_and_conv_modules_are_folded():
    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = ConvModule(3, 4, 3, padding=1, norm_cfg=dict(type='BN'))
            self.b = nn.Sequential(nn.ConvTranspose2d(4, 5, 2, 2, bias=False), nn.BatchNorm2d(5))

        def forward(self, x, mode):
            return self.b(self.a(x))

    net = _with_statistics(Net())
    fast = fast_form(net)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fast.modules())
    x = torch.randn(1, 3, 8, 6)
    torch.testing.assert_close(fast(x, ''), net(x, ''), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_half_precision_gives_float32_logits_near_the_plain_ones(monkeypatch, request, half):
    monkeypatch.chdir(request.config.rootpath)
    model = _trained_like('configs/fmsi/deeplabv3plus_mobilenetv2_camvid.py')
    fast, x = fast_form(model, amp=True), torch.randn(1, 3, 64, 64)
    expected, found = model(x, mode='tensor'), fast(x, mode='tensor')
    assert found.dtype == torch.float32 and not any(
        isinstance(m, WinogradConv2d) for m in fast.modules()
    )
    kinds = {}
    for module in fast.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(
                lambda m, _, out: kinds.setdefault(m.groups > 1, set()).add(out.dtype))  # fmt: skip
    fast(x, mode='tensor')
    assert kinds == {True: {torch.float32}, False: {torch.bfloat16}}
    difference = (found - expected).abs().max()
    assert 0 < difference < 0.1 * expected.abs().max()


@torch.no_grad()
def test_without_products_of_bfloat16_half_precision_is_the_fast_form(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    for module in (fast_module, bfloat16):
        monkeypatch.setattr(module, 'is_imitated', lambda kind: kind == 'cpu')
    model = _trained_like('configs/fmsi/deeplabv3plus_mobilenetv2_camvid.py')
    x = torch.randn(1, 3, 64, 64)
    found, expected = (fast_form(model, amp=amp)(x, mode='tensor') for amp in (True, False))
    assert torch.equal(found, expected)


@torch.no_grad()
@pytest.mark.parametrize('amp', [False, True])
def test_a_copy_of_a_fast_form_computes_with_its_own_weights(amp, monkeypatch, request, half):
    monkeypatch.chdir(request.config.rootpath)
    fast = fast_form(_trained_like('configs/fmsi/deeplabv3plus_mobilenetv2_camvid.py'), amp=amp)
    x = torch.randn(1, 3, 64, 64)
    before, copied = fast(x, mode='tensor'), copy.deepcopy(fast)
    assert torch.equal(copied(x, mode='tensor'), before)
    for parameter in copied.parameters():
        parameter.zero_()
    assert copied(x, mode='tensor').abs().max() == 0
    assert torch.equal(fast(x, mode='tensor'), before)


@torch.no_grad()
@pytest.mark.parametrize('packed', [False, True])
@pytest.mark.parametrize('batch_first', [False, True])
def test_attention_gives_the_same_without_its_weights(batch_first, packed, monkeypatch):
    if not packed:  # a torch without oneDNN
        monkeypatch.setattr(fast_module, 'is_available', lambda: False)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 4, 4)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
            self.reduced = nn.MultiheadAttention(8, 2, batch_first=batch_first)

        def forward(self, x, mode):
            x = self.stem(x).flatten(2)
            x = x.transpose(1, 2) if batch_first else x.permute(2, 0, 1)
            x, self.weights = self.attention(x, x, x)
            few = x[:, ::2] if batch_first else x[::2]
            return self.reduced(x, few, few)[0]

    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(2, 3, 12, 20)
    fast = fast_form(net)
    torch.testing.assert_close(fast(x, ''), net(x, ''), rtol=1e-5, atol=1e-6)
    assert fast.weights is None and net.weights.shape == (2, 15, 15)
    copied, before = copy.deepcopy(fast), fast(x, '')
    for parameter in copied.parameters():
        parameter.zero_()
    assert copied(x, '').abs().max() == 0 and torch.equal(fast(x, ''), before)


@torch.no_grad()
def test_the_first_convolution_need_not_see_the_image():
    """A stem that is made after a projection of its maps, as TransUNet's is."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.data_preprocessor = nn.Module()
            self.data_preprocessor.mean = torch.zeros(2, 1, 1)
            self.project = nn.Conv2d(6, 4, 1)
            self.stem = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6))

        def forward(self, x, mode):
            return self.project(self.stem(x))

    torch.manual_seed(0)
    net = _with_statistics(Net())
    fast, x = fast_form(net), torch.randn(1, 2, 8, 6)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fast.modules())
    torch.testing.assert_close(fast(x, ''), net(x, ''), rtol=1e-5, atol=1e-5)


def test_half_precision_of_a_model_without_a_head_is_refused():
    with pytest.raises(ValueError, match='no backbone and head'):
        fast_form(nn.Sequential(nn.Conv2d(3, 4, 3)), amp=True)
