"""FCN on VGG16 against the authors' network restated, its upsampling, U-Net on VGG16, weights."""

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import nn

import mmseg_ext  # noqa: F401
from mmseg_ext.models.backbones import vgg16
from mmseg_ext.models.backbones.vgg16 import VGG16
from mmseg_ext.models.decode_heads.fcn_skip_head import FCNSkipHead
from mmseg_ext.models.decode_heads.unet_vgg_head import UNetVGGHead
from mmseg_ext.models.layers.bilinear_deconv import BilinearDeconv, bilinear_kernel

pytestmark = pytest.mark.filterwarnings('ignore')
SKIPS = {32: (), 16: ('pool4',), 8: ('pool3', 'pool4')}
WIDTHS = dict(pool3=256, pool4=512)


def _randomize(net, seed=0):
    torch.manual_seed(seed)
    for value in net.parameters():
        value.data.normal_(0, 0.3 if value.ndim > 2 else 0.1)
    return net.eval()


def _head(stride, **settings):
    widths = [WIDTHS[name] for name in SKIPS[stride]]
    fc = settings.pop('fc', 4096)
    return FCNSkipHead((3, *widths, fc), **{'num_classes': 3, **settings})


# --- bilinear upsampling --------------------------------------------------------------------------


def test_kernel_is_the_papers():
    """Stride 2: a quarter and three quarters."""
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    assert torch.equal(bilinear_kernel(2), line[:, None] * line)
    assert bilinear_kernel(8).shape == (16, 16)
    assert bilinear_kernel(8).sum() == 64  # each input pixel is spread with the weight stride ** 2


@pytest.mark.parametrize('stride', [2, 8, 32])
@pytest.mark.parametrize('learnable', [False, True])
def test_deconvolution_is_bilinear_inside(stride, learnable):
    x = torch.randn(2, 3, 4, 5)
    up = BilinearDeconv(3, stride=stride, learnable=learnable)(x)
    assert up.shape == (2, 3, 5 * stride, 6 * stride)
    inner = up[..., stride // 2 : -(stride // 2), stride // 2 : -(stride // 2)]
    true = F.interpolate(x, scale_factor=stride, mode='bilinear', align_corners=False)
    edge = stride // 2  # there the kernel hangs over the border
    torch.testing.assert_close(
        inner[..., edge:-edge, edge:-edge], true[..., edge:-edge, edge:-edge], rtol=1e-5, atol=1e-6
    )


def test_only_learnt_kernels_are_parameters():
    assert not list(BilinearDeconv(3, stride=8).parameters())
    assert not BilinearDeconv(3, stride=8).state_dict()
    assert [p.shape for p in BilinearDeconv(3, stride=2, learnable=True).parameters()] == [
        (3, 3, 4, 4)
    ]


# --- FCN ------------------------------------------------------------------------------------------


def _restated(features, weights, image, stride, scales, pad100):
    """The authors' network, layer by layer, with their crop offsets 5, 9 and 19, 27, 31."""
    x, pools, number = image, {}, 0
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        for _ in range(count):
            conv = features[number]
            pad = 100 if pad100 and number == 0 else 1
            x = F.relu(F.conv2d(x, conv.weight, conv.bias, padding=pad))
            number += 2
        x = F.max_pool2d(x, 2, 2, ceil_mode=True)
        pools[stage] = x
        number += 1
    x = F.relu(F.conv2d(x, *weights['fc6'], padding=0 if pad100 else 3))
    x = F.conv2d(F.relu(F.conv2d(x, *weights['fc7'])), *weights['score_fr'])
    offsets = iter((5, 9))
    for name, kernel, scale in zip(('pool4', 'pool3'), weights['up'], scales):
        skip = F.conv2d(pools[int(name[-1])] * scale, *weights[name])
        x = F.conv_transpose2d(x, kernel, stride=2)
        if pad100:
            o = next(offsets)
            x = x + skip[..., o : o + x.shape[2], o : o + x.shape[3]]
        else:
            x = x[..., 1 : 1 + skip.shape[2], 1 : 1 + skip.shape[3]] + skip
    kernel = torch.zeros(3, 3, 2 * stride, 2 * stride)
    kernel[range(3), range(3)] = bilinear_kernel(stride)
    x = F.conv_transpose2d(x, kernel, stride=stride)
    o = {32: 19, 16: 27, 8: 31}[stride] if pad100 else stride // 2
    return x[..., o : o + image.shape[2], o : o + image.shape[3]]


@pytest.mark.parametrize('padding', ['pad100', 'same'])
@pytest.mark.parametrize('stride', [32, 16, 8])
def test_fcn_is_the_authors_network(stride, padding, monkeypatch):
    monkeypatch.setattr(vgg16, '_STAGES', ((4, 2), (5, 2), (6, 3), (7, 3), (8, 3)))
    monkeypatch.setitem(WIDTHS, 'pool3', 6)
    monkeypatch.setitem(WIDTHS, 'pool4', 7)
    out = ('image', *SKIPS[stride], 'fc7')
    net = VGG16(out, padding=padding, ceil_mode=True, fc_channels=8)
    scales = dict(pool3=1e-1, pool4=0.5)
    head = _head(
        stride, fc=8, padding=padding, skip_scales=[scales[name] for name in SKIPS[stride]]
    )
    _randomize(head)
    net.init_weights()
    net.eval()
    weights = dict(
        fc6=(net.classifier[0].weight, net.classifier[0].bias),
        fc7=(net.classifier[3].weight, net.classifier[3].bias),
        score_fr=(head.conv_seg.weight, head.conv_seg.bias),
        up=[enlarge.weight for enlarge in head.enlarge_skips],
    )
    names = SKIPS[stride][::-1]
    for name, score in zip(names, head.score_skips):
        weights[name] = (score.weight, score.bias)
    image = torch.randn(1, 3, 37, 50)  # odd, and no multiple of anything
    with torch.no_grad():
        ours = head(net(image))
        true = _restated(
            net.features, weights, image, stride, [scales[n] for n in names], padding == 'pad100'
        )
    assert ours.shape == (1, 3, 37, 50)
    assert true.abs().max() > 1e-3
    torch.testing.assert_close(ours, true, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('size', [(1, 1), (31, 33), (64, 97)])
@pytest.mark.parametrize('padding', ['pad100', 'same'])
def test_any_size_of_image(size, padding):
    """Sizes by arithmetic alone; where no kernel hangs over a border constants add up."""
    first, fc = (198, 6) if padding == 'pad100' else (0, 0)
    h, w = (n + first for n in size)
    maps = [torch.zeros(1, 3, *size)]
    for stride, width in ((8, 256), (16, 512)):
        maps.append(torch.zeros(1, width, -(-h // stride), -(-w // stride)))
    maps.append(torch.zeros(1, 4, -(-h // 32) - fc, -(-w // 32) - fc))
    head = _head(8, fc=4, padding=padding)
    head.conv_seg.bias.data.fill_(1.0)
    head.conv_seg.weight.data.zero_()
    for score in head.score_skips:
        nn.init.zeros_(score.weight)
        nn.init.constant_(score.bias, 2.0)
    logits = head(maps)
    assert logits.shape == (1, 3, *size)
    assert logits.max() <= 5 + 1e-5
    if padding == 'pad100' and min(size) > 1:  # fc7 reaches beyond the image, so no kernel is cut
        assert logits[0, :, -1, -1].tolist() == pytest.approx([5.0] * 3)


@pytest.mark.parametrize(
    'stride, expected', [(32, 134_346_581), (16, 134_364_410), (8, 134_376_863)]
)
def test_parameter_integers_of_fcn(stride, expected):
    """14,714,688 + 102,764,544 + 16,781,312 (fc), 86,037 + 10,773 + 5,397 (scores), 2 x 7,056."""
    with torch.device('meta'):
        parts = [
            VGG16(('image', *SKIPS[stride], 'fc7'), padding='pad100', ceil_mode=True),
            _head(stride, num_classes=21, padding='pad100'),
        ]
    assert sum(p.numel() for part in parts for p in part.parameters()) == expected


def test_fcn16s_starts_fcn8s():
    """Every weight of the coarser network has a place in the finer one, of the same meaning."""
    coarse, fine = _randomize(_head(16, fc=4)), _head(8, fc=4)
    missing, unexpected = fine.load_state_dict(coarse.state_dict(), strict=False)
    assert unexpected == [] and sorted(missing) == [
        'enlarge_skips.1.weight', 'score_skips.1.bias', 'score_skips.1.weight'
    ]  # fmt: skip
    assert fine.score_skips[0].weight.shape[1] == 512  # pool4, in both
    assert torch.equal(fine.score_skips[0].weight, coarse.score_skips[0].weight)


def test_scores_start_at_zero_and_kernels_bilinear():
    head = _head(8, fc=4)
    head.init_weights()
    assert not any(p.any() for m in (head.conv_seg, *head.score_skips) for p in m.parameters())
    for enlarge in head.enlarge_skips:
        assert (
            torch.equal(enlarge.weight[1, 1], bilinear_kernel(2)) and not enlarge.weight[0, 1].any()
        )
    fixed = _head(8, fc=4, learn_upsampling=False)
    assert not [n for n, _ in fixed.named_parameters() if 'enlarge' in n]


@pytest.mark.parametrize(
    'build, words',
    [
        (lambda: VGG16(('pool6',)), r"out must name maps among .* got \['pool6'\]"),
        (lambda: VGG16(()), r'out must name maps among .* got \[\]'),
        (lambda: VGG16(padding='valid'), "'same' or 'pad100', got 'valid'"),
        (lambda: FCNSkipHead((3,), num_classes=2), 'image, up to two skips and fc7'),
        (lambda: _head(8, padding='valid'), "'same' or 'pad100', got 'valid'"),
        (lambda: _head(8, skip_scales=[1.0]), r'skip_scales needs 2 factors, got \[1.0\]'),
        (lambda: UNetVGGHead(num_classes=2, widths=(8, 8)), 'one width for each of the 4 skips'),
    ],
)
def test_mistakes(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_maps_that_do_not_cover_the_image():
    """Poolings that round down lose the last rows."""
    maps = [torch.zeros(1, 3, 37, 37), torch.zeros(1, 4, 1, 1)]
    with pytest.raises(ValueError, match='cover .*32, 32.* of .*37, 37.*ceil_mode=True'):
        _head(32, fc=4)(maps)


def test_a_first_map_that_is_not_the_image():
    """Its size would cut the scores to a corner without a word."""
    maps = [torch.zeros(1, 64, 16, 16), torch.zeros(1, 4, 1, 1)]
    with pytest.raises(ValueError, match="first map has 64 channels, not the 3 .* 'image' first"):
        _head(32, fc=4)(maps)


# --- VGG16 ----------------------------------------------------------------------------------------


def test_taps_before_and_after_pooling():
    out = ('image', 'conv1', 'conv2', 'conv3', 'conv4', 'conv5', 'pool5')
    net = VGG16(out)
    net.init_weights()
    with torch.no_grad():
        maps = net(torch.randn(1, 3, 48, 33))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (3, 48, 33), (64, 48, 33), (128, 24, 16), (256, 12, 8), (512, 6, 4), (512, 3, 2),
        (512, 1, 1)]  # fmt: skip
    torch.testing.assert_close(F.max_pool2d(maps[5], 2), maps[6])
    assert len(VGG16(('conv2',)).features) == 10  # four convolutions with ReLU, two poolings


def _torchvision(batch_norm=False, fc=4096):
    """Names and shapes of torchvision's vgg16 and vgg16_bn, but for the width of fc6."""
    state, number, before = {}, 0, 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            state[f'features.{number}.weight'] = torch.rand(1).expand(width, before, 3, 3)
            state[f'features.{number}.bias'] = torch.rand(width)
            if batch_norm:
                for key in ('weight', 'bias', 'running_mean', 'running_var'):
                    state[f'features.{number + 1}.{key}'] = torch.rand(width)
            number, before = number + (3 if batch_norm else 2), width
        number += 1
    for name, shape in (('0', (fc, 512 * 49)), ('3', (fc, fc)), ('6', (1000, fc))):
        state[f'classifier.{name}.weight'] = torch.rand(1).expand(*shape)
        state[f'classifier.{name}.bias'] = torch.rand(shape[0])
    return state


@pytest.mark.parametrize('batch_norm', [False, True])
def test_torchvisions_weights_fit(batch_norm, tmp_path):
    state = _torchvision(batch_norm, fc=16)
    ramp = torch.arange(16 * 512 * 49).view(16, -1).float()
    state['classifier.0.weight'] = ramp
    torch.save(state, tmp_path / 'vgg16.pth')
    init = dict(type='VGG16Pretrained', checkpoint=str(tmp_path / 'vgg16.pth'))
    net = VGG16(('fc7',), batch_norm=batch_norm, fc_channels=16, init_cfg=init)
    net.init_weights()
    own = {k: v for k, v in net.state_dict().items() if 'num_batches' not in k}
    assert set(own) == {k for k in state if not k.startswith('classifier.6')}
    for name, value in own.items():
        assert torch.equal(value, state[name].reshape(value.shape)), name
    # channel, row, column: the order in which torchvision flattens the last pooling
    assert net.classifier[0].weight[2, 5, 3, 1] == ramp[2, 5 * 49 + 3 * 7 + 1]


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(batch_norm=True), 'features.1.weight is missing.*vgg16_bn'),
        (dict(out=('fc7',), fc_channels=8), r'classifier.0.weight is .*need fc_channels=4096'),
    ],
)
def test_weights_that_do_not_fit(settings, words, tmp_path):
    torch.save(_torchvision(fc=16), tmp_path / 'vgg16.pth')
    init = dict(type='VGG16Pretrained', checkpoint=str(tmp_path / 'vgg16.pth'))
    with pytest.raises(ValueError, match=words) as error:
        VGG16(**{'out': ('conv1',), **settings}, init_cfg=init).init_weights()
    assert 'vgg16.pth' in str(error.value)


# --- U-Net on VGG16 -------------------------------------------------------------------------------


def test_parameter_integers_of_unet_vgg():
    with torch.device('meta'):
        net = MODELS.build(dict(type='VGG16', out=[f'conv{i}' for i in range(1, 6)]))
        head = MODELS.build(dict(type='UNetVGGHead', num_classes=21))
    counts = [sum(p.numel() for p in part.parameters()) for part in (net, head)]
    assert counts == [14_714_688, 10_177_749] and sum(counts) == 24_892_437


@pytest.mark.parametrize('size', [(32, 16), (33, 19)])
def test_unet_vgg_restated(size):
    widths = (4, 5, 6, 7, 7)
    head = _randomize(UNetVGGHead(widths, num_classes=3))
    maps = [torch.randn(2, w, *(max(1, n >> i) for n in size)) for i, w in enumerate(widths)]
    x = maps[-1]
    with torch.no_grad():
        for skip, step in zip(maps[3::-1], list(head.steps)[::-1]):
            if size == (32, 16):  # the repository doubles, whatever the size
                x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)
            else:
                x = F.interpolate(x, skip.shape[2:], mode='bilinear', align_corners=True)
            x = torch.cat([skip, x], 1)
            for conv in (step[0], step[2]):
                x = F.relu(F.conv2d(x, conv.weight, conv.bias, padding=1))
        true = F.conv2d(x, head.conv_seg.weight, head.conv_seg.bias)
        ours = head(maps)
    assert ours.shape == (2, 3, *size)
    torch.testing.assert_close(ours, true, rtol=1e-5, atol=1e-5)
