"""Public DeepLab-v2 weights: a round trip, and equal logits to the network restated by hand."""

import runpy
import sys

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from support.paths import ROOT

from mmseg_ext.apis.convert.deeplabv2 import from_port, keep_supervised, name_table, to_port

TOOL = ROOT / 'tools/model_converters/deeplabv2.py'
BLOCKS = (3, 4, 23, 3)
RATES = (6, 12, 18, 24)


def _shapes(num_classes, width=64):
    """Names and shapes of the public network, written out from its description."""
    shapes = {}

    def conv_bn(name, out, into, kernel):
        shapes[f'{name}.conv.weight'] = (out, into, kernel, kernel)
        for leaf in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'{name}.bn.{leaf}'] = (out,)
        shapes[f'{name}.bn.num_batches_tracked'] = ()

    conv_bn('base.layer1.conv1', width, 3, 7)
    into = width
    for stage, count in enumerate(BLOCKS):
        out = 4 * width * 2**stage
        for block in range(1, count + 1):
            name = f'base.layer{stage + 2}.block{block}'
            conv_bn(f'{name}.reduce', out // 4, into, 1)
            conv_bn(f'{name}.conv3x3', out // 4, out // 4, 3)
            conv_bn(f'{name}.increase', out, out // 4, 1)
            if block == 1:
                conv_bn(f'{name}.shortcut', out, into, 1)
            into = out
    for i in range(4):
        shapes[f'base.aspp.c{i}.weight'] = (num_classes, into, 3, 3)
        shapes[f'base.aspp.c{i}.bias'] = (num_classes,)
    return shapes


def _state(num_classes=21, width=64):
    """Made-up weights that keep activations near one; every tensor differs from every other."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in _shapes(num_classes, width).items():
        if name.endswith('num_batches_tracked'):
            state[name] = torch.tensor(len(state))
        elif len(shape) == 4:
            fan_in = shape[1] * shape[2] * shape[3]
            state[name] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        else:
            low = 0.5 if name.endswith(('running_var', 'bn.weight')) else -0.2
            state[name] = torch.rand(shape, generator=generator) * 0.4 + low
    for name in state:  # as in a trained network, residual branches are small beside their input
        if name.endswith('increase.bn.weight'):
            state[name] *= 0.3
    return state


def _restated(state, x):
    """The public network of one scale: plain functions on plain names."""

    def conv_bn(x, name, stride=1, padding=0, dilation=1):
        x = F.conv2d(x, state[f'{name}.conv.weight'], None, stride, padding, dilation)
        norm = [state[f'{name}.bn.{leaf}'] for leaf in ('running_mean', 'running_var')]
        scale = [state[f'{name}.bn.{leaf}'] for leaf in ('weight', 'bias')]
        return F.batch_norm(x, *norm, *scale, training=False, eps=1e-5)

    x = conv_bn(x, 'base.layer1.conv1', 2, 3).relu()
    x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
    for stage, (count, stride, dilation) in enumerate(zip(BLOCKS, (1, 2, 1, 1), (1, 1, 2, 4))):
        for block in range(1, count + 1):
            name = f'base.layer{stage + 2}.block{block}'
            step = stride if block == 1 else 1
            h = conv_bn(x, f'{name}.reduce', step).relu()
            h = conv_bn(h, f'{name}.conv3x3', 1, dilation, dilation).relu()
            h = conv_bn(h, f'{name}.increase')
            x = (h + (conv_bn(x, f'{name}.shortcut', step) if block == 1 else x)).relu()
    aspp = [(state[f'base.aspp.c{i}.weight'], state[f'base.aspp.c{i}.bias']) for i in range(4)]
    return sum(F.conv2d(x, w, b, 1, r, r) for (w, b), r in zip(aspp, RATES))


def _restated_msc(state, x):
    logits = _restated(state, x)
    others = []
    for scale in (0.5, 0.75):
        size = [int(n * scale) for n in x.shape[2:]]
        small = F.interpolate(x, size, mode='bilinear', align_corners=False)
        z = _restated(state, small)
        others.append(F.interpolate(z, logits.shape[2:], mode='bilinear', align_corners=False))
    return torch.stack([logits, *others]).max(dim=0)[0]


def test_logits_equal_those_of_the_public_network():
    """Odd and even sizes, at which floor and ceil pooling differ; logits are of size one."""
    init_default_scope('mmseg')
    state = _state()
    model = MODELS.build(
        dict(
            type='MultiScaleEncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor'),
            backbone=dict(type='DeepLabResNet'),
            decode_head=dict(type='DeepLabV2Head', in_channels=2048, num_classes=21),
        )
    )
    assert model.load_state_dict(from_port(state), strict=True)
    model.eval()
    torch.manual_seed(1)
    for size in ((73, 60), (64, 97)):
        x = torch.randn(1, 3, *size)
        with torch.no_grad():
            got, expected = model(x, mode='tensor'), _restated_msc(state, x)
        assert 0.3 < expected.std() < 30
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_the_names_are_those_of_the_public_network():
    modules = {key.rpartition('.')[0].removeprefix('base.') for key in _shapes(21)}
    table = name_table()
    assert set(table) == modules and len(table) == len(set(table.values())) == 2 * 104 + 4


def test_round_trip_keeps_every_tensor_and_its_order():
    state = _state(width=1)
    ours = from_port(state)
    assert len(ours) == len(state) and not set(ours) & set(state)
    back = to_port(ours)
    assert list(back) == list(state)
    assert all(back[key] is state[key] for key in state)  # the tensors themselves


def test_the_first_version_s_names_are_read():
    state = _state(width=1)
    old = {
        key.replace('base.', 'scale.')
        .replace('.shortcut.', '.proj.')
        .replace('aspp.', 'aspp.stages.'): value
        for key, value in state.items()
        if not key.endswith('num_batches_tracked')  # Caffe has none
    }
    assert 'scale.aspp.stages.c0.weight' in old and 'scale.layer2.block1.proj.bn.weight' in old
    got, new = from_port(old), from_port(state)
    assert {k: v for k, v in new.items() if not k.endswith('num_batches_tracked')} == got


def test_a_start_without_classifiers_gives_a_backbone():
    state = {k: v for k, v in _state(width=1).items() if 'aspp' not in k}
    first_version = {k.removeprefix('base.'): v for k, v in state.items()}
    first_version.update({'fc.weight': torch.zeros(91, 32, 1, 1), 'fc.bias': torch.zeros(91)})
    got = from_port(first_version)
    assert {key.split('.')[0] for key in got} == {'backbone'} and len(got) == len(state)
    assert to_port(got).keys() == state.keys()


def test_the_supervised_classes_of_coco_stuff():
    state = _state(182, width=1)
    ours = keep_supervised(from_port(state))
    bias = ours['decode_head.classifiers.0.bias']
    all_of_them = state['base.aspp.c0.bias']
    assert bias.shape == (171,) and ours['decode_head.classifiers.3.weight'].shape[0] == 171
    # pairs of the table in mmseg's converter of the 164k masks
    for theirs, index in ((0, 0), (10, 10), (12, 11), (26, 24), (81, 72), (91, 80), (181, 170)):
        assert bias[index] == all_of_them[theirs]
    voc = from_port(_state(21, width=1))
    assert all(v is voc[k] for k, v in keep_supervised(voc).items())


def test_other_weights_are_refused_by_name():
    state = _state(width=1)
    del state['base.layer4.block23.reduce.bn.running_var']
    with pytest.raises(
        ValueError, match=r'1 missing \(such as layer4.block23.reduce.bn.running_var'
    ):
        from_port(state)
    state = dict(_state(width=1), **{'base.decoder.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match=r'0 missing, 1 unknown \(such as decoder.weight\)'):
        from_port(state)
    with pytest.raises(ValueError, match='not the weights of one of our DeepLab-v2 models'):
        to_port(_state(width=1))


def _run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['deeplabv2.py', *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name='__main__')
    return end.value.code


def test_the_tool_converts_both_ways(tmp_path, monkeypatch, capsys):
    state = _state(182, width=1)
    torch.save(state, tmp_path / 'public.pth')
    assert _run(monkeypatch, tmp_path / 'public.pth', tmp_path / 'new/ours.pth') == 0
    ours = torch.load(tmp_path / 'new/ours.pth', weights_only=True)
    assert len(ours['state_dict']['decode_head.classifiers.0.bias']) == 171
    origin = 'https://github.com/kazuto1011/deeplab-pytorch'
    came = dict(file='public.pth', source='deeplabv2', origin=origin)
    settings = ours['meta']['converted_from'].pop('settings')
    assert ours['meta'] == dict(converted_from=came, note='training not reproduced')
    assert (
        settings['scales'] == [0.5, 0.75, 1.0] and settings['data_preprocessor.mean'][0] == 104.008
    )
    assert settings['decode_head.rates'] == [6, 12, 18, 24]
    assert settings['decode_head.align_corners'] is False
    whole = tmp_path / 'all.pth'
    assert _run(monkeypatch, tmp_path / 'public.pth', whole, '--all-classes') == 0
    assert _run(monkeypatch, whole, tmp_path / 'back.pth', '--reverse') == 0
    back = torch.load(tmp_path / 'back.pth', weights_only=True)
    assert back.keys() == state.keys() and all(torch.equal(back[k], state[k]) for k in state)
    assert f'{whole}: {len(state)} tensors written' in capsys.readouterr().out
    assert not list(tmp_path.rglob('*.part'))


def test_the_tool_s_mistakes_are_one_line(tmp_path, monkeypatch, capsys):
    assert _run(monkeypatch, tmp_path / 'no.pth', tmp_path / 'o.pth') == 1
    torch.save({'conv.weight': torch.zeros(1)}, tmp_path / 'other.pth')
    assert _run(monkeypatch, tmp_path / 'other.pth', tmp_path / 'o.pth') == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2 and 'no.pth' in lines[0]
    assert 'not the weights of a DeepLab-v2 checkpoint' in lines[1]
    assert not (tmp_path / 'o.pth').exists()
