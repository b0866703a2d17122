"""The upsample slot: one contract for all types, found under any scope; transposed convolution."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import build_upsample_layer
from mmengine.registry import init_default_scope
from mmengine.utils.dl_utils import mmcv_full_available
from torch import nn

from mmseg_ext.models.layers import CARAFE, DeconvBN, DySample, build_upsampler

OURS = dict(dysample='DySample', carafe_torch='CARAFE', deconv_bn='DeconvBN')
CONFIGS = [
    dict(type='nearest'),
    dict(type='bilinear'),
    dict(type='bilinear', align_corners=True),
    dict(type='deconv'),
    dict(type='deconv', kernel_size=5, bias=False),
    dict(type='pixel_shuffle'),
    dict(type='pixel_shuffle', upsample_kernel=1),
    dict(type='dysample'),
    dict(type='dysample', groups=2, dynamic_scope=True),
    dict(type='dysample', style='pl', groups=1),
    dict(type='carafe_torch'),
    dict(type='carafe_torch', up_kernel=5, compressed_channels=8, out_conv=False),
    dict(type='deconv_bn'),
    dict(type='deconv_bn', kernel_size=1),
    dict(type='deconv_bn', kernel_size=7),
    dict(type=DySample),
]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


# --- the slot -------------------------------------------------------------------------------------


@pytest.mark.parametrize('cfg', CONFIGS, ids=str)
@pytest.mark.parametrize('scale', [2, 3, 4])
def test_contract(cfg, scale):
    torch.manual_seed(0)
    channels, before = 4 * scale**2, dict(cfg)
    module = build_upsampler(cfg, channels, scale)
    assert cfg == before
    for size in ((1, 1), (5, 1), (3, 4)):
        x = torch.randn(2, channels, *size, requires_grad=True)
        out = module(x)
        assert out.shape == (2, channels, scale * size[0], scale * size[1])
        out.square().sum().backward()
        assert x.grad.isfinite().all()
    missing = [name for name, p in module.named_parameters() if p.grad is None]
    assert missing == []


def test_interpolation_is_torchs():
    x = torch.randn(2, 3, 4, 5)
    for name, options in [
        ('nearest', {}),
        ('bilinear', {}),
        ('bilinear', dict(align_corners=True)),
    ]:
        module = build_upsampler(dict(type=name, **options), 3, 4)
        assert type(module) is nn.Upsample
        expected = F.interpolate(x, scale_factor=4, mode=name, **options)
        torch.testing.assert_close(module(x), expected, rtol=0, atol=0)


def test_each_type_builds_its_class_with_its_options():
    built = {name: build_upsampler(dict(type=name), 32, 4) for name in OURS}
    assert {name: type(module).__name__ for name, module in built.items()} == OURS
    module = build_upsampler(dict(type='dysample', style='pl', groups=2), 32, 4)
    assert (module.style, module.groups, module.scale_factor) == ('pl', 2, 4)
    module = build_upsampler(dict(type='deconv', bias=False), 32, 4)
    assert module.kernel_size == module.stride == (4, 4) and module.bias is None
    module = build_upsampler(dict(type='pixel_shuffle'), 32, 2)
    assert module.upsample_conv.weight.shape == (128, 32, 3, 3)


def test_options_that_say_the_same_as_the_slot_are_accepted():
    cfg = dict(type='carafe_torch', channels=8, scale_factor=2)
    assert isinstance(build_upsampler(cfg, 8, 2), CARAFE)


@pytest.mark.parametrize(
    'cfg, message',
    [
        (dict(type='DySample'), "no upsampler 'DySample': did you mean dysample"),
        (dict(type='bilinaer'), "did you mean bilinear.*there are 'nearest', 'bilinear', 'deconv'"),
        (dict(type='xyz'), "'deconv_bn'$"),
        (dict(type='ReLU'), "no upsampler 'ReLU'"),  # registered, but something else
        (dict(type=None), 'no upsampler None'),
        (dict(scale_factor=2), "a dict with a 'type'"),
        ('nearest', "a dict with a 'type', got 'nearest'"),
        (dict(type='dysample', stile='lp'), "'dysample' has no option stile; it takes .*style"),
        (dict(type='nearest', align_corners=True), "'nearest' has no option align_corners"),
        (dict(type='bilinear', size=(3, 3)), "'bilinear' has no option size"),
        (dict(type='nearest', scale_factor=4), 'scale_factor must be 2 here, got 4: leave it out'),
        (dict(type='dysample', channels=4), 'channels must be 8 here, got 4'),
        (dict(type='deconv', out_channels=4), 'out_channels must be 8 here, got 4'),
        (dict(type='deconv', kernel_size=3, padding=0), 'padding must be 1 here, got 0'),
        (dict(type='deconv', stride=4), 'stride must be 2 here, got 4'),
        (dict(type='deconv', dilation=2), 'dilation must be 1 here, got 2'),
        (dict(type='pixel_shuffle', upsample_kernel=2), 'upsample_kernel must be odd, got 2'),
        (dict(type='dysample', groups=3), r'multiple of groups \(3\)'),
    ],
)
def test_bad_configs(cfg, message):
    with pytest.raises(ValueError, match=message):
        build_upsampler(cfg, 8, 2)


@pytest.mark.parametrize(
    'channels, scale, message',
    [(8, 2.0, 'scale_factor .* got 2.0'), (8, 0, 'scale_factor .* got 0'), (0, 2, 'channels')],
)
def test_bad_sizes(channels, scale, message):
    with pytest.raises(ValueError, match=message):
        build_upsampler(dict(type='nearest'), channels, scale)


@pytest.mark.skipif(mmcv_full_available(), reason='mmcv is compiled here')
def test_mmcvs_carafe_names_ours_where_it_cannot_run():
    with pytest.raises(ValueError, match="compiled mmcv; 'carafe_torch' with up_kernel=5"):
        build_upsampler(dict(type='carafe'), 8, 2)


@pytest.mark.oracle
@pytest.mark.skipif(
    not mmcv_full_available(), reason='needs compiled mmcv, which make test-full installs'
)
def test_builds_mmcvs_carafe_where_it_is_compiled():
    module = build_upsampler(dict(type='carafe'), 8, 2)
    assert (module.channels, module.scale_factor) == (8, 2)


FRESH = """
import os, sys
import mmseg_ext
from mmcv.cnn import build_upsample_layer
from mmengine.registry import init_default_scope
from mmseg_ext.models.layers import build_upsampler
for scope in (None, 'mmseg', 'mmseg_ext'):
    child = os.fork()  # each scope in a process that has seen no other
    if child:
        assert os.waitpid(child, 0)[1] == 0, scope
        continue
    if scope is not None:
        init_default_scope(scope)
    for name in ('dysample', 'carafe_torch', 'deconv_bn'):
        cfg = dict(type=name, channels=8, scale_factor=2)
        built = build_upsample_layer(cfg), build_upsampler(dict(type=name), 8, 2)
        print(scope, name, *(type(module).__name__ for module in built), flush=True)
    os._exit(0)
"""


def test_found_under_any_default_scope(python_tool):
    done = python_tool('-c', FRESH)
    lines = [line for line in done.stdout.splitlines() if line.split()[1:2] and
             line.split()[1] in OURS]  # fmt: skip
    assert lines == [f'{scope} {name} {kind} {kind}' for scope in (None, 'mmseg', 'mmseg_ext')
                     for name, kind in OURS.items()]  # fmt: skip


# --- the transposed convolution -------------------------------------------------------------------


def test_deconv_parameter_integers():
    """Kernel 2 for the 64 channels at scale 4, as the paper's count has it."""
    sites = {(32, 2, None): 4_160, (64, 4, 2): 16_512, (256, 4, None): 1_049_088}
    for (channels, scale, kernel), expected in sites.items():
        cfg = dict(type='deconv_bn', channels=channels, scale_factor=scale, kernel_size=kernel)
        assert sum(p.numel() for p in build_upsample_layer(cfg).parameters()) == expected
    assert sum(sites.values()) == 1_069_760


@pytest.mark.parametrize('kernel, scale', [(2, 4), (2, 2), (3, 2), (4, 2), (5, 3), (1, 2), (3, 1)])
def test_deconv_equals_a_loop_over_pixels(kernel, scale):
    torch.manual_seed(0)
    module = DeconvBN(3, scale_factor=scale, kernel_size=kernel).eval()
    nn.init.normal_(module.norm.running_mean)
    nn.init.normal_(module.norm.bias)
    x, crop = torch.randn(1, 3, 2, 3), max(0, -((scale - kernel) // 2))
    whole = torch.zeros(3, 20, 20)
    for i in range(2):
        for j in range(3):
            stamp = torch.einsum('c,cdhw->dhw', x[0, :, i, j], module.conv.weight)
            whole[:, i * scale : i * scale + kernel, j * scale : j * scale + kernel] += stamp
    whole = whole[:, crop : crop + 2 * scale, crop : crop + 3 * scale]
    shift = module.norm.bias - module.norm.running_mean / (1 + module.norm.eps) ** 0.5
    expected = whole / (1 + module.norm.eps) ** 0.5 + shift[:, None, None]
    torch.testing.assert_close(module(x)[0], expected, rtol=1e-5, atol=1e-5)


def test_a_kernel_below_the_scale_leaves_holes():
    module = DeconvBN(4, scale_factor=4, kernel_size=2)
    out = module.conv(torch.randn(1, 4, 3, 3))
    blocks = out.unflatten(2, (3, 4)).unflatten(4, (3, 4))
    holes = (blocks == 0).all(4).all(2).all(1)[0]  # of every block alike
    assert (~holes).nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(scale_factor=0), 'scale_factor must be a positive integer, got 0'),
        (dict(kernel_size=0), 'kernel_size must be a positive integer, got 0'),
        (dict(scale_factor=1, kernel_size=2), 'at scale_factor=1 kernel_size must be odd, got 2'),
    ],
)
def test_deconv_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        DeconvBN(4, **settings)
