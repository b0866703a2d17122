"""SegNet and ResSegNet: integers, the forward pass written again, odd sizes, weights, dropout."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS
from support.paths import ROOT
from torch import nn

from mmseg_ext.engine.vgg import vgg16_bn_states
from mmseg_ext.models.backbones import ResSegNet, SegNet
from mmseg_ext.models.decode_heads import ConvSegHead
from mmseg_ext.models.layers.dropout import Dropout

VGG = [[64, 64], [128, 128], [256] * 3, [512] * 3, [512] * 3]


def _count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def _head(backbone, num_classes, kernel_size):
    return ConvSegHead(backbone.out_channels[-1], num_classes=num_classes, kernel_size=kernel_size)


@pytest.mark.parametrize(
    'settings, num_classes, expected',
    [
        (dict(), 11, 29_449_355),
        (dict(), 21, 29_455_125),
        (dict(arch='basic'), 11, 1_416_587),
        (dict(num_stages=3), 21, 3_485_205),
        (dict(bayesian='center'), 11, 29_449_355),
    ],
)
def test_parameter_integers_of_segnet(settings, num_classes, expected):
    with torch.device('meta'):
        net = SegNet(**settings)
        kernel = 1 if net.arch == 'basic' else 3
        assert _count(net, _head(net, num_classes, kernel)) == expected


def test_the_halves_of_segnet():
    with torch.device('meta'):
        net = SegNet()
        assert _count(net.encoder) == 14_723_136
        assert _count(net.decoder, _head(net, 11, 3)) == 14_726_219
        assert sum(isinstance(m, nn.Conv2d) for m in net.encoder.modules()) == 13
        assert sum(isinstance(m, nn.Conv2d) for m in net.decoder.modules()) == 12


@pytest.mark.parametrize(
    'settings, expected',
    [
        (dict(), 2_109_717),
        (dict(convs_per_stage=(1, 1, 1)), 743_637),
        (dict(convs_per_stage=(1, 1, 1), fuse_mode='concat1x1'), 743_637 + 2_282_197 - 2_109_717),
        (dict(fuse_mode='concat1x1'), 2_282_197),
        (dict(deconvs_per_stage=(3, 2)), 3_438_741),
        # the last fusion is without parameters: 2 * 64 * 64 + 64 less
        (dict(fuse_mode='concat1x1', last_fuse=False), 2_282_197 - 8_256),
        (dict(fuse_mode='none'), 2_109_717),
        (dict(fuse_mode='none', last_concat=False), 2_109_717 - 64 * 21),
        (dict(bottleneck_convs=1), 2_109_717 + 256 * 256 * 9 + 3 * 256),
    ],
)
def test_parameter_integers_of_res_segnet(settings, expected):
    with torch.device('meta'):
        net = ResSegNet(**settings)
        assert _count(net, _head(net, 21, 1)) == expected


def _randomize(net, seed=0):
    """Weights and statistics at which no branch is dead, and no two layers are alike."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            spread = (2 / (module.in_channels * module.kernel_size[0] ** 2)) ** 0.5
            module.weight.data.normal_(0, spread, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.8, 1.2, generator=generator)
            module.bias.data.normal_(0.1, 0.1, generator=generator)
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return net.eval()


class _Weights:
    """Hands out the convolutions of a network in the order in which a paper's table lists them."""

    def __init__(self, *parts):
        layers = [m for part in parts for m in part.modules() if not list(m.children())]
        layers = [m for m in layers if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
        norms = [m for part in parts for m in part.modules() if isinstance(m, nn.BatchNorm2d)]
        self.layers = list(zip(layers, norms))

    def step(self, x, width, kernel=3, *, relu=True):
        conv, norm = self.layers.pop(0)
        weight = conv.weight
        if isinstance(conv, nn.ConvTranspose2d):  # a flipped convolution with the axes exchanged
            weight = weight.transpose(0, 1).flip(2, 3)
        assert weight.shape == (width, x.shape[1], kernel, kernel)
        x = F.conv2d(x, weight, conv.bias, padding=kernel // 2)
        shape = (1, -1, 1, 1)
        x = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-5).sqrt()
        x = x * norm.weight.view(shape) + norm.bias.view(shape)
        return x.clamp(min=0) if relu else x


def _pool(x):
    """Ceil-mode pooling by padding, and a mask of the first maximum of each window."""
    height, width = x.shape[2:]
    padded = F.pad(x, (0, width % 2, 0, height % 2), value=-torch.inf)
    windows = padded.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    y = windows.amax(4)
    first = F.one_hot(windows.argmax(4), 4)

    def unpool(z):
        filled = (z.unsqueeze(4) * first).unflatten(4, (2, 2))
        filled = filled.permute(0, 1, 2, 4, 3, 5).flatten(4, 5).flatten(2, 3)
        return filled[:, :, :height, :width]

    return y, unpool


def _vgg_by_table(net, x, stages):
    encoder, switches = _Weights(net.encoder), []
    for widths in VGG[:stages]:
        for width in widths:
            x = encoder.step(x, width)
        x, unpool = _pool(x)
        switches.append(unpool)
    table = [[512] * 3, [512, 512, 256], [256, 256, 128], [128, 64], [64]][5 - stages :]
    if stages == 3:
        assert table[0] == [256, 256, 128]
    blocks = [_Weights(block) for block in net.decoder]
    maps = []
    for widths, block, unpool in zip(table, reversed(blocks), reversed(switches)):
        x = unpool(x)
        for width in widths:
            x = block.step(x, width)
        maps.append(x)
    return maps


@pytest.mark.parametrize('unpool', ['index', 'scatter'])
@pytest.mark.parametrize('size', [(11, 14), (16, 8)])
def test_vgg16_equals_the_authors_table(size, unpool):
    net = _randomize(SegNet(num_stages=3, unpool=unpool))
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, expected = net(x), _vgg_by_table(net, x, 3)
    assert len(found) == len(expected) == 3
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_all_five_stages_equal_the_table():
    net = _randomize(SegNet())
    x = torch.randn(1, 3, 37, 33, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, expected = net(x), _vgg_by_table(net, x, 5)
    assert [tuple(m.shape[1:]) for m in found] == [
        (512, 3, 3),
        (256, 5, 5),
        (128, 10, 9),
        (64, 19, 17),
        (64, 37, 33),
    ]
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_basic_equals_the_authors_table():
    net = _randomize(SegNet('basic'))
    x = 255 * torch.rand(1, 3, 21, 18, generator=torch.Generator().manual_seed(1))
    # the normalisation of three channels by hand: every window of 5 sees all three
    y = x / (1 + 1e-4 / 5 * x.square().sum(1, keepdim=True)) ** 0.75
    assert ((1 + 1e-4 / 5 * x.square().sum(1)) ** 0.75).max() > 1.5  # it matters at 0..255
    encoder, switches = _Weights(net.encoder), []
    with torch.no_grad():
        for _ in range(4):
            y, unpool = _pool(encoder.step(y, 64, 7))
            switches.append(unpool)
        for block, unpool in zip(reversed(net.decoder), reversed(switches)):
            y = _Weights(block).step(unpool(y), 64, 7, relu=False)
        found = net(x)
    assert [tuple(m.shape[2:]) for m in found] == [(3, 3), (6, 5), (11, 9), (21, 18)]
    torch.testing.assert_close(found[-1], y, rtol=1e-3, atol=1e-3)
    assert (found[-1] < 0).any()  # no ReLU in the decoder


@pytest.mark.parametrize('mode', ['add', 'none', 'concat1x1'])
@pytest.mark.parametrize('last_fuse', [True, False])
def test_res_segnet_equals_the_papers_steps(mode, last_fuse):
    net = _randomize(ResSegNet(fuse_mode=mode, last_fuse=last_fuse))
    x = torch.randn(1, 3, 15, 21, generator=torch.Generator().manual_seed(1))

    def fuse(unpooled, encoded, layer):
        if mode == 'none':
            return unpooled
        if mode == 'add':
            return unpooled + encoded
        both = torch.cat([unpooled, encoded], dim=1)
        weight = layer.project.weight[:, :, 0, 0]
        return torch.einsum('oc,nchw->nohw', weight, both) + layer.project.bias.view(1, -1, 1, 1)

    w = _Weights(net.encoder, net.de3, net.de2)
    with torch.no_grad():
        f1 = w.step(w.step(x, 64), 64)
        y, pi1 = _pool(f1)
        f2 = w.step(w.step(y, 128), 128)
        y, pi2 = _pool(f2)
        f3 = w.step(w.step(w.step(y, 256), 256), 256)
        f4, pi3 = _pool(f3)
        d3 = w.step(fuse(pi3(f4), f3, net.fuse3), 128)
        d2 = w.step(fuse(pi2(d3), f2, net.fuse2), 64)
        last = fuse(pi1(d2), f1, net.fuse1) if last_fuse else pi1(d2)
        expected = (d3, d2, torch.cat([last, f1], dim=1))
        found = net(x)
    assert not w.layers
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert [tuple(m.shape[1:]) for m in found] == [(128, 4, 6), (64, 8, 11), (128, 15, 21)]


@pytest.mark.parametrize('size', [(65, 97), (37, 33), (1, 1), (2, 31)])
def test_any_size_comes_back(size):
    for net in (SegNet('basic'), ResSegNet(convs_per_stage=(1, 1, 1), widths=(8, 8, 8))):
        maps = net.eval()(torch.rand(1, 3, *size))
        assert maps[-1].shape[2:] == size
        assert [m.shape[1] for m in maps] == list(net.out_channels)


@pytest.mark.parametrize('name', ['SegNet', 'ResSegNet'])
def test_determinism_changes_no_value(name):
    settings = dict(arch='basic') if name == 'SegNet' else dict(widths=(8, 8, 8))
    net = _randomize(MODELS.build(dict(type=name, **settings)))
    x = torch.randn(1, 3, 13, 18, generator=torch.Generator().manual_seed(1))
    results = []
    for deterministic in (False, True):
        torch.use_deterministic_algorithms(deterministic)
        try:
            net.zero_grad()
            maps = net(x)
            maps[-1].square().sum().backward()
        finally:
            torch.use_deterministic_algorithms(False)
        results.append([maps[-1].detach(), *(p.grad.clone() for p in net.parameters())])
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('dynamo', [False, True])
@pytest.mark.parametrize('name', ['SegNet', 'ResSegNet'])
def test_onnx_export(name, dynamo, onnx_export):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            settings = dict(num_stages=2) if name == 'SegNet' else dict(widths=(4, 4, 4))
            self.net = _randomize(MODELS.build(dict(type=name, **settings)))

        def forward(self, x):
            return self.net(x)[-1]

    used = onnx_export(Last().eval(), torch.randn(1, 3, 13, 18), dynamo=dynamo)
    assert 'ScatterElements' in used


@pytest.mark.parametrize(
    'name, expected',
    [
        ('segnet_vgg16_camvid', 29_449_355),
        ('segnet_bayesian_camvid', 29_449_355),
        ('segnet_vgg16_voc12aug', 29_455_125),
        ('segnet_basic_camvid', 1_416_587),
        ('segnet_basic_camvid180', 1_416_587),
        ('resegnet_voc12aug', 2_109_717),
        ('resegnet_bce_voc12aug', 2_109_717),
        ('resegnet_bce_camvid', 2_109_717 - (21 - 11) * (2 * 64 + 1)),
        ('resegnet_noskip_camvid', 2_109_717 - (21 - 11) * (2 * 64 + 1) - 64 * 11),
    ],
)
def test_parameter_integers_of_the_configs(name, expected):
    cfg = Config.fromfile(ROOT / 'configs' / 'segnet' / f'{name}.py')
    with torch.device('meta'):
        parts = [MODELS.build(cfg.model[k]) for k in ('backbone', 'decode_head')]
    assert _count(*parts) == expected


# --- start ----------------------------------------------------------------------------------------


def test_the_start_is_the_authors():
    torch.manual_seed(0)
    for net in (SegNet(num_stages=3), ResSegNet()):
        net.init_weights()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert (module.weight == 1).all() and (module.bias == 0.001).all()
            elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                expected = (2 / (module.in_channels * 9)) ** 0.5
                assert module.weight.std().item() == pytest.approx(expected, rel=0.05)
                assert not module.bias.any()
    head = ConvSegHead(64, num_classes=11)
    head.init_weights()
    assert head.conv_seg.weight.std().item() == pytest.approx((2 / 576) ** 0.5, rel=0.05)


def _torchvision(*, norm=True, width=1.0):
    """Weights under torchvision's names; the numbers count ReLU and poolings, too."""
    state, number, before = {}, 0, 3
    generator = torch.Generator().manual_seed(0)
    for stage in VGG:
        for channels in stage:
            channels = int(channels * width)
            shape = (channels, before, 3, 3)
            state[f'features.{number}.weight'] = torch.randn(shape, generator=generator)
            state[f'features.{number}.bias'] = torch.randn(channels, generator=generator)
            if norm:
                for key in ('weight', 'bias', 'running_mean', 'running_var'):
                    value = torch.rand(channels, generator=generator)
                    state[f'features.{number + 1}.{key}'] = value
                state[f'features.{number + 1}.num_batches_tracked'] = torch.tensor(7)
            number, before = number + (3 if norm else 2), channels
        number += 1  # pooling
    state['classifier.0.weight'] = torch.zeros(2, 2)
    return state


@pytest.mark.parametrize('name', ['SegNet', 'ResSegNet'])
@pytest.mark.parametrize('wrapped', [False, True])
def test_vgg16_bn_starts_the_encoder(name, wrapped, tmp_path):
    state = _torchvision()
    assert {'features.40.weight', 'features.41.running_var'} <= set(state)  # torchvision's last
    path = tmp_path / 'vgg16_bn.pth'
    torch.save(dict(state_dict=state) if wrapped else state, path)
    net = MODELS.build(
        dict(type=name, init_cfg=dict(type='VGG16BNPretrained', checkpoint=str(path)))
    )
    net.init_weights()
    numbers = [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]
    layers = net.vgg16_layers()
    assert len(layers) == (13 if name == 'SegNet' else 7)
    for number, (conv, norm) in zip(numbers, layers):
        assert torch.equal(conv.weight, state[f'features.{number}.weight'])
        assert torch.equal(conv.bias, state[f'features.{number}.bias'])
        for key in ('weight', 'bias', 'running_mean', 'running_var'):
            assert torch.equal(getattr(norm, key), state[f'features.{number + 1}.{key}'])
    first = net.decoder[0][0][1] if name == 'SegNet' else net.de3[0][1]
    assert (first.bias == 0.001).all()  # the decoder has the authors' start


@pytest.mark.parametrize(
    'state, settings, words',
    [
        ({'0.weight': torch.zeros(1)}, {}, "no weights are called 'features.0.weight'"),
        (_torchvision(norm=False, width=0.1), {}, 'no batch norm .*take those of vgg16_bn'),
        (_torchvision(width=0.1), {}, r'convolution 0 is \(6, 3, 3, 3\), .*\(64, 3, 3, 3\)'),
        (_torchvision(width=0.1), dict(arch='basic'), "fit arch='vgg16' only"),
    ],
)
def test_weights_that_do_not_fit(state, settings, words, tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save(state, path)
    init = dict(type='VGG16BNPretrained', checkpoint=str(path))
    with pytest.raises(ValueError, match=words) as error:
        SegNet(**{'num_stages': 2, **settings}, init_cfg=init).init_weights()
    assert 'weights.pth' in str(error.value)


def test_literal_stages_cannot_take_vgg16(tmp_path):
    path = tmp_path / 'vgg16_bn.pth'
    torch.save(_torchvision(), path)
    init = dict(type='VGG16BNPretrained', checkpoint=str(path))
    with pytest.raises(ValueError, match='convolution 1 is .*2, 2, 3, 3, 3 convolutions'):
        ResSegNet(convs_per_stage=(1, 1, 1), init_cfg=init).init_weights()


def test_states_are_sorted_by_number_not_by_name():
    shapes = [s['conv']['weight'].shape[0] for s in vgg16_bn_states(_torchvision())]
    assert shapes == [c for stage in VGG for c in stage]


# --- dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'arch, mode, before, after, decoded',
    [
        ('vgg16', None, [], [], []),
        ('vgg16', 'center', [], [3, 4, 5], [3, 4, 5]),
        ('vgg16', 'all', [1, 2, 3, 4, 5], [5], [2, 3, 4, 5]),
        ('basic', 'center', [], [3, 4], [3, 4]),
        ('basic', 'all', [1, 2, 3, 4], [4], [2, 3, 4]),
    ],
)
def test_places_of_the_dropout(arch, mode, before, after, decoded):
    with torch.device('meta'):
        net = SegNet(arch, bayesian=mode, dropout=0.3)
    for layers, expected in (
        (net.before_pool, before),
        (net.after_pool, after),
        (net.after_decoder, decoded),
    ):
        places = [i for i, layer in enumerate(layers, 1) if isinstance(layer, Dropout)]
        assert places == expected
    found = [m for m in net.modules() if isinstance(m, Dropout)]
    assert len(found) == len(before + after + decoded) and all(m.p == 0.3 for m in found)


def test_dropout_acts_in_training_only():
    net = _randomize(SegNet('basic', bayesian='center'))
    x = torch.rand(1, 3, 17, 19)
    with torch.no_grad():
        assert torch.equal(net(x)[-1], net(x)[-1])
        for module in net.modules():
            module.training = isinstance(module, Dropout)
        assert not torch.equal(net(x)[-1], net(x)[-1])


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'build, words',
    [
        (lambda: SegNet('vgg19'), "arch must be 'vgg16' or 'basic', got 'vgg19'"),
        (lambda: SegNet(num_stages=6), 'num_stages of vgg16 must be 1 to 5, got 6'),
        (lambda: SegNet(bayesian='some'), "None, 'center' or 'all', got 'some'"),
        (
            lambda: SegNet(unpool='magic'),
            "unpool must be 'auto', .* got 'magic'",
        ),
        (
            lambda: ResSegNet(unpool='magic'),
            "unpool must be 'auto', .* got 'magic'",
        ),
        (lambda: ResSegNet(fuse_mode='mul'), "'add', 'none' or 'concat1x1', got 'mul'"),
        (lambda: ResSegNet(convs_per_stage=(2, 2)), r'convs_per_stage needs 3 .* got \(2, 2\)'),
        (lambda: ResSegNet(deconvs_per_stage=(1, 0)), r'deconvs_per_stage needs 2 .* \(1, 0\)'),
        (lambda: ResSegNet(bottleneck_convs=-1), 'bottleneck_convs must be 0 or more, got -1'),
        (lambda: ConvSegHead(8, num_classes=3, kernel_size=2), 'kernel_size must be odd, got 2'),
    ],
)
def test_mistakes(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_every_parameter_gets_a_gradient():
    for net in (SegNet('basic'), ResSegNet(widths=(8, 8, 8), fuse_mode='concat1x1')):
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            net.init_weights()
            net(torch.rand(2, 3, 33, 17))[-1].square().sum().backward()
        assert [n for n, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    'name, scale', [('segnet_vgg16_camvid', 0.0), ('segnet_basic_camvid', 5e-4)]
)
def test_what_decays_as_in_the_authors_solvers(name, scale):
    """Basic's batch norms set no factors of their own, so that both of their tensors decay."""
    cfg = Config.fromfile(ROOT / f'configs/segnet/{name}.py')
    with torch.device('meta'):
        network = nn.Sequential(SegNet(arch=cfg.model.backbone.get('arch', 'vgg16')))
    groups = build_optim_wrapper(network, cfg.optim_wrapper).optimizer.param_groups
    parameters = [p for module in network.modules() for p in module.parameters(recurse=False)]
    owners = [m for m in network.modules() for _ in m.parameters(recurse=False)]
    how = {id(group['params'][0]): (group['weight_decay'], group['lr']) for group in groups}
    lr = cfg.optim_wrapper.optimizer.lr
    for module, parameter in zip(owners, parameters, strict=True):
        if isinstance(module, nn.BatchNorm2d):
            assert how[id(parameter)] == (scale, lr)
        elif parameter is module.weight:
            assert how[id(parameter)] == (5e-4, lr)
        else:
            assert how[id(parameter)] == (0.0, 2 * lr)
