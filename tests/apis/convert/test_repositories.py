"""Whole networks of public repositories: their lists of tensors, and logits restated by hand."""

import itertools
import re
import runpy
import sys

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS
from support.paths import ROOT

from mmseg_ext.apis.convert.conversion import convert
from mmseg_ext.apis.convert.converted_file import (
    convert_file,
    converted_meta,
    describe,
    read_public_weights,
)
from mmseg_ext.apis.convert.sources import SOURCES, find_source
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.network.recorded import settings_of
from mmseg_ext.apis.run.network.settings import check_settings
from mmseg_ext.utils import register_all_modules

register_all_modules()
KEYS = ROOT / 'tests/support/keys'
TOOL = ROOT / 'tools/model_converters/convert.py'
NORM = ('weight', 'bias', 'running_mean', 'running_var')


def _expand(name):
    """``a{1..3}`` to a1, a2, a3, ``a{x,y}`` to ax, ay."""
    parts = re.split(r'\{(.*?)\}', name)
    for index in range(1, len(parts), 2):
        first, dots, last = parts[index].partition('..')
        names = range(int(first), int(last) + 1) if dots else parts[index].split(',')
        parts[index] = list(map(str, names))
    choices = [part if isinstance(part, list) else [part] for part in parts]
    return [''.join(choice) for choice in itertools.product(*choices)]


def _shapes(file):
    """Names and shapes of a list."""
    shapes = {}

    def module(kind, name, *sizes):
        if kind == 'sep':
            into, out = sizes
            module('conv', f'{name}.depthwise', into, 1, 3, 3)
            module('bn', f'{name}.bn1', into)
            module('conv', f'{name}.pointwise', out, into, 1, 1)
            module('bn', f'{name}.bn2', out)
            return
        if kind == 'tensor':
            shapes[name] = sizes
            return
        shapes[f'{name}.weight'] = sizes
        if kind in ('biased', 'norm'):
            shapes[f'{name}.bias'] = sizes[:1]
        elif kind == 'bn':
            shapes.update({f'{name}.{leaf}': sizes for leaf in NORM[1:]})
            shapes[f'{name}.num_batches_tracked'] = ()
        else:
            assert kind == 'conv'

    lines = (KEYS / f'{file}.txt').read_text().splitlines()
    assert lines[1].startswith('# https://') and re.search(r'read at [0-9a-f]{40}', lines[2])
    for line in lines:
        if not line.startswith('#'):
            kind, names, *sizes = line.split()
            for name in _expand(names):
                module(kind, name, *map(int, sizes))
    return shapes


def _state(file, *, zero=()):
    """Made-up weights that keep activations near one; ``zero`` are prefixes that need no memory."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in _shapes(file).items():
        if name.endswith('num_batches_tracked'):
            state[name] = torch.tensor(len(state))
        elif name.startswith(tuple(zero)):
            state[name] = torch.zeros(()).expand(shape)
        elif name.endswith(('relative_position_index', 'attn_mask')):
            state[name] = torch.zeros(shape)
        elif len(shape) in (2, 4):
            fan_in = torch.Size(shape[1:]).numel()
            state[name] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        else:
            low = 0.6 if name.endswith(('running_var', '.weight')) else -0.2
            state[name] = torch.rand(shape, generator=generator) * 0.6 + low
    return state


def _parameters(shapes):
    buffers = ('running_mean', 'running_var', 'num_batches_tracked', '_index', 'attn_mask')
    return sum(torch.Size(s).numel() for k, s in shapes.items() if not k.endswith(buffers))


@pytest.mark.parametrize(
    'file, tensors, parameters',
    [  # the second are the repositories' own counts, auxiliary branch of PSPNet on
        ('deeplabv3plus_xception', 792 + 65, 54_713_557),
        ('deeplabv3plus_mobilenetv2', 306 + 65, 5_818_149),
        ('pspnet_mobilenetv2', 306 + 5 * 6 + 2 + 8, 2_412_914),
        ('hrnet_w18', 1830 + 9, 9_641_661),
        ('unet_vgg16', 2 * (13 + 8 + 1), 24_892_437),
        ('swinunet', 14 * 14 + 6 + 36, 27_170_052),
        ('pspnet_resnet50', 370, 49_081_578),  # no count is published: the sum of the list
        ('unet_resnet50', 340, 43_934_101),
        ('transunet_r50_vit_b16', 409, 105_277_081),
        ('transdeeplab', 23 * 14 + 10 + 34, 21_143_676),  # printed by its code
        ('dilateformer_tiny', 12 * 14 + 19 + 3 * 7 + 4, 17_238_744),  # printed by its code
        ('unet3plus', 7 * (10 + 20 + 4) + 2 * 5, 26_989_637),  # printed by its code
    ],
)
def test_the_lists_have_the_published_numbers_of_parameters(file, tensors, parameters):
    shapes = _shapes(file)
    assert _parameters(shapes) == parameters
    assert len(shapes) == tensors


class Restated:
    """A public network as plain functions on its names."""

    def __init__(self, state, prefix=''):
        self.state, self.prefix = state, prefix

    def conv(self, x, name, stride=1, dilation=1, groups=1):
        weight = self.state[f'{self.prefix}{name}.weight']
        padding = dilation * (weight.shape[-1] // 2)
        bias = self.state.get(f'{self.prefix}{name}.bias')
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)

    def bn(self, x, name):
        weight, bias, mean, var = (self.state[f'{self.prefix}{name}.{leaf}'] for leaf in NORM)
        return F.batch_norm(x, mean, var, weight, bias, training=False, eps=1e-5)

    def conv_bn(self, x, conv, bn, **how):
        return self.bn(self.conv(x, conv, **how), bn)

    def stack(self, x, name, first=0, **how):
        """A convolution, a norm and a ReLU, numbered through."""
        return self.conv_bn(x, f'{name}.{first}', f'{name}.{first + 1}', **how).relu()

    def mobilenet(self, x, lost=None, dilate=lambda number: 2 if number > 14 else 1):
        """The maps after every block, strides replaced by dilation: the last one by default."""
        lost = lost or {14: (1, 1)}
        x = self.conv_bn(x, 'features.0.0', 'features.0.1', stride=2).clamp(0, 6)
        maps = [x]
        for number in range(1, 18):
            stride = 2 if number in (2, 4, 7, 14) else 1
            stride, dilation = lost.get(number, (stride, dilate(number)))
            name, h, step = f'features.{number}.conv', x, 0
            if number > 1:
                h = self.conv_bn(h, f'{name}.0', f'{name}.1').clamp(0, 6)
                step = 3
            how = dict(stride=stride, dilation=dilation, groups=h.shape[1])
            h = self.conv_bn(h, f'{name}.{step}', f'{name}.{step + 1}', **how).clamp(0, 6)
            h = self.conv_bn(h, f'{name}.{step + 3}', f'{name}.{step + 4}')
            x = x + h if h.shape == x.shape and number not in (2, 4, 7, 14) else h
            maps.append(x)
        return maps

    def deeplab_head(self, low, x, rates=(6, 12, 18)):
        branches = [self.stack(x, 'aspp.branch1')]
        for i, rate in zip((2, 3, 4), rates, strict=True):
            branches.append(self.stack(x, f'aspp.branch{i}', dilation=rate))
        mean = x.mean((2, 3), keepdim=True)
        mean = self.conv_bn(mean, 'aspp.branch5_conv', 'aspp.branch5_bn').relu()
        x = self.stack(torch.cat([*branches, _resize(mean, x)], 1), 'aspp.conv_cat')
        low = self.stack(low, 'shortcut_conv')
        x = self.stack(torch.cat([_resize(x, low), low], 1), 'cat_conv')
        return self.conv(self.stack(x, 'cat_conv', first=4), 'cls_conv')

    def psp_heads(self, middle, x):
        pooled = [x]
        for i, size in enumerate((1, 2, 3, 6)):
            y = self.stack(F.adaptive_avg_pool2d(x, size), f'master_branch.0.stages.{i}', first=1)
            pooled.append(_resize(y, x))
        x = self.stack(torch.cat(pooled, 1), 'master_branch.0.bottleneck')
        side = self.stack(middle, 'auxiliary_branch')
        return self.conv(x, 'master_branch.1'), self.conv(side, 'auxiliary_branch.4')

    def resnet(self, x, geometry):
        """The maps of the stages; strides and dilations of their first and their other blocks."""
        maps = []
        for stage, (blocks, (stride, first, rest)) in enumerate(zip((3, 4, 6, 3), geometry), 1):
            for i in range(blocks):
                name, step = f'layer{stage}.{i}', 1 if i else stride
                h = self.conv_bn(x, f'{name}.conv1', f'{name}.bn1').relu()
                how = dict(stride=step, dilation=rest if i else first)
                h = self.conv_bn(h, f'{name}.conv2', f'{name}.bn2', **how).relu()
                h = self.conv_bn(h, f'{name}.conv3', f'{name}.bn3')
                skip = f'{name}.downsample'
                x = x if i else self.conv_bn(x, f'{skip}.0', f'{skip}.1', stride=step)
                x = (h + x).relu()
            maps.append(x)
        return maps

    def go_up(self, skips):
        """U-Net's decoder, from the deepest map."""
        *skips, x = skips
        for step in (4, 3, 2, 1):
            x = torch.cat([skips[step - 1], _resize(x, skips[step - 1])], 1)
            for conv in ('conv1', 'conv2'):
                x = self.conv(x, f'up_concat{step}.{conv}').relu()
        return x

    def hrnet(self, x):
        """The maps of the four branches."""
        for i in ('1', '2'):
            x = self.conv_bn(x, f'conv{i}', f'bn{i}', stride=2).relu()
        for i in range(4):
            name = f'layer1.{i}'
            h = self.conv_bn(x, f'{name}.conv1', f'{name}.bn1').relu()
            h = self.conv_bn(h, f'{name}.conv2', f'{name}.bn2').relu()
            h = self.conv_bn(h, f'{name}.conv3', f'{name}.bn3')
            skip = f'{name}.downsample'
            x = (h + (x if i else self.conv_bn(x, f'{skip}.0', f'{skip}.1'))).relu()
        maps = [self.stack(x, 'transition1.0'), self.stack(x, 'transition1.1.0', stride=2)]
        for stage, modules in ((2, 1), (3, 4), (4, 3)):
            if stage > 2:
                name = f'transition{stage - 1}.{stage - 1}.0'
                maps.append(self.stack(maps[-1], name, stride=2))
            for module in range(modules):
                maps = self.hr_module(maps, f'stage{stage}.{module}')
        return maps

    def hr_module(self, maps, name):
        for branch, x in enumerate(maps):
            for block in range(4):
                at = f'{name}.branches.{branch}.{block}'
                h = self.conv_bn(x, f'{at}.conv1', f'{at}.bn1').relu()
                x = (x + self.conv_bn(h, f'{at}.conv2', f'{at}.bn2')).relu()
            maps[branch] = x
        return [self.fused(maps, i, f'{name}.fuse_layers.{i}').relu() for i in range(len(maps))]

    def fused(self, maps, i, name):
        total = maps[i]
        for j, x in enumerate(maps):
            if j > i:
                total = total + _resize(self.conv_bn(x, f'{name}.{j}.0', f'{name}.{j}.1'), maps[i])
            for k in range(i - j):
                at = f'{name}.{j}.{k}'
                x = self.conv_bn(x, f'{at}.0', f'{at}.1', stride=2)
                x = x.relu() if k < i - j - 1 else x
            total = total + x if j < i else total
        return total


def _resize(x, like):
    return F.interpolate(x, like.shape[2:], mode='bilinear', align_corners=True)


def _converted(source, file):
    """The public weights, and our parts with the converted ones; nothing may be left over."""
    state = _state(file)
    done = convert(dict(state), SOURCES[source])
    assert done.left_out == [] and done.absent == []
    return state, done, {name: _built(done, name) for name in done.model}


def _built(done, name):
    part = MODELS.build(dict(done.model[name]))
    own = {k.removeprefix(f'{name}.'): v for k, v in done.state.items() if k.startswith(name)}
    part.load_state_dict(own, strict=True)
    part.eval()  # returns nothing in some of mmseg's
    return part


def _equal(got, expected):
    assert expected.std() > 1e-2
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def _image(*size):
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_deeplabv3plus_xception():
    """The backbone keeps names and values, and test_xception.py restates it; so the head counts."""
    state = _state('deeplabv3plus_xception', zero=['backbone.'])
    done = convert(state, SOURCES['bubbliiiing_deeplabv3plus'])
    assert done.left_out == [] and done.absent == []
    backbone = [key for key in state if key.startswith('backbone.')]
    assert len(backbone) == 792 and all(done.state[key] is state[key] for key in backbone)
    assert len(done.state) == len(state)
    assert done.model['backbone'] == dict(type='XceptionDeepLab', output_stride=16)
    head = _built(done, 'decode_head')
    maps = [torch.randn(1, c, n, n + 1) for c, n in ((256, 16), (728, 4), (2048, 4))]
    _equal(head(maps), Restated(state).deeplab_head(maps[0], maps[2]))


@torch.no_grad()
def test_deeplabv3plus_mobilenetv2():
    state, done, parts = _converted('bubbliiiing_deeplabv3plus', 'deeplabv3plus_mobilenetv2')
    assert len(done.state) == len(state)
    x = _image(64, 97)
    maps = Restated(state, 'backbone.').mobilenet(x)
    got = parts['backbone'](x)
    for mine, expected in zip(got, (maps[3], maps[13], maps[17]), strict=True):
        _equal(mine, expected)
    _equal(parts['decode_head'](got), Restated(state).deeplab_head(maps[3], maps[17]))


@torch.no_grad()
def test_pspnet():
    state, done, parts = _converted('bubbliiiing_pspnet', 'pspnet_mobilenetv2')
    assert len(done.state) == len(state) and list(parts)[2] == 'auxiliary_head'
    x = _image(96, 113)
    maps = Restated(state, 'backbone.').mobilenet(x)
    got = parts['backbone'](x)
    main, side = Restated(state).psp_heads(maps[13], maps[17])
    _equal(parts['decode_head'](got), main)
    _equal(parts['auxiliary_head'](got), side)
    without = {k: v for k, v in state.items() if not k.startswith('auxiliary')}
    done = convert(without, SOURCES['bubbliiiing_pspnet'])
    assert list(done.model) == ['backbone', 'decode_head'] and len(done.state) == len(without)


@torch.no_grad()
@pytest.mark.parametrize('stride', [16, 8])
def test_pspnet_on_resnet50(stride):
    state = _state('pspnet_resnet50')
    done = convert(dict(state), SOURCES['bubbliiiing_pspnet'], dict(output_stride=stride))
    assert done.left_out == [] and done.absent == [] and len(done.state) == len(state)
    parts = {name: _built(done, name) for name in done.model}
    x = _image(64, 81)
    net = Restated(state, 'backbone.')
    y = net.conv_bn(x, 'conv1', 'bn1', stride=2).relu()
    for i in '23':
        y = net.conv_bn(y, f'conv{i}', f'bn{i}').relu()
    # stride and dilation of the first block of a stage, and dilation of the others
    last = [(2, 1, 1), (1, 1, 2)] if stride == 16 else [(1, 1, 2), (1, 2, 4)]
    maps = net.resnet(F.max_pool2d(y, 3, 2, 1), [(1, 1, 1), (2, 1, 1), *last])
    got = parts['backbone'](x)
    for mine, expected in zip(got, maps[2:], strict=True):
        _equal(mine, expected)
    main, side = Restated(state).psp_heads(maps[2], maps[3])
    _equal(parts['decode_head'](got), main)
    _equal(parts['auxiliary_head'](got), side)


@torch.no_grad()
def test_unet_on_resnet50():
    state, done, parts = _converted('bubbliiiing_unet', 'unet_resnet50')
    assert len(done.state) == len(state)
    x, net = _image(64, 96), Restated(state)
    encoder = Restated(state, 'resnet.')
    first = encoder.conv_bn(x, 'conv1', 'bn1', stride=2).relu()
    pooled = F.max_pool2d(first, 3, 2, 0, ceil_mode=True)
    skips = [first, *encoder.resnet(pooled, [(1, 1, 1)] + [(2, 1, 1)] * 3)]
    got = parts['backbone'](x)
    for mine, expected in zip(got, skips, strict=True):
        _equal(mine, expected)
    y = net.go_up(skips)
    y = F.interpolate(y, scale_factor=2, mode='bilinear', align_corners=True)
    for conv in ('up_conv.1', 'up_conv.3'):
        y = net.conv(y, conv).relu()
    _equal(parts['decode_head'](got), net.conv(y, 'final'))


@torch.no_grad()
def test_hrnet():
    state, done, parts = _converted('bubbliiiing_hrnet', 'hrnet_w18')
    assert len(done.state) == len(state) - 1  # the bias that went into the running mean
    assert sum(p.numel() for part in parts.values() for p in part.parameters()) == 9_641_661 - 270
    x = _image(64, 96)
    public = Restated(state, 'backbone.model.')
    maps = public.hrnet(x)
    got = parts['backbone'](x)
    for mine, expected in zip(got, maps, strict=True):
        _equal(mine, expected)
    joined = torch.cat([_resize(y, maps[0]) for y in maps], 1)
    head = Restated(state)
    _equal(parts['decode_head'](got), head.conv(head.stack(joined, 'last_layer'), 'last_layer.3'))
    assert state['last_layer.1.running_mean'].data_ptr() != (
        done.state['decode_head.convs.0.bn.running_mean'].data_ptr()
    )


@torch.no_grad()
def test_unet():
    state, done, parts = _converted('bubbliiiing_unet', 'unet_vgg16')
    assert len(done.state) == len(state)
    x, net, skips = _image(48, 64), Restated(state), []
    got = parts['backbone'](x)
    for stage, convs in enumerate(((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))):
        x = F.max_pool2d(x, 2) if stage else x
        for conv in convs:
            x = net.conv(x, f'vgg.features.{conv}').relu()
        skips.append(x)
    for mine, expected in zip(got, skips, strict=True):
        _equal(mine, expected)
    _equal(parts['decode_head'](got), net.conv(net.go_up(skips), 'final'))


class RestatedUNet3Plus(Restated):
    """UNet 3+ at a multiple of 16 pixels."""

    def skip(self, x, level, stage, decoded):
        steps = level - stage
        if steps > 0:
            x = F.interpolate(x, scale_factor=2**steps, mode='bilinear')
        elif steps < 0:
            x = x.unflatten(3, (-1, 2**-steps)).unflatten(2, (-1, 2**-steps)).amax((3, 5))
        way = 'UT' if steps > 0 else 'PT' if steps < 0 else 'Cat'
        name = f'{"hd" if decoded else "h"}{level}_{way}_hd{stage}'
        return self.conv_bn(x, f'{name}_conv', f'{name}_bn').relu()

    def maps(self, x):
        """The decoder's maps, the coarsest first."""
        maps = {}
        for level in range(1, 6):
            x = F.max_pool2d(x, 2) if level > 1 else x
            for conv in (1, 2):
                x = self.stack(x, f'conv{level}.conv{conv}')
            maps[level] = x
        for stage in (4, 3, 2, 1):
            parts = [self.skip(maps[i], i, stage, i > stage) for i in range(1, 6)]
            x = self.conv_bn(torch.cat(parts, 1), f'conv{stage}d_1', f'bn{stage}d_1')
            maps[stage] = x.relu()
        return [maps[level] for level in (5, 4, 3, 2, 1)]


@torch.no_grad()
def test_unet3plus():
    state = _state('unet3plus')
    done = convert(dict(state), SOURCES['zjugivelab_unet3plus'])
    sides = [f'outconv{i}.{leaf}' for i in (1, 2, 3, 4, 5) for leaf in NORM[:2]]
    assert done.left_out == sides[2:] and done.absent == []
    backbone, head = _built(done, 'backbone'), _built(done, 'decode_head')
    net, x = RestatedUNet3Plus(state), _image(32, 48)
    got, expected = backbone(x), net.maps(x)
    for mine, public in zip(got, expected, strict=True):
        _equal(mine, public)
    _equal(head(got), net.conv(expected[-1], 'outconv1'))
    assert head.num_classes == 2 and head.out_channels == 1  # a sigmoid


class RestatedSwin(Restated):
    """Swin-UNet at 224 pixels, whose maps are whole windows of 7; maps are (N, H, W, C)."""

    def linear(self, x, name):
        bias = self.state.get(f'{self.prefix}{name}.bias')
        return F.linear(x, self.state[f'{self.prefix}{name}.weight'], bias)

    def ln(self, x, name):
        weight, bias = (self.state[f'{self.prefix}{name}.{leaf}'] for leaf in NORM[:2])
        return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-5)

    def block(self, x, name, shift, window=7):
        x = x + self.attention(self.ln(x, f'{name}.norm1'), f'{name}.attn', shift, window)
        h = self.linear(self.ln(x, f'{name}.norm2'), f'{name}.mlp.fc1')
        return x + self.linear(F.gelu(h), f'{name}.mlp.fc2')

    def attention(self, x, name, shift, window):
        """Every pixel looks at those of its window that were its neighbours before the shift."""
        side, channels = x.shape[1], x.shape[-1]
        table = self.state[f'{self.prefix}{name}.relative_position_bias_table']
        heads = table.shape[1]
        place = torch.arange(side)
        region = place * 0
        if shift:
            region = (place >= side - window).long() + (place >= side - shift).long()
        region = region[:, None] * 3 + region
        x = x.roll((-shift, -shift), (1, 2))
        cut = [slice(i, i + window) for i in range(0, side, window)]
        axes = 2 * [torch.arange(window)]
        row, column = (i.flatten() for i in torch.meshgrid(*axes, indexing='ij'))
        offset = lambda i: i[:, None] - i + window - 1  # noqa: E731
        bias = table[offset(row) * (2 * window - 1) + offset(column)].permute(2, 0, 1)
        out = torch.empty_like(x)
        for rows, columns in itertools.product(cut, cut):
            inside = self.linear(x[:, rows, columns].reshape(-1, channels), f'{name}.qkv')
            q, k, v = inside.view(window**2, 3, heads, -1).permute(1, 2, 0, 3)
            scores = q @ k.transpose(1, 2) * (channels // heads) ** -0.5 + bias
            apart = region[rows, columns].flatten()
            scores = scores.masked_fill(apart[:, None] != apart, -100.0)
            y = (scores.softmax(-1) @ v).transpose(0, 1).reshape(1, window, window, channels)
            out[:, rows, columns] = self.linear(y, f'{name}.proj')
        return out.roll((shift, shift), (1, 2))

    def stage(self, x, name, depth=2):
        for block in range(depth):
            shift = 3 if block % 2 and x.shape[1] > 7 else 0
            x = self.block(x, f'{name}.blocks.{block}', shift)
        return x

    def merge(self, x, name):
        four = [x[:, r::2, c::2] for c in (0, 1) for r in (0, 1)]
        return self.linear(self.ln(torch.cat(four, -1), f'{name}.norm'), f'{name}.reduction')

    def expand(self, x, name, scale):
        x = self.linear(x, f'{name}.expand')
        x = x.view(*x.shape[:3], scale, scale, -1).permute(0, 1, 3, 2, 4, 5)
        return self.ln(x.flatten(3, 4).flatten(1, 2), f'{name}.norm')

    def network(self, image):
        weight, bias = (self.state[f'{self.prefix}patch_embed.proj.{x}'] for x in NORM[:2])
        x = F.conv2d(image, weight, bias, 4).permute(0, 2, 3, 1)
        x, skips = self.ln(x, 'patch_embed.norm'), []
        for i in range(4):
            skips.append(x)
            x = self.stage(x, f'layers.{i}')
            if i < 3:
                x = self.merge(x, f'layers.{i}.downsample')
        x = self.expand(self.ln(x, 'norm'), 'layers_up.0', 2)
        for k in (1, 2, 3):
            x = self.linear(torch.cat([x, skips[3 - k]], -1), f'concat_back_dim.{k}')
            x = self.stage(x, f'layers_up.{k}')
            x = self.expand(x, f'layers_up.{k}.upsample', 2) if k < 3 else x
        x = self.expand(self.ln(x, 'norm_up'), 'up', 4)
        return self.conv(x.permute(0, 3, 1, 2), 'output')


@torch.no_grad()
def test_swinunet():
    state = _state('swinunet')
    done = convert(state, SOURCES['hucaofighting_swinunet'])
    masks, blocks = 6, 14
    assert len(done.left_out) == blocks + masks and done.absent == []
    assert len(done.state) == len(state) - masks  # the indices are computed anew
    backbone, head = _built(done, 'backbone'), _built(done, 'decode_head')
    x = _image(224, 224)
    _equal(head(backbone(x)), RestatedSwin(state, 'swin_unet.').network(x))


class RestatedTransDeepLab(RestatedSwin):
    """TransDeepLab of two levels at 224 pixels; maps are (N, H, W, C)."""

    def pyramid(self, x):
        small = self.stage(x, 'aspp.layers.0')
        x = torch.cat([small, self.block(x, 'aspp.layers.1.blocks.0', 0, 14)], -1)
        gate = sum(
            self.conv(self.conv(pooled, 'aspp.proj.ca.se.0').relu(), 'aspp.proj.ca.se.2')
            for pooled in (x.mean((1, 2))[..., None, None], x.amax((1, 2))[..., None, None])
        )
        y = x * gate.sigmoid()[:, None, :, 0, 0]
        highest_first = torch.stack([y.amax(-1), y.mean(-1)], 1)
        y = x + y * self.conv(highest_first, 'aspp.proj.sa.conv').sigmoid().permute(0, 2, 3, 1)
        return self.linear(y, 'aspp.proj.proj').relu()

    def network(self, image):
        weight, bias = (self.state[f'encoder.patch_embed.proj.{x}'] for x in NORM[:2])
        x = F.conv2d(image, weight, bias, 4).permute(0, 2, 3, 1)
        fine = self.stage(self.ln(x, 'encoder.patch_embed.norm'), 'encoder.layers.0')
        x = self.merge(fine, 'encoder.layers.0.downsample')
        x = self.merge(self.stage(x, 'encoder.layers.1'), 'encoder.layers.1.downsample')
        x = self.pyramid(self.stage(x, 'encoder.layers.2', 6))
        for i in (0, 1):
            name = f'decoder.layers_up.{i}'
            x = self.expand(self.stage(x, name), f'{name}.upsample', 2)
        x = torch.cat([self.ln(fine, 'encoder.low_level_norm'), x], -1)
        name = 'decoder.last_layers_up.0'
        x = self.expand(self.stage(x, name, 6), f'{name}.upsample', 2)
        x = self.expand(self.ln(x, 'decoder.norm_up'), 'decoder.final_up', 2)
        return self.conv(x.permute(0, 3, 1, 2), 'decoder.output')


@torch.no_grad()
def test_transdeeplab():
    state = _state('transdeeplab')
    for key in ('ca.se.0', 'sa.conv'):  # gates that are neither open nor closed
        state[f'aspp.proj.{key}.weight'] *= 0.1
    done = convert(state, SOURCES['rezazad68_transdeeplab'])
    masks, blocks = 1 + 1 + 3 + 1 + 2 + 3, 2 + 2 + 6 + 3 + 4 + 6
    assert len(done.left_out) == blocks + masks and done.absent == []
    assert len(done.state) == len(state) - masks  # the indices are computed anew
    backbone, head = _built(done, 'backbone'), _built(done, 'decode_head')
    x = _image(224, 224)
    _equal(head(backbone(x)), RestatedTransDeepLab(state).network(x))


def test_levels_and_sizes_of_transdeeplab_are_read_from_its_weights():
    state = {key: torch.zeros(()).expand(size) for key, size in _shapes('transdeeplab').items()}
    alone = {k.replace('layers.1.', 'layers.0.'): v for k, v in state.items()
             if k.startswith('aspp.layers.1.')}  # fmt: skip
    kept = {k: v for k, v in state.items() if not k.startswith('aspp.layers.')}
    for gate, sizes in (('ca.se.0', (32, 384)), ('ca.se.2', (384, 32))):
        kept[f'aspp.proj.{gate}.weight'] = torch.zeros(*sizes, 1, 1)
    kept['aspp.proj.proj.weight'] = torch.zeros(96, 384)
    one = convert({**kept, **alone}, SOURCES['rezazad68_transdeeplab']).model['backbone']
    assert one['pyramid_windows'] == (14,)
    two = convert(state, SOURCES['rezazad68_transdeeplab']).model['backbone']
    assert (two['pyramid_windows'], two['pyramid_depth'], two['last_depth']) == ((7, 14), 2, 6)
    with pytest.raises(ValueError, match='not the weights of TransDeepLab'):
        convert(kept, SOURCES['rezazad68_transdeeplab'])


class RestatedDilateFormer(RestatedSwin):
    """DilateFormer; maps are (N, C, H, W) between blocks."""

    def ln(self, x, name):
        weight, bias = (self.state[f'{name}.{leaf}'] for leaf in NORM[:2])
        return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-6)

    def near(self, qkv):
        """Of three heads, each attends to neighbours of its own dilation."""
        groups = []
        for dilation, group in zip((1, 2, 3), qkv.unflatten(1, (3, 3, -1)).unbind(2)):
            heads = group.shape[2] // 24
            q, k, v = group.unflatten(2, (heads, 24)).unbind(1)
            k, v = (F.unfold(m.flatten(1, 2), 3, dilation, dilation) for m in (k, v))
            k, v = (m.unflatten(1, (heads, 24, 9)) for m in (k, v))
            weight = (q.flatten(3).unsqueeze(3) * k).sum(2, keepdim=True) * 24**-0.5
            groups.append((weight.softmax(3) * v).sum(3).flatten(1, 2))
        return torch.cat(groups, 1).view_as(qkv[:, : qkv.shape[1] // 3])

    def far(self, qkv):
        q, k, v = qkv.flatten(2).unflatten(1, (3, -1, 24)).transpose(3, 4).unbind(1)
        out = (q @ k.transpose(2, 3) * 24**-0.5).softmax(-1) @ v
        return out.transpose(2, 3).reshape(qkv[:, : qkv.shape[1] // 3].shape)

    def dilated(self, x, name, attend):
        x = (x + self.conv(x, f'{name}.pos_embed', groups=x.shape[1])).permute(0, 2, 3, 1)
        weight = self.state[f'{name}.attn.qkv.weight'].flatten(1)
        qkv = F.linear(self.ln(x, f'{name}.norm1'), weight, self.state[f'{name}.attn.qkv.bias'])
        out = attend(qkv.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = x + self.linear(out, f'{name}.attn.proj')
        h = self.linear(self.ln(x, f'{name}.norm2'), f'{name}.mlp.fc1')
        return (x + self.linear(F.gelu(h), f'{name}.mlp.fc2')).permute(0, 3, 1, 2)

    def maps(self, x):
        for index, stride in ((0, 1), (3, 2), (6, 1)):
            x = self.conv_bn(x, f'patch_embed.proj.{index}', f'patch_embed.proj.{index + 1}',
                             stride=stride)  # fmt: skip
            x = F.gelu(x)
        x, maps = self.conv(x, 'patch_embed.proj.9', 2), []
        for stage, depth in enumerate((2, 2, 6, 2)):
            for block in range(depth):
                attend = self.near if stage < 2 else self.far
                x = self.dilated(x, f'stages.{stage}.blocks.{block}', attend)
            maps.append(x)
            if stage < 3:
                name = f'stages.{stage}.downsample.proj'
                x = self.conv_bn(x, f'{name}.0', f'{name}.1', stride=2)
        return maps


@torch.no_grad()
def test_dilateformer():
    state = _state('dilateformer_tiny')
    source = SOURCES['imagenet_dilateformer']
    done = convert(dict(state), source)
    assert done.left_out == ['head.weight', 'head.bias']
    assert done.absent == [f'backbone.norm{i}.{leaf}' for i in range(3) for leaf in NORM[:2]]
    backbone = MODELS.build(done.model['backbone'])
    backbone.load_state_dict(done.state, strict=False)
    net, x = RestatedDilateFormer(state), _image(64, 81)
    *fine, coarse = net.maps(x)
    *mine, last = backbone.eval()(x)
    for got, expected in zip(mine, fine, strict=True):
        expected = expected.permute(0, 2, 3, 1)
        expected = F.layer_norm(expected, expected.shape[-1:], eps=1e-6).permute(0, 3, 1, 2)
        _equal(got, expected)
    _equal(last, net.ln(coarse.permute(0, 2, 3, 1), 'norm').permute(0, 3, 1, 2))


class RestatedTransUNet(RestatedSwin):
    """TransUNet; the stem's weights are standardised, tokens are (N, L, C)."""

    def std_conv(self, x, name, stride=1):
        weight = self.state[f'{name}.weight']
        mean = weight.mean((1, 2, 3), keepdim=True)
        variance = ((weight - mean) ** 2).mean((1, 2, 3), keepdim=True)
        weight = (weight - mean) / (variance + 1e-5).sqrt()
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)

    def gn(self, x, name, groups=32, eps=1e-6):
        return F.group_norm(x, groups, *(self.state[f'{name}.{leaf}'] for leaf in NORM[:2]), eps)

    def unit(self, x, name, stride):
        h = self.gn(self.std_conv(x, f'{name}.conv1'), f'{name}.gn1').relu()
        h = self.gn(self.std_conv(h, f'{name}.conv2', stride), f'{name}.gn2').relu()
        h = self.gn(self.std_conv(h, f'{name}.conv3'), f'{name}.gn3')
        if f'{name}.downsample.weight' in self.state:
            x = self.std_conv(x, f'{name}.downsample', stride)
            x = self.gn(x, f'{name}.gn_proj', groups=x.shape[1], eps=1e-5)
        return (x + h).relu()

    def stem(self, x):
        root = 'transformer.embeddings.hybrid_model.root'
        maps = [self.gn(self.std_conv(x, f'{root}.conv', 2), f'{root}.gn').relu()]
        x = F.max_pool2d(maps[0], 3, 2)
        for block, units in ((1, 3), (2, 4), (3, 9)):
            for unit in range(1, units + 1):
                name = f'transformer.embeddings.hybrid_model.body.block{block}.unit{unit}'
                x = self.unit(x, name, 2 if block > 1 and unit == 1 else 1)
            maps.append(x)
        short = [4 * s for s in maps[3].shape[2:]]  # a quarter of the image
        maps[1] = F.pad(maps[1], (0, short[1] - maps[1].shape[3], 0, short[0] - maps[1].shape[2]))
        return maps

    def layer(self, x, name):
        h = self.token_norm(x, f'{name}.attention_norm')
        q, k, v = (self.linear(h, f'{name}.attn.{part}').unflatten(2, (-1, 64)).transpose(1, 2)
                   for part in ('query', 'key', 'value'))  # fmt: skip
        h = (q @ k.transpose(2, 3) / 8).softmax(-1) @ v
        x = x + self.linear(h.transpose(1, 2).flatten(2), f'{name}.attn.out')
        h = self.linear(self.token_norm(x, f'{name}.ffn_norm'), f'{name}.ffn.fc1')
        return x + self.linear(F.gelu(h), f'{name}.ffn.fc2')

    def token_norm(self, x, name):
        weight, bias = (self.state[f'{name}.{leaf}'] for leaf in NORM[:2])
        return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-6)

    def network(self, image, layers):
        *skips, x = self.stem(image)
        size = x.shape[2:]
        x = self.conv(x, 'transformer.embeddings.patch_embeddings').flatten(2).transpose(1, 2)
        x = x + self.state['transformer.embeddings.position_embeddings']
        for i in range(layers):
            x = self.layer(x, f'transformer.encoder.layer.{i}')
        x = self.token_norm(x, 'transformer.encoder.encoder_norm')
        x = self.stack(x.transpose(1, 2).unflatten(2, size), 'decoder.conv_more')
        for i, skip in enumerate([*skips[::-1], None]):
            x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)
            x = x if skip is None else torch.cat([x, skip], 1)
            x = self.stack(self.stack(x, f'decoder.blocks.{i}.conv1'), f'decoder.blocks.{i}.conv2')
        return self.conv(x, 'segmentation_head.0')


def _small_transunet():
    """Two of twelve layers, and positions of 64 pixels."""
    others = tuple(f'transformer.encoder.layer.{i}.' for i in range(2, 12))
    state = _state('transunet_r50_vit_b16', zero=others)
    state = {key: value for key, value in state.items() if not key.startswith(others)}
    places = 'transformer.embeddings.position_embeddings'
    state[places] = torch.randn(1, 16, 768, generator=torch.Generator().manual_seed(2))
    return state


@torch.no_grad()
def test_trained_transunet():
    state = _small_transunet()
    done = convert(dict(state), SOURCES['beckschen_transunet'])
    assert done.left_out == [] and done.absent == []
    joined = 2 * 2 * 2  # query, key and value of two layers, weights and biases
    assert len(done.state) == len(state) - joined
    backbone, head = _built(done, 'backbone'), _built(done, 'decode_head')
    assert (
        backbone.pos_embed.shape == (1, 768, 4, 4) and done.model['decode_head']['num_classes'] == 9
    )
    x = _image(64, 64)
    _equal(head(backbone(x)), RestatedTransUNet(state).network(x, layers=2))
    settings = settings_of(done.model, SOURCES['beckschen_transunet'].images_for(done.options))
    assert settings['data_preprocessor.std'] == [255.0] * 3


@pytest.mark.parametrize('name, value, message', [
    ('transformer.encoder.layer.1.attn.key.bias', None, r'2 missing|1 missing .*, 2 unknown'),
    ('transformer.embeddings.position_embeddings', torch.zeros(1, 15, 768), 'of a square'),
    ('decoder.blocks.3.conv1.0.weight', torch.zeros(16, 80, 3, 3), 'backbone.decoder.3.conv1.0'),
    ('extra', torch.zeros(1), r'0 missing, 1 unknown \(such as extra\)'),
])  # fmt: skip
def test_another_transunet_is_refused(name, value, message):
    state = {key: torch.zeros(()).expand(v) for key, v in _shapes('transunet_r50_vit_b16').items()}
    state[name] = value
    state = {key: value for key, value in state.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        convert(state, SOURCES['beckschen_transunet'])


def test_swinunet_starts_from_imagenet_in_both_directions():
    """Swin-T has six blocks in the third stage, of which the first two are taken."""
    public = {k.removeprefix('swin_unet.'): v for k, v in _state('swinunet').items()}
    encoder = ('layers.', 'patch_embed.', 'norm.')
    state = {k: v for k, v in public.items() if k.startswith(encoder)}
    extra = {k.replace('.2.blocks.0.', f'.2.blocks.{i}.'): v + 1 for i in (2, 3, 4, 5)
             for k, v in state.items() if '.2.blocks.0.' in k}  # fmt: skip
    state.update(extra, **{'head.weight': torch.ones(1000, 768), 'head.bias': torch.ones(1000)})
    done = convert(state, SOURCES['imagenet_swin_swinunet'])
    assert len(extra) == 4 * 14 and len(done.left_out) == 4 * 13 + 4 + 8 + 3 + 2
    assert all(not name.startswith('stages') for name in done.state if 'up_stages' in name)
    name = 'blocks.1.attn.w_msa.qkv.weight'
    for stage in range(3):
        theirs = state[f'layers.{stage}.blocks.1.attn.qkv.weight']
        for ours in (f'stages.{stage}.{name}', f'up_stages.{2 - stage}.{name}'):
            assert torch.equal(done.state[ours], theirs)
    assert torch.equal(done.state['norm.weight'], state['norm.weight'])
    random = {key.split('.')[1] for key in done.absent}
    assert random == {'expand', 'up_stages', 'norm_up', 'final_expand'} and len(done.absent) == 20


# --- other weights, and the tool ------------------------------------------------------------------


def _empty(file, **changes):
    state = {k: torch.zeros(()).expand(s) for k, s in _shapes(file).items()}
    state.update(changes)
    return {key: value for key, value in state.items() if value is not None}


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'cls_conv.bias': None}, '1 missing (such as decode_head.conv_seg.bias), 0 unknown, 0 of'),
        ({'extra.weight': torch.zeros(2)}, '0 missing, 1 unknown (such as extra.weight), 0 of'),
        (
            {'aspp.branch1.0.weight': torch.zeros(256, 320, 3, 3)},
            '0 missing, 0 unknown, 1 of another shape (such as decode_head.context.branches.0.0.'
            'weight is (256, 320, 3, 3) instead of (256, 320, 1, 1))',
        ),
        ({'cls_conv.weight': None}, 'of bubbliiiing/deeplabv3-plus-pytorch: no cls_conv.weight'),
    ],
)
def test_other_weights_are_refused_with_names(changes, message):
    state = _empty('deeplabv3plus_mobilenetv2', **changes)
    with pytest.raises(ValueError, match=re.escape(message)):
        convert(state, SOURCES['bubbliiiing_deeplabv3plus'])


@pytest.mark.parametrize('name', [n for n in SOURCES if not n.startswith('bubbliiiing_')])
def test_every_source_refuses_a_segmentation_network(name):
    """Either a tensor that it needs first is not there, or many are, with counts."""
    with pytest.raises(
        ValueError, match='^not the weights of .*: (no |none of 346 |[1-9]\\d* missing)'
    ):
        convert(_empty('pspnet_mobilenetv2'), SOURCES[name])


def test_counters_may_be_absent_as_in_old_files():
    state = _empty('pspnet_mobilenetv2')
    old = {k: v for k, v in state.items() if not k.endswith('num_batches_tracked')}
    assert len(old) < len(state)
    new = convert(old, SOURCES['bubbliiiing_pspnet']).state
    assert len(new) == len(state) and new['backbone.conv1.bn.num_batches_tracked'] == 0


def test_two_tensors_for_one_place_are_refused():
    """The folded bias is the only one that may be given for a place that has no bias."""
    state = _empty('hrnet_w18')
    state['backbone.model.last_layer.0.weight'] = state['last_layer.0.weight']
    with pytest.raises(ValueError, match=r'1 unknown \(such as backbone.last_layer.0.weight'):
        convert(state, SOURCES['bubbliiiing_hrnet'])


def test_an_unknown_source_suggests_the_nearest():
    with pytest.raises(ValueError, match="'bubbling_hrnet': did you mean bubbliiiing_hrnet"):
        find_source('bubbling_hrnet')
    with pytest.raises(ValueError, match="no source 'qq': there are 'bubbliiiing_deeplabv3plus', "):
        find_source('qq')


def _run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['convert.py', *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name='__main__')
    return end.value.code


def test_the_tool_writes_a_checkpoint_that_says_where_it_is_from(tmp_path, monkeypatch, capsys):
    public, ours = tmp_path / 'public.pth', tmp_path / 'new/ours.pth'
    torch.save({'model': _empty('pspnet_mobilenetv2')}, public)
    assert _run(monkeypatch, '--source', 'bubbliiiing_pspnet', public, ours) == 0
    written = torch.load(ours, weights_only=True)
    settings = written['meta']['converted_from'].pop('settings')
    assert settings['backbone.strides'] == [1, 2, 2, 2, 1, 1, 1]
    assert settings['data_preprocessor.std'] == [255.0] * 3
    assert settings['decode_head.align_corners'] is True
    assert written['meta'] == dict(
        converted_from=dict(
            file='public.pth',
            source='bubbliiiing_pspnet',
            origin='https://github.com/bubbliiiing/pspnet-pytorch',
        ),
        note='training not reproduced',
    )
    assert len(written['state_dict']) == 346
    shown = capsys.readouterr()
    config = tmp_path / 'my.py'  # as "convert.py ... > my.py" makes it
    config.write_text(shown.out)
    cfg = load_config(config)
    assert cfg.model.decode_head.channels == 80
    MODELS.build(cfg.model).load_state_dict(written['state_dict'])
    assert '# 0 of the file left out\n' in shown.err and 'training not reproduced' in shown.err
    assert '# output stride 16 (downsample_factor there), which the weights do not' in shown.err
    assert all(line.startswith('# ') for line in shown.err.splitlines())
    assert [path.name for path in ours.parent.iterdir()] == ['ours.pth']


@pytest.mark.parametrize('option', ['output_stride=8', 'downsample_factor=8'])
def test_the_tool_is_told_what_weights_do_not_show(option, tmp_path, monkeypatch, capsys):
    public, ours = tmp_path / 'public.pth', tmp_path / 'ours.pth'
    torch.save(_empty('deeplabv3plus_mobilenetv2'), public)
    how = ('--source', 'bubbliiiing_deeplabv3plus', public, ours, '--option', option)
    assert _run(monkeypatch, *how) == 0
    config = {}
    exec(capsys.readouterr().out, config)
    assert config['model']['backbone']['strides'] == (1, 2, 2, 1, 1, 1, 1)
    assert config['model']['decode_head']['context']['rates'] == (12, 24, 36)
    written = torch.load(ours, weights_only=True)['meta']['converted_from']['settings']
    assert written['backbone.dilations'] == [1, 1, 1, 2, 2, 4, 4]


@pytest.mark.parametrize(
    'source, option, message',
    [
        ('bubbliiiing_pspnet', 'output_stride=32', 'output_stride must be 16 or 8, got 32'),
        ('bubbliiiing_pspnet', 'stride=8', 'no option stride of PSPNet .*: output_stride'),
        ('bubbliiiing_unet', 'output_stride=8', 'no option output_stride of U-Net .*: it has none'),
        ('bubbliiiing_pspnet', 'eight', "--option 'eight' is not key=value"),
    ],
)
def test_other_options_are_refused(source, option, message, tmp_path, monkeypatch, capsys):
    paths = (tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert _run(monkeypatch, '--source', source, *paths, '--option', option) == 1
    assert re.search(message, capsys.readouterr().err)


@torch.no_grad()
@pytest.mark.parametrize('file, source, expected', [
    ('deeplabv3plus_mobilenetv2', 'bubbliiiing_deeplabv3plus', (3, 13, 17)),
    ('pspnet_mobilenetv2', 'bubbliiiing_pspnet', (13, 17)),
])  # fmt: skip
def test_output_stride_8_is_that_of_the_repositories(file, source, expected):
    """Blocks 7 and 14 lose their stride; dilations are 1, then 2, behind the first, 2, then 4."""
    state = _state(file)
    done = convert(dict(state), SOURCES[source], dict(output_stride=8))
    backbone, head = _built(done, 'backbone'), _built(done, 'decode_head')
    x = _image(64, 97)
    public = Restated(state, 'backbone.')
    maps = public.mobilenet(
        x, {7: (1, 1), 14: (1, 2)}, lambda n: 4 if n > 14 else 2 if n > 7 else 1
    )
    got = backbone(x)
    for mine, index in zip(got, expected, strict=True):
        _equal(mine, maps[index])
    whole = Restated(state)
    if source.endswith('pspnet'):
        _equal(head(got), whole.psp_heads(maps[13], maps[17])[0])
    else:
        _equal(head(got), whole.deeplab_head(maps[3], maps[17], rates=(12, 24, 36)))


def test_the_tool_lists_its_sources(monkeypatch, capsys):
    assert _run(monkeypatch, '--list') == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SOURCES)
    assert len(SOURCES) >= 18


def test_the_tool_s_mistakes_are_one_line(tmp_path, monkeypatch, capsys):
    public, ours = tmp_path / 'public.pth', tmp_path / 'ours.pth'
    assert _run(monkeypatch, '--source', 'imagenet_vit', public, ours) == 1
    torch.save(_empty('unet_vgg16'), public)
    before = public.read_bytes()
    assert _run(monkeypatch, '--source', 'imagenet_vit', public, ours) == 1
    assert _run(monkeypatch, '--source', 'imagenet_bit', public, ours) == 1
    assert _run(monkeypatch, '--source', 'imagenet_vit', public, public) == 1
    (tmp_path / 'cut.pth').write_bytes(before[:100])
    assert _run(monkeypatch, '--source', 'imagenet_vit', tmp_path / 'cut.pth', ours) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    for line, part in zip(
        lines,
        ('no checkpoint', 'no patch_embed', 'mean imagenet_vit', 'name another', 'cannot be read'),
        strict=True,
    ):
        assert line.startswith('error: ') and part in line
    assert _run(monkeypatch, public, ours) == 2
    assert '--source, IN and OUT are needed' in capsys.readouterr().err
    assert public.read_bytes() == before and not ours.exists()


@pytest.mark.parametrize('name, source, file', [
    ('fmsi/hrnet_w18_voc12aug', 'bubbliiiing_hrnet', 'hrnet_w18'),
    ('fmsi/pspnet_mobilenetv2_voc12aug', 'bubbliiiing_pspnet', 'pspnet_mobilenetv2'),
    ('fmsi/unet_vgg16_voc12aug', 'bubbliiiing_unet', 'unet_vgg16'),
    ('fmsi/deeplabv3plus_xception_voc12aug', 'bubbliiiing_deeplabv3plus', 'deeplabv3plus_xception'),
    ('fmsi/deeplabv3plus_mobilenetv2_voc12aug', 'bubbliiiing_deeplabv3plus',
     'deeplabv3plus_mobilenetv2'),
])  # fmt: skip
def test_the_rows_are_the_repositories_networks(name, source, file):
    """And the config that the converter prints is what it converted for."""
    done = convert(_empty(file), SOURCES[source])
    settings = settings_of(done.model, SOURCES[source].images_for(done.options))
    meta = converted_meta('public.pth', source=source, origin='there', settings=settings)
    check_settings(load_config(ROOT / f'configs/{name}.py').model, meta, 'public.pth')
    printed = Config.fromstring(describe(done, 'public.pth', SOURCES[source]), '.py').model
    check_settings(printed, meta, 'public.pth')


def test_the_file_of_a_conversion_is_read_back(tmp_path):
    public, ours = tmp_path / 'public.pth', tmp_path / 'ours.pth'
    torch.save(_empty('unet_vgg16'), public)
    source = SOURCES['bubbliiiing_unet']
    done = convert_file(public, ours, name='bubbliiiing_unet', source=source)
    meta = torch.load(ours, weights_only=True)['meta']
    printed = Config.fromstring(describe(done, ours, source), '.py')
    check_settings(printed.model, meta, ours)
    printed.merge_from_dict({'model.decode_head.align_corners': False})
    with pytest.raises(
        ValueError, match='decode_head.align_corners is True in the file and False in the config'
    ):
        check_settings(printed.model, meta, ours)


def test_safetensors_are_read_or_asked_for(tmp_path):
    path = tmp_path / 'model.safetensors'
    with pytest.raises(FileNotFoundError, match='no checkpoint .*model.safetensors'):
        read_public_weights(path)
    path.write_bytes(b'no such file')
    try:
        from safetensors.torch import save_file
    except ImportError:
        with pytest.raises(ImportError, match='pip install safetensors'):
            read_public_weights(path)
        return
    with pytest.raises(ValueError, match='model.safetensors cannot be read'):
        read_public_weights(path)
    save_file({'a': torch.ones(2)}, path)
    assert torch.equal(read_public_weights(path)['a'], torch.ones(2))
