"""The attention slot: ten modules against their equations, in float64 and with gradients."""

import inspect
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

import mmseg_ext  # noqa: F401
from mmseg_ext.models.layers.moments import mean_and_deviation
from mmseg_ext.models.layers.norms import GroupNorm, check_batch_norm_input

# By hand, at 256 channels: convolutions, then biases, then norms.
INTEGERS = {
    'CBAM': 2 * 256 * 16 + 2 * 7 * 7,
    'ECA': 5,
    'EMA': (8 * 8 + 9 * 8 * 8) + 2 * 8 + 2 * 8,
    'GAM': 2 * (256 * 64 + 49 * 256 * 64) + 2 * (64 + 256) + 2 * (64 + 256),
    'LSK': (25 + 49) * 256 + 3 * 256 * 128 + 2 * 2 * 49 + (2 * 256 + 2 * 128 + 2 + 256),
    'PSCAN': 67_078,  # stated
    'ParNet': (9 + 1 + 1) * 256 * 256 + 256 + 3 * 2 * 256,
    'SCSA': (3 + 5 + 7 + 9) * 64 + 3 * 256 + 4 * 64 + 3 * 2 * 256,
    'SGE': 2 * 64,
    'SimAM': 0,
}
NAMES = sorted(INTEGERS)
GATES = [n for n in NAMES if n not in ('LSK', 'ParNet')]  # those two may enlarge
SMALL = {  # at 8 channels
    'CBAM': dict(reduction=4),
    'EMA': dict(groups=2),
    'GAM': dict(reduction=2),
    'SGE': dict(groups=4),
    'SCSA': dict(heads=2, window_size=3),
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def build(name, channels=8, **kwargs):
    """A module with every weight and statistic away from its start."""
    torch.manual_seed(0)
    kwargs = {**SMALL.get(name, {}), **kwargs} if channels == 8 else kwargs
    module = MODELS.build(dict(type=name, channels=channels, **kwargs))
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    for key, buffer in module.named_buffers():
        if key.endswith('running_mean'):
            buffer.normal_()
        elif key.endswith('running_var'):
            buffer.uniform_(0.5, 2)
    return module


def count(module):
    return sum(p.numel() for p in module.parameters())


# --- the equations, one sum at a time; s is the state dict ----------------------------------------


def conv(x, s, name, dilation=1, groups=1):
    """Cross-correlation that keeps H and W, tap by tap."""
    weight, out = s[f'{name}.weight'], 0
    rows, columns = weight.shape[2:]
    top, left = dilation * (rows // 2), dilation * (columns // 2)
    padded = F.pad(x, (left, left, top, top)).unflatten(1, (groups, -1))
    kernel = weight.unflatten(0, (groups, -1))
    for i in range(rows):
        for j in range(columns):
            y, z = i * dilation, j * dilation
            window = padded[..., y : y + x.shape[2], z : z + x.shape[3]]
            out = out + torch.einsum('ngchw,gdc->ngdhw', window, kernel[..., i, j])
    out = out.flatten(1, 2)
    bias = s.get(f'{name}.bias')
    return out if bias is None else out + bias[:, None, None]


def line(x, s, name, groups=1):
    """The same in one dimension: ``(N, C, L)``."""
    as_map = {
        f'{name}.weight': s[f'{name}.weight'].unsqueeze(2),
        f'{name}.bias': s.get(f'{name}.bias'),
    }
    return conv(x.unsqueeze(2), as_map, name, groups=groups).squeeze(2)


def moments(x, dims):
    mean = x.sum(dims, keepdim=True) / torch.tensor([x.shape[d] for d in dims]).prod()
    square = (x - mean) ** 2
    return mean, square.sum(dims, keepdim=True) / torch.tensor([x.shape[d] for d in dims]).prod()


def batch_norm(x, s, name, training):
    shape = [1, -1] + [1] * (x.dim() - 2)
    if training:
        mean, var = moments(x, [d for d in range(x.dim()) if d != 1])
    else:
        mean, var = (s[f'{name}.running_{k}'].reshape(shape) for k in ('mean', 'var'))
    x = (x - mean) / torch.sqrt(var + 1e-5)
    return x * s[f'{name}.weight'].reshape(shape) + s[f'{name}.bias'].reshape(shape)


def group_norm(x, s, name, groups):
    y = x.unflatten(1, (groups, -1))
    mean, var = moments(y, list(range(2, y.dim())))
    y = ((y - mean) / torch.sqrt(var + 1e-5)).flatten(1, 2)
    shape = [1, -1] + [1] * (x.dim() - 2)
    return y * s[f'{name}.weight'].reshape(shape) + s[f'{name}.bias'].reshape(shape)


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def deviation(x):
    """Over pixels, divided by their number; 0 for one pixel, and the gradient 0 there."""
    var = moments(x, [2, 3])[1]
    return torch.where(var > 0, torch.sqrt(torch.where(var > 0, var, 1.0)), 0.0)


def cbam(x, s, training):
    def mlp(v):
        return conv(conv(v, s, 'mlp.0').clamp(min=0), s, 'mlp.2')

    x = x * sigmoid(mlp(moments(x, [2, 3])[0]) + mlp(x.flatten(2).max(2)[0][..., None, None]))
    pooled = torch.stack([moments(x, [1])[0][:, 0], x.max(1)[0]], dim=1)
    gate = conv(pooled, s, 'spatial')
    return x * sigmoid(batch_norm(gate, s, 'norm', training) if 'norm.weight' in s else gate)


def eca(x, s, training):
    mean, weight = moments(x, [2, 3])[0], s['conv.weight'][0, 0]
    reach, out = len(weight) // 2, []
    for c in range(x.shape[1]):
        near = [k for k in range(len(weight)) if 0 <= c + k - reach < x.shape[1]]
        out.append(x[:, [c]] * sigmoid(sum(weight[k] * mean[:, [c + k - reach]] for k in near)))
    return torch.cat(out, dim=1)


def gam(x, s, training, gate_of=sigmoid):
    pixels = x.permute(0, 2, 3, 1)
    hidden = (pixels @ s['channel.0.weight'][..., 0, 0].T + s['channel.0.bias']).clamp(min=0)
    gate = hidden @ s['channel.2.weight'][..., 0, 0].T + s['channel.2.bias']
    x = x * gate_of(gate).permute(0, 3, 1, 2)
    y = batch_norm(conv(x, s, 'spatial.0'), s, 'spatial.1', training).clamp(min=0)
    return x * sigmoid(batch_norm(conv(y, s, 'spatial.3'), s, 'spatial.4', training))


def lsk(x, s, training):
    near = conv(x, s, 'near', groups=x.shape[1])
    far = conv(near, s, 'far', dilation=3, groups=x.shape[1])
    both = torch.cat([conv(near, s, 'near_proj'), conv(far, s, 'far_proj')], dim=1)
    pooled = torch.stack([moments(both, [1])[0][:, 0], both.max(1)[0]], dim=1)
    gate = sigmoid(conv(pooled, s, 'squeeze'))
    half = x.shape[1] // 2
    mixture = both[:, :half] * gate[:, [0]] + both[:, half:] * gate[:, [1]]
    return x * conv(mixture, s, 'expand')


def sge(x, s, training, groups=4):
    out = []
    for g, part in enumerate(x.chunk(groups, dim=1)):
        like = (part * moments(part, [2, 3])[0]).sum(1, keepdim=True)
        like = (like - moments(like, [2, 3])[0]) / (deviation(like) + 1e-5)
        out.append(part * sigmoid(s['weight'][0, g] * like + s['bias'][0, g]))
    return torch.cat(out, dim=1)


def simam(x, s, training):
    pixels = x.shape[2] * x.shape[3]
    square = (x - moments(x, [2, 3])[0]) ** 2
    var = square.sum((2, 3), keepdim=True) / (pixels - 1) if pixels > 1 else 0 * square
    energy = 4 * (var + 1e-4) / (square + 2 * var + 2e-4)  # the paper's closed form
    return x * sigmoid(1 / energy)


def parnet(x, s, training):
    gated = x * sigmoid(conv(moments(x, [2, 3])[0], s, 'sse'))
    ones = batch_norm(conv(x, s, 'conv1x1.0'), s, 'conv1x1.1', training)
    total = gated + ones + batch_norm(conv(x, s, 'conv3x3.0'), s, 'conv3x3.1', training)
    return total * sigmoid(total)


def pscan(x, s, training):
    q, v = conv(x, s, 'q'), conv(x, s, 'v')
    q = (moments(q, [2, 3])[0] + deviation(q)).flatten(1)
    q = torch.exp(q) / torch.exp(q).sum(1, keepdim=True)
    spatial = x * sigmoid(torch.einsum('nd,ndl->nl', q, v.flatten(2))).reshape(-1, 1, *x.shape[2:])
    mean, std = moments(x, [2, 3])[0].flatten(1), deviation(x).flatten(1)
    merged = mean * s['merge.weight'][:, 0, 0] + std * s['merge.weight'][:, 0, 1]
    merged = merged + s.get('merge.bias', 0)
    mixed = line(merged.unsqueeze(1), s, 'conv').squeeze(1)
    gate = sigmoid(batch_norm(mixed, s, 'norm', training))
    return (spatial + x * gate[..., None, None]) / 2


def ema(x, s, training, groups=2):
    out = []
    for part in x.chunk(groups, dim=1):
        rows = sigmoid(conv(moments(part, [3])[0], s, 'conv1x1'))
        columns = sigmoid(conv(moments(part, [2])[0], s, 'conv1x1'))
        first = group_norm(part * rows * columns, s, 'norm', part.shape[1])
        second = conv(part, s, 'conv3x3')
        score = 0
        for asks, answers in ((first, second), (second, first)):
            weight = torch.exp(moments(asks, [2, 3])[0])
            score = score + (weight / weight.sum(1, keepdim=True) * answers).sum(1, keepdim=True)
        out.append(part * sigmoid(score))
    return torch.cat(out, dim=1)


def scsa(x, s, training, heads=2, window=3):
    def gate(v, norm):
        parts = [line(p, s, f'convs.{i}', groups=p.shape[1]) for i, p in enumerate(v.chunk(4, 1))]
        return sigmoid(group_norm(torch.cat(parts, dim=1), s, norm, 4))

    rows = gate(moments(x, [3])[0][..., 0], 'norm_rows')
    columns = gate(moments(x, [2])[0][:, :, 0], 'norm_columns')
    x = x * torch.einsum('nch,ncw->nchw', rows, columns)
    high, wide = min(window, x.shape[2]), min(window, x.shape[3])
    windows = [
        x[:, :, i * high : (i + 1) * high, j * wide : (j + 1) * wide].mean((2, 3))
        for i in range(x.shape[2] // high)
        for j in range(x.shape[3] // wide)
    ]
    y = group_norm(torch.stack(windows, dim=2), s, 'norm', 1)
    q, k, v = (y * s[f'{name}.weight'][:, :, 0, 0] for name in 'qkv')
    out = []
    for part in torch.arange(x.shape[1]).chunk(heads):
        weight = torch.exp(torch.einsum('ncl,ndl->ncd', q[:, part], k[:, part]) / len(part) ** 0.5)
        weight = weight / weight.sum(2, keepdim=True)
        out.append(torch.einsum('ncd,ndl->ncl', weight, v[:, part]).mean(2))
    return x * sigmoid(torch.cat(out, dim=1))[..., None, None]


EQUATIONS = dict(CBAM=cbam, ECA=eca, EMA=ema, GAM=gam, LSK=lsk, PSCAN=pscan, ParNet=parnet,
                 SCSA=scsa, SGE=sge, SimAM=simam)  # fmt: skip


def compare(module, equations, x, training=False):
    """Assert equal outputs and equal gradients to the input and to every parameter."""
    module = module.double().train(training)
    state = {k: v.clone() for k, v in module.state_dict().items()}
    leaves = {k: state[k].requires_grad_() for k, _ in module.named_parameters()}
    results = []
    for call, parameters in (
        (lambda x: equations(x, state, training), leaves),
        (module, dict(module.named_parameters())),
    ):
        image = x.double().requires_grad_()
        out = call(image)
        torch.manual_seed(1)
        inputs = [image, *parameters.values()]
        grads = torch.autograd.grad(out, inputs, torch.randn_like(out), allow_unused=True)
        zeros = [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, grads)]
        results.append([out, *zeros])
    torch.testing.assert_close(results[1], results[0], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize('size', [(7, 5), (1, 1), (1, 6), (5, 1)], ids=str)
@pytest.mark.parametrize('name', NAMES)
def test_equals_its_equations(name, size):
    compare(build(name), EQUATIONS[name], torch.randn(2, 8, *size))


@pytest.mark.parametrize('training', [False, True])
def test_gam_of_the_circulating_code_has_no_sigmoid_on_channels(training):
    module = build('GAM', channel_sigmoid=False)
    assert module.state_dict().keys() == build('GAM').state_dict().keys()
    raw = partial(gam, gate_of=lambda gate: gate)
    compare(module, raw, torch.randn(3, 8, 6, 5), training=training)


@pytest.mark.parametrize('name', ['GAM', 'PSCAN', 'ParNet'])
def test_equals_its_equations_with_batch_statistics(name):
    compare(build(name), EQUATIONS[name], torch.randn(3, 8, 7, 5), training=True)


@pytest.mark.parametrize(
    'name, options',
    [
        ('CBAM', dict(mlp_bias=True, spatial_norm=True)),
        ('CBAM', dict(kernel_size=3)),
        ('ECA', dict(kernel_size=7)),
        ('GAM', dict(kernel_size=3)),
        ('PSCAN', dict(bias=False)),
        ('PSCAN', dict(bias=False, kernel_bias=False, kernel_size=3)),
    ],
    ids=str,
)
@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
def test_options_equal_the_equations(name, options, training):
    compare(build(name, **options), EQUATIONS[name], torch.randn(3, 8, 4, 3), training)


def test_constant_maps_have_no_deviation_and_finite_gradients():
    x = torch.randn(2, 8, 1, 1).expand(-1, -1, 4, 3).contiguous().requires_grad_()
    for name in NAMES:
        module = build(name).eval()
        out = module(x)
        (gradient,) = torch.autograd.grad(out.sum(), x)
        assert out.isfinite().all() and gradient.isfinite().all(), name
    one = torch.randn(2, 8, 1, 1)
    sge, simam = build('SGE'), build('SimAM')
    shift = sge.bias.sigmoid().repeat_interleave(2, dim=1)
    torch.testing.assert_close(sge(one), one * shift)
    torch.testing.assert_close(simam(one), one * torch.tensor(0.5).sigmoid())


# --- the contract ---------------------------------------------------------------------------------


@pytest.mark.parametrize('name', NAMES)
def test_one_signature(name):
    cls = MODELS.get(name)
    assert (
        issubclass(cls, BaseModule) and cls.__module__ == f'mmseg_ext.models.layers.{name.lower()}'
    )
    assert name in mmseg_ext.models.layers.__all__
    _, first, *rest = inspect.signature(cls.__init__).parameters.values()
    assert first.name == 'channels' and first.kind is first.POSITIONAL_OR_KEYWORD
    assert first.default is first.empty
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in rest)
    assert rest[-1].name == 'init_cfg'


@pytest.mark.parametrize('name', NAMES)
def test_parameter_integers_at_256_channels(name):
    with torch.device('meta'):
        assert count(MODELS.build(dict(type=name, channels=256))) == INTEGERS[name]


@pytest.mark.parametrize(
    'name, options, expected',
    [
        ('CBAM', dict(mlp_bias=True, spatial_norm=True), 8_290 + (16 + 256) + 2),
        ('ECA', dict(kernel_size=3), 3),
        ('PSCAN', dict(bias=False), 66_566),
        ('PSCAN', dict(bias=False, kernel_size=3, kernel_bias=False), 66_563),
        ('EMA', dict(groups=8), (32 * 32 + 9 * 32 * 32) + 2 * 32 + 2 * 32),
        ('SGE', dict(groups=8), 16),
    ],
)
def test_parameter_integers_of_the_options(name, options, expected):
    assert count(MODELS.build(dict(type=name, channels=256, **options))) == expected


@pytest.mark.parametrize('channels, size', [(16, 3), (64, 3), (128, 5), (256, 5), (512, 5)])
def test_eca_derives_its_kernel(channels, size):
    assert MODELS.build(dict(type='ECA', channels=channels)).conv.kernel_size == (size,)


@pytest.mark.parametrize('name', NAMES)
def test_every_parameter_gets_a_gradient(name):
    torch.manual_seed(0)
    module = MODELS.build(dict(type=name, channels=64)).train()  # as it starts
    x = torch.randn(4, 64, 6, 5, requires_grad=True)
    module(x).square().sum().backward()
    grads = {n: p.grad for n, p in module.named_parameters()}
    assert len(grads) == len(list(module.parameters()))
    assert [n for n, g in grads.items() if g is None or not g.isfinite().all()] == []
    silent = [n for n, g in grads.items() if not g.abs().sum() > 1e-6]
    # batch norm removes what is the same for all images
    behind_a_norm = {
        'GAM': ['spatial.0.bias', 'spatial.3.bias'],
        'PSCAN': ['merge.bias', 'conv.bias'],
        'ParNet': ['conv1x1.0.bias', 'conv3x3.0.bias'],
    }
    assert set(silent) <= set(behind_a_norm.get(name, []))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('size', [(7, 5), (1, 1), (1, 6), (5, 1)], ids=str)
def test_keeps_the_shape_and_stays_finite(name, size):
    module = build(name)
    for images, training in ((2, True), (1, False)):
        x = torch.randn(images, 8, *size, requires_grad=True)
        out = module.train(training)(x)
        assert out.shape == x.shape and out.isfinite().all()
        (gradient,) = torch.autograd.grad(out.sum(), x)
        assert gradient.isfinite().all()


@pytest.mark.parametrize('name', NAMES)
def test_one_value_per_channel_in_training(name):
    module, x = build(name).train(), torch.randn(1, 8, 1, 1)
    if name not in ('GAM', 'PSCAN', 'ParNet'):
        assert module(x).isfinite().all()
        return
    with pytest.raises(ValueError, match=f'{name}: .*batch of at least 2'):
        module(x)
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.eval()  # frozen statistics need no batch
    assert module(x).isfinite().all()


def test_batch_of_one_in_training_where_maps_are_larger():
    x = torch.randn(1, 8, 4, 4)
    for name in ('GAM', 'ParNet'):
        assert build(name).train()(x).isfinite().all()
    with pytest.raises(ValueError, match=r'PSCAN: .* shape \(1, 8, 1\): train with a batch'):
        build('PSCAN').train()(x)
    with pytest.raises(ValueError, match='CBAM: .*batch of at least 2'):
        build('CBAM', spatial_norm=True).train()(x[..., :1, :1])


def test_synchronised_norms_are_left_to_torch():
    """Other processes may hold the other values."""
    check_batch_norm_input(nn.SyncBatchNorm(8), torch.zeros(1, 8, 1), nn.Identity())
    with pytest.raises(ValueError, match='Identity: batch norm'):
        check_batch_norm_input(nn.BatchNorm1d(8), torch.zeros(1, 8, 1), nn.Identity())


def test_group_norm_of_one_value_is_its_shift():
    norm, x = GroupNorm(4, 4), torch.randn(1, 4, 1, 1)
    nn.init.normal_(norm.bias)
    torch.testing.assert_close(norm(x).flatten(), norm.bias)
    wide = torch.randn(2, 4, 3, 5)
    assert torch.equal(norm(wide), F.group_norm(wide, 4, norm.weight, norm.bias))
    for name, options in (('SCSA', dict(heads=1)), ('EMA', dict(groups=1))):
        assert build(name, 4, **options)(x).isfinite().all()


def test_mean_and_deviation_equal_numpy_and_have_a_gradient_everywhere():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    x[0, 0], x[1, 2] = 7, 1e8 + x[1, 2]
    mean, std = mean_and_deviation(x.requires_grad_())
    np.testing.assert_allclose(mean.detach(), x.detach().numpy().mean((2, 3)))
    np.testing.assert_allclose(std.detach(), x.detach().numpy().std((2, 3)), rtol=1e-6)
    (gradient,) = torch.autograd.grad(std.sum(), x)
    expected = (x - mean[..., None, None]) / std[..., None, None] / 20
    torch.testing.assert_close(gradient, expected.nan_to_num(0), rtol=1e-6, atol=1e-9)
    assert not gradient[0, 0].any() and not mean_and_deviation(x[..., :1, :1])[1].any()


@pytest.mark.parametrize('name', GATES)
def test_gates_never_enlarge(name):
    module, x = build(name).eval(), 3 * torch.randn(2, 8, 6, 5)
    out = module(x)
    assert (out.abs() <= x.abs()).all() and (out * x >= 0).all()
    assert not torch.equal(out, x)


@pytest.mark.parametrize(
    'config, message',
    [
        (dict(type='SGE', channels=100), r'channels \(100\) .* multiple of groups \(64\)'),
        (dict(type='EMA', channels=16), r'channels \(16\) .* multiple of groups \(32\)'),
        (dict(type='SCSA', channels=10), r'channels \(10\) .* number of kernel_sizes \(4\)'),
        (dict(type='SCSA', channels=8, heads=3), r'channels \(8\) .* heads \(3\)'),
        (dict(type='SCSA', channels=8, kernel_sizes=(3, 4)), r'must be odd, got \[3, 4\]'),
        (dict(type='SCSA', channels=8, window_size=0), 'at least 1, got 0'),
        (dict(type='LSK', channels=9), 'channels must be even, got 9'),
        (dict(type='LSK', channels=8, kernel_sizes=(5, 6)), r'must be odd, got \[5, 6\]'),
        (dict(type='LSK', channels=8, dilations=(1,)), r'two entries each, got \[5, 7\] and \[1\]'),
        (dict(type='PSCAN', channels=9), 'channels must be even, got 9'),
        (dict(type='PSCAN', channels=8, kernel_size=4), 'kernel_size must be odd, got 4'),
        (dict(type='ECA', channels=8, kernel_size=4), 'kernel_size must be odd, got 4'),
        (dict(type='CBAM', channels=8, kernel_size=4), 'kernel_size must be odd, got 4'),
        (dict(type='GAM', channels=8, kernel_size=4), 'kernel_size must be odd, got 4'),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)
def test_bad_arguments(config, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(config)


@pytest.mark.parametrize('name', ['CBAM', 'GAM'])
def test_few_channels_keep_a_hidden_one(name):
    module = MODELS.build(dict(type=name, channels=2))
    assert module(torch.randn(2, 2, 3, 3)).shape == (2, 2, 3, 3)


# --- formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', NAMES)
def test_bfloat16_autocast(name):
    module, x = build(name).eval(), torch.randn(4, 8, 6, 5)
    with torch.no_grad():
        expected = module(x)
        with torch.autocast('cpu', torch.bfloat16):
            half = module(x.bfloat16())
            mixed = module(x)
    assert half.dtype == torch.bfloat16 and mixed.dtype == torch.float32
    for out in (half.float(), mixed):  # 8 bits of mantissa
        assert (out - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize('name', NAMES)
def test_channels_last(name):
    module, x = build(name), torch.randn(3, 8, 6, 5)
    expected = module(x)
    module = build(name).to(memory_format=torch.channels_last)
    out = module(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('name', NAMES)
def test_onnx_export(name, onnx_export):
    onnx_export(build(name).eval(), torch.randn(2, 8, 7, 5))


# --- the slots ------------------------------------------------------------------------------------


@pytest.mark.parametrize('slot', ['fused', 'concat'])
@pytest.mark.parametrize('name', NAMES)
def test_fits_the_slot_of_aspp(name, slot):
    config = dict(type='ASPP', in_channels=4, channels=64, rates=(1,), attention_on=slot)
    plain = MODELS.build(config)
    aspp = MODELS.build(dict(config, attention=dict(type=name)))
    width = 64 if slot == 'fused' else 192
    added = count(MODELS.build(dict(type=name, channels=width)))
    assert count(aspp) - count(plain) == added
    aspp(torch.randn(3, 4, 5, 6)).square().sum().backward()
    assert all(p.grad is not None for p in aspp.parameters())
    attention = aspp.fused_attention if slot == 'fused' else aspp.concat_attention
    assert type(attention) is MODELS.get(name)


@pytest.mark.parametrize('name', NAMES)
def test_fits_the_slots_of_the_fmsi_head(name):
    head = MODELS.build(dict(
        type='FMSIHead', in_channels=(64, 4, 4), in_index=(0, 1, 2), channels=64, num_classes=3,
        context=dict(type='DeformASPP', rates=(1,), attention=dict(type=name)),
        attention=dict(type=name)))  # fmt: skip
    maps = [torch.randn(3, 64, 8, 6), torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)]
    logits = head(maps)
    assert logits.shape == (3, 3, 8, 6)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in head.parameters())
    assert [type(m) for m in head.modules()].count(MODELS.get(name)) == 2


@pytest.mark.parametrize('name', NAMES)
def test_fits_the_slots_of_the_mfp_head(name):
    head = MODELS.build(dict(
        type='MFPHead', in_channels=(4, 8, 32), in_index=(0, 1, 2), channels=64, num_classes=3,
        skip_channels=(4, 4), scale_factors=(2, 4),
        context=dict(type='AFFP', rates=(1,), attention=dict(type=name)),
        attention=dict(type=name)))  # fmt: skip
    maps = [torch.randn(3, 4, 8, 8), torch.randn(3, 8, 4, 4), torch.randn(3, 32, 2, 2)]
    logits = head(maps)
    assert logits.shape == (3, 3, 8, 8)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in head.parameters() if p.requires_grad)
    assert [type(m) for m in head.modules()].count(MODELS.get(name)) == 2
