"""Xception: integers, taps and the rectified shortcut, against a re-statement by weight names."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_ext.models.backbones import XceptionDeepLab
from mmseg_ext.models.backbones.xception import XceptionBlock

NORM = dict(eps=1e-5, momentum=0.1)


def _count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope='module')
def full():
    return XceptionDeepLab().eval()


def test_parameter_integers_by_flow(full):
    assert _count(full) == 37_867_312
    entry = [full.conv1, full.bn1, full.conv2, full.bn2, full.block1, full.block2, full.block3]
    assert sum(map(_count, entry)) == 1_736_240
    assert [_count(full.block1), _count(full.block2), _count(full.block3)] == [
        53_696, 205_696, 1_457_360]  # fmt: skip
    middle = [getattr(full, name) for name in full.middle_names]
    assert len(middle) == 16 and {_count(b) for b in middle} == {1_618_344}
    exits = [full.block20, full.conv3, full.conv4, full.conv5]
    assert [_count(m) for m in exits] == [3_104_384, 1_587_200, 2_379_264, 3_166_720]


def test_weight_names_are_those_of_the_reference_repository(full):
    names = set(full.state_dict())
    assert len(names) == 792
    norm = ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']

    def sepconv(prefix):
        yield f'{prefix}.depthwise.weight'
        yield f'{prefix}.pointwise.weight'
        yield from (f'{prefix}.{bn}.{n}' for bn in ('bn1', 'bn2') for n in norm)

    expected = {'conv1.weight', 'conv2.weight'}
    expected |= {f'{bn}.{n}' for bn in ('bn1', 'bn2') for n in norm}
    for i in range(1, 21):
        expected |= {k for j in (1, 2, 3) for k in sepconv(f'block{i}.sepconv{j}')}
        if i in (1, 2, 3, 20):
            expected |= {f'block{i}.skip.weight'} | {f'block{i}.skipbn.{n}' for n in norm}
    expected |= {k for j in (3, 4, 5) for k in sepconv(f'conv{j}')}
    assert names == expected


def _reference_forward(w, x, num_middle):
    """The published layer table, written down a second time: in-place ReLUs, weights by name."""

    def bn(x, name):
        p = [w[f'{name}.{k}'] for k in ('running_mean', 'running_var', 'weight', 'bias')]
        return F.batch_norm(x, *p, eps=1e-5)

    def sep(x, name, stride=1, post=False):
        if not post:
            x = F.relu_(x)  # in place, as there: this is what changes the identity shortcut
        x = bn(F.conv2d(x, w[f'{name}.depthwise.weight'], None, stride, 1, 1, x.shape[1]),
               f'{name}.bn1')  # fmt: skip
        x = F.relu(x) if post else x
        x = bn(F.conv2d(x, w[f'{name}.pointwise.weight']), f'{name}.bn2')
        return F.relu(x) if post else x

    def block(x, name, stride=1, skip=False):
        if skip:
            shortcut = bn(F.conv2d(x, w[f'{name}.skip.weight'], None, stride), f'{name}.skipbn')
        else:
            shortcut = x
        y = sep(sep(x, f'{name}.sepconv1'), f'{name}.sepconv2')
        tap = y.clone()
        return sep(y, f'{name}.sepconv3', stride) + shortcut, tap

    x = F.relu(bn(F.conv2d(x, w['conv1.weight'], None, 2, 1), 'bn1'))
    x = F.relu(bn(F.conv2d(x, w['conv2.weight'], None, 1, 1), 'bn2'))
    x, _ = block(x, 'block1', 2, True)
    x, entry = block(x, 'block2', 2, True)
    x, e3pre = block(x, 'block3', 2, True)
    for i in range(num_middle):
        x, _ = block(x, f'block{4 + i}')
    middle = x.clone()
    x, _ = block(x, 'block20', 1, True)
    for name in ('conv3', 'conv4', 'conv5'):
        x = sep(x, name, post=True)
    return entry, e3pre, middle, x


def _randomise(model):
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith('running_var'):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.is_floating_point() and tensor.dim() == 1:
            tensor.normal_(0.2, 0.5, generator=generator)


def test_every_tap_equals_the_restatement():
    torch.manual_seed(0)
    model = XceptionDeepLab(taps=('entry', 'e3pre', 'middle', 'exit'), num_middle_blocks=2).eval()
    model.init_weights()
    _randomise(model)
    x = torch.randn(2, 3, 65, 97)
    with torch.no_grad():
        ours = model(x)
        expected = _reference_forward(model.state_dict(), x.clone(), 2)
        raw = XceptionDeepLab(num_middle_blocks=2, relu_identity=False).eval()
        raw.load_state_dict(model.state_dict())
        raw_middle = raw(x)[1]
    for mine, theirs in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    assert [tuple(y.shape[2:]) for y in ours] == [(17, 25), (9, 13), (5, 7), (5, 7)]
    assert ours[0].min() < 0 and ours[2].min() < 0 <= ours[3].min()  # only Exit is rectified
    assert (raw_middle - ours[2]).abs().mean() > 0.1  # the flag matters
    assert ours[3].std() > 0.1  # and the comparison above was not of constants


@pytest.mark.parametrize('relu_identity', [True, False])
def test_identity_shortcut(relu_identity):
    block = XceptionBlock(8, (8, 8, 8), relu_identity=relu_identity, norm_cfg=NORM).eval()
    torch.nn.init.zeros_(block.sepconv3.bn2.weight)
    x = torch.randn(1, 8, 5, 5)
    out, _ = block(x)
    torch.testing.assert_close(out, x.relu() if relu_identity else x, rtol=0, atol=0)


def test_output_stride_8_dilates_instead_of_striding():
    model = XceptionDeepLab(output_stride=8, num_middle_blocks=1).eval()
    with torch.no_grad():
        sizes = [tuple(y.shape[1:]) for y in model(torch.randn(1, 3, 64, 64))]
    assert sizes == [(256, 16, 16), (728, 8, 8), (2048, 8, 8)]
    dilated = [model.block4, model.block20, model.conv3, model.conv4, model.conv5]
    depthwise = [m.depthwise for top in dilated for m in top.modules() if hasattr(m, 'depthwise')]
    assert len(depthwise) == 9 and {d.dilation for d in depthwise} == {(2, 2)}
    assert model.block3.sepconv3.depthwise.dilation == (1, 1)


def test_exit_dilation_touches_the_last_three_convolutions_only():
    model = XceptionDeepLab(exit_dilation=2, num_middle_blocks=1)
    dilations = {n: m.dilation[0] for n, m in model.named_modules() if n.endswith('depthwise')}
    assert {n for n, d in dilations.items() if d == 2} == {
        f'conv{i}.depthwise' for i in (3, 4, 5)}  # fmt: skip


def test_forward_leaves_its_input_alone():
    model = XceptionDeepLab(num_middle_blocks=0).eval()
    x = torch.randn(1, 3, 32, 32)
    kept = x.clone()
    model(x)
    assert torch.equal(x, kept)


def test_norm_defaults_and_overrides():
    assert {m.momentum for m in XceptionDeepLab(num_middle_blocks=0).modules()
            if isinstance(m, torch.nn.BatchNorm2d)} == {0.1}  # fmt: skip
    timm_like = XceptionDeepLab(num_middle_blocks=0, norm_eps=1e-3)
    assert timm_like.bn1.eps == 1e-3


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(output_stride=32), 'output_stride must be 8 or 16, got 32'),
        (dict(taps=('exit', 'entry')), 'in that order'),
        (dict(taps=('entry', 'end')), "got \\('entry', 'end'\\)"),
        (dict(taps=()), 'taps must be some of'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        XceptionDeepLab(**kwargs)


def _timm_names(num_middle):
    """Our module names, in the order of timm's ``xception65``."""
    pairs = {'conv1': 'stem.0.conv', 'bn1': 'stem.0.bn', 'conv2': 'stem.1.conv', 'bn2': 'stem.1.bn'}
    inner = {'depthwise': 'conv_dw', 'bn1': 'bn_dw', 'pointwise': 'conv_pw', 'bn2': 'bn_pw'}
    blocks = [f'block{i}' for i in range(1, 4 + num_middle)] + ['block20']
    for i, block in enumerate(blocks):
        for j in (1, 2, 3):
            for ours, theirs in inner.items():
                pairs[f'{block}.sepconv{j}.{ours}'] = f'blocks.{i}.stack.conv{j}.{theirs}'
        pairs[f'{block}.skip'] = f'blocks.{i}.shortcut.conv'
        pairs[f'{block}.skipbn'] = f'blocks.{i}.shortcut.bn'
    for j in (1, 2, 3):
        for ours, theirs in inner.items():
            pairs[f'conv{j + 2}.{ours}'] = f'blocks.{len(blocks)}.stack.conv{j}.{theirs}'
    return pairs


@pytest.mark.oracle
def test_equals_timm_xception65_with_its_flags():
    try:
        import timm
    except Exception as error:  # torchvision that does not match torch raises RuntimeError
        pytest.skip(f'timm does not import: {error}')
    torch.manual_seed(0)
    theirs = timm.create_model('xception65', pretrained=False, output_stride=16).eval()
    ours = XceptionDeepLab(exit_dilation=2, relu_identity=False, norm_eps=1e-3).eval()
    ours.init_weights()
    _randomise(ours)
    names = _timm_names(16)
    renamed = {}
    for key, value in ours.state_dict().items():
        module, parameter = key.rsplit('.', 1)
        renamed[f'{names[module]}.{parameter}'] = value
    head = {k: v for k, v in theirs.state_dict().items() if k.startswith('head.')}
    theirs.load_state_dict({**renamed, **head})
    x = torch.randn(1, 3, 97, 129)
    with torch.no_grad():
        _, middle, last = ours(x)
        expected = theirs.blocks[:19](theirs.stem(x))
        torch.testing.assert_close(middle, expected, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(last, theirs.forward_features(x), rtol=1e-3, atol=1e-4)
    assert last.std() > 0.05
