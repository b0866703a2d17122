"""DySample against a loop over pixels, bilinear interpolation and its two ways of sampling."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmseg_ext.models.layers import DySample, dysample
from mmseg_ext.models.layers.dysample import sample


def _random(channels=16, spread=2.0, **settings):
    """A module whose points move by up to a few pixels, also beyond the border."""
    torch.manual_seed(0)
    module = DySample(channels, **settings)
    for name, parameter in module.named_parameters():
        nn.init.normal_(parameter, std=1 if 'scope' in name else spread)
    return module


@pytest.fixture
def way(monkeypatch):
    """Choose how to sample: ``way(True)`` gathers, ``way(False)`` calls grid_sample."""
    return lambda gather: monkeypatch.setattr(dysample, '_gathers', lambda x, offset: gather)


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'style, channels, scale, expected',
    [
        ('lp', 32, 2, 1_056),
        ('lp', 64, 4, 8_320),
        ('lp', 256, 4, 32_896),
        ('pl', 32, 2, 72),
        ('pl', 64, 4, 40),
        ('pl', 256, 4, 136),
    ],
)
def test_parameter_integers(style, channels, scale, expected):
    module = DySample(channels, scale_factor=scale, style=style)
    assert sum(p.numel() for p in module.parameters()) == expected
    gated = DySample(channels, scale_factor=scale, style=style, dynamic_scope=True)
    without_bias = expected - module.offset.bias.numel()
    assert sum(p.numel() for p in gated.parameters()) == expected + without_bias


def test_parameters_have_the_names_of_the_authors_code():
    keys = {'offset.weight', 'offset.bias'}
    assert set(DySample(8).state_dict()) == keys
    assert set(DySample(8, dynamic_scope=True).state_dict()) == keys | {'scope.weight'}


@pytest.mark.parametrize('gather', [False, True])
@pytest.mark.parametrize('style', ['lp', 'pl'])
@pytest.mark.parametrize('scale', [1, 2, 3, 4])
def test_zero_offsets_equal_bilinear_interpolation(style, scale, gather, way):
    way(gather)
    module = DySample(4 * scale**2, scale_factor=scale, style=style)
    nn.init.zeros_(module.offset.weight)
    for size in ((1, 1), (1, 6), (5, 1), (2, 2), (7, 5)):
        x = torch.randn(2, 4 * scale**2, *size)
        bilinear = F.interpolate(x, scale_factor=scale, mode='bilinear', align_corners=False)
        torch.testing.assert_close(module(x), bilinear, rtol=1e-5, atol=1e-5)


def _loop(module, x):
    """The publication's equations, one fine pixel at a time, in float64."""
    s, groups = module.scale_factor, module.groups
    n, c, h, w = x.shape
    weight, bias, scope = (
        None if t is None else t.detach().double().flatten(1).numpy() if t.dim() > 1
        else t.detach().double().numpy()
        for t in (module.offset.weight, module.offset.bias, module.scope and module.scope.weight)
    )  # fmt: skip
    x = x.double().numpy()
    out = np.zeros((n, c, s * h, s * w))

    def moved(image, axis, group, row, column):
        """Displacement (axis 0: columns, 1: rows) of one fine pixel, in coarse pixels."""
        i, j = row % s, column % s
        pixel, channel = image[:, row // s, column // s], axis * groups + group
        if module.style == 'lp':
            channel = (channel * s + i) * s + j
        else:  # what pixel_shuffle would put at this fine pixel
            pixel = pixel.reshape(-1, s, s)[:, i, j]
        gate = 0.5
        if scope is not None:
            gate = 1 / (1 + math.exp(-(scope[channel] @ pixel)))
        return 0.5 * gate * (weight[channel] @ pixel + bias[channel])

    for b, group, row, column in np.ndindex(n, groups, s * h, s * w):
        y = (row + 0.5) / s - 0.5 + moved(x[b], 1, group, row, column)
        z = (column + 0.5) / s - 0.5 + moved(x[b], 0, group, row, column)
        y, z = min(max(y, 0), h - 1), min(max(z, 0), w - 1)
        channels = slice(group * c // groups, (group + 1) * c // groups)
        for i in range(h):
            for j in range(w):
                share = max(0, 1 - abs(y - i)) * max(0, 1 - abs(z - j))
                out[b, channels, row, column] += share * x[b, channels, i, j]
    return torch.from_numpy(out).float()


@pytest.mark.parametrize('gather', [False, True])
@pytest.mark.parametrize('size', [(1, 1), (3, 4), (5, 1)])
@pytest.mark.parametrize('dynamic_scope', [False, True])
@pytest.mark.parametrize('style, groups, scale', [('lp', 4, 2), ('lp', 1, 3), ('pl', 2, 2)])
def test_equals_a_loop_over_pixels(style, groups, scale, dynamic_scope, size, gather, way):
    way(gather)
    module = _random(
        8, 1.0, scale_factor=scale, style=style, groups=groups, dynamic_scope=dynamic_scope
    )
    x = torch.randn(2, 8, *size)
    torch.testing.assert_close(module(x), _loop(module, x), rtol=1e-5, atol=2e-5)


def test_dynamic_scope_starts_as_the_static_one():
    torch.manual_seed(0)
    static, gated = DySample(8), DySample(8, dynamic_scope=True)
    gated.load_state_dict(static.state_dict(), strict=False)
    x = torch.randn(1, 8, 5, 4)
    torch.testing.assert_close(gated(x), static(x), rtol=0, atol=0)


# --- gradients and the two ways of sampling -------------------------------------------------------


@pytest.mark.parametrize('gather', [False, True])
def test_gradients_equal_finite_differences(gather, way):
    way(gather)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 2, 3, 2, generator=generator, dtype=torch.float64)
    # fine pixels start at quarters of a pixel: away from the kinks, where no derivative exists
    offset = 0.2 * torch.rand(1, 16, 3, 2, generator=generator, dtype=torch.float64) - 0.1
    assert torch.autograd.gradcheck(
        lambda a, b: sample(a, b, scale_factor=2, groups=2),
        (x.requires_grad_(), offset.requires_grad_()),
    )


@pytest.mark.parametrize('style', ['lp', 'pl'])
@pytest.mark.parametrize('gather', [False, True])
def test_every_parameter_gets_a_gradient(style, gather, way):
    way(gather)
    module = _random(style=style, dynamic_scope=True, spread=0.1)
    x = torch.randn(2, 16, 5, 3, requires_grad=True)
    module(x).square().sum().backward()
    for name, parameter in [('x', x), *module.named_parameters()]:
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_the_ways_agree_far_beyond_the_border(way):
    module, x = _random(scale_factor=3, spread=5.0), torch.randn(2, 16, 4, 7)
    results = []
    for gather in (False, True):
        way(gather)
        module.zero_grad()
        out = module(x)
        out.backward(torch.ones_like(out).cumsum(2))
        results.append([out.detach(), *(p.grad.clone() for p in module.parameters())])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


def test_which_way_is_taken(monkeypatch):
    taken = []
    for name in ('_by_gather', '_by_grid'):
        function = getattr(dysample, name)
        monkeypatch.setattr(
            dysample, name, lambda *a, f=function, n=name: (taken.append(n), f(*a))[1]
        )
    module, x = DySample(8), torch.randn(2, 8, 5, 6)
    last = x.to(memory_format=torch.channels_last)
    with torch.no_grad():
        assert module(last).is_contiguous(memory_format=torch.channels_last)
        assert module(x).is_contiguous()
        torch.jit.trace(module, last, check_trace=False)
    module(last)
    assert taken == ['_by_gather', '_by_grid', '_by_grid', '_by_grid']


@pytest.mark.parametrize('deterministic', [False, True])
def test_gathers_on_cuda_only_where_determinism_is_asked_for(deterministic):
    torch.use_deterministic_algorithms(deterministic)
    try:
        x = SimpleNamespace(device=torch.device('cuda'))
        assert dysample._gathers(x, x) == deterministic
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize('style', ['lp', 'pl'])
def test_memory_format_changes_no_value(style):
    module, x = _random(style=style, spread=0.3), torch.randn(2, 16, 5, 7)
    with torch.no_grad():
        last = module(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(last, module(x), rtol=1e-5, atol=1e-5)


def test_a_nan_stays_where_it_is(way):
    way(True)
    offset = torch.zeros(1, 8, 3, 3)
    offset[0, 0, 0, 0] = math.nan
    out = sample(torch.ones(1, 2, 3, 3), offset, scale_factor=2)
    assert out.isnan().nonzero().tolist() == [[0, 0, 0, 0], [0, 1, 0, 0]]


# --- dtype, graphs --------------------------------------------------------------------------------


@pytest.mark.parametrize('gather', [False, True])
@pytest.mark.parametrize('autocast', [False, True])
def test_coordinates_stay_float32(autocast, gather, way):
    """Beyond column 128 bfloat16 has whole numbers only, so it would read 0 or 4, never 1 or 3."""
    way(gather)
    x, module = torch.tensor([0.0, 4.0]).repeat(4, 64).view(1, 4, 1, 128), DySample(4)
    nn.init.zeros_(module.offset.weight)
    x = x.bfloat16()
    module = module if autocast else module.bfloat16()
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        out = module(x)
    assert out.dtype == torch.bfloat16
    assert out[0, 0, 0, 129:253].tolist() == [1.0, 3.0, 3.0, 1.0] * 31


def test_autocast_close_to_float32():
    module, x = _random(spread=0.1), torch.randn(2, 16, 9, 9)
    results = []
    for enabled in (False, True):
        module.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            out = module(x)
        assert out.dtype == torch.float32  # as the input
        out.square().mean().backward()
        results.append([out.detach(), *(p.grad.clone() for p in module.parameters())])
    for exact, half in zip(*results):
        assert half.dtype == torch.float32
        assert (half - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize('last', [False, True])
def test_compiles_to_one_graph(last):
    module, x = _random(spread=0.3, dynamic_scope=True), torch.randn(2, 16, 5, 7)
    if last:
        x = x.to(memory_format=torch.channels_last)
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend='aot_eager')
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), module(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('style', ['lp', 'pl'])
@pytest.mark.parametrize('dynamo', [False, True])
def test_onnx_export_uses_grid_sample(style, dynamo, onnx_export):
    module = _random(style=style, spread=0.5).eval()
    assert 'GridSample' in onnx_export(module, torch.randn(1, 16, 5, 7), dynamo=dynamo)


# --- initialisation, errors, devices --------------------------------------------------------------


def test_global_initialisers_leave_the_small_start():
    class Model(BaseModule):
        def __init__(self):
            super().__init__(dict(type='Constant', layer='Conv2d', val=7.0, bias=7.0))
            self.up = DySample(64, dynamic_scope=True)

    model = Model()
    model.init_weights()
    assert not model.up.scope.weight.any() and not model.up.offset.bias.any()
    assert model.up.offset.weight.std().item() == pytest.approx(0.001, rel=0.1)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(style='xl'), "style must be 'lp' or 'pl', got 'xl'"),
        (dict(groups=3), r'channels \(8\) must be a multiple of groups \(3\)'),
        (dict(style='pl', scale_factor=4), r'\(8\) to be a multiple of scale_factor\^2 \(16\)'),
        (dict(scale_factor=1.5), 'positive integer, got 1.5'),
        (dict(scale_factor=0), 'positive integer, got 0'),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        DySample(8, **settings)


@pytest.mark.gpu
def test_deterministic_training_on_cuda():
    """The backward of grid_sample raises there; ours must not, and must repeat bit by bit."""
    module, x, runs = _random(spread=0.3).cuda(), torch.randn(2, 16, 9, 7, device='cuda'), []
    leaves = [x.requires_grad_(), *module.parameters()]
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            runs.append(torch.autograd.grad(module(x).square().sum(), leaves))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(*runs))
    grid = torch.autograd.grad(module(x).square().sum(), leaves)
    torch.testing.assert_close(runs[0], grid, rtol=1e-3, atol=1e-3)
