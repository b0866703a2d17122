"""Deformable convolution against a loop over pixels, hand tables and exact properties."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_conv_layer
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from mmengine.utils.dl_utils import mmcv_full_available
from torch import nn

import mmseg_ext  # noqa: F401  puts the placeholder for mmcv's operators in place
from mmseg_ext.models.layers import DCNTorch, deform_conv, deform_conv2d, deform_gather

WAYS = [('project', True), ('project', False), ('sample', True), ('sample', False)]
oracle = pytest.mark.skipif(
    not mmcv_full_available(), reason='needs compiled mmcv, which make test-full installs'
)


def loop_reference(x, offset, weight, mask, *, stride, padding, dilation, groups, deform_groups):
    """The definition, one multiplication at a time, in float64."""
    x, offset, weight = (t.detach().double().numpy() for t in (x, offset, weight))
    mask = None if mask is None else mask.detach().double().numpy()
    (count, c_in, height, width), (c_out, per_group, kh, kw) = x.shape, weight.shape
    out = np.zeros((count, c_out, *offset.shape[2:]))

    def pixel(n, c, row, column):
        inside = 0 <= row < height and 0 <= column < width
        return x[n, c, row, column] if inside else 0.0

    for n, o, r, s in np.ndindex(out.shape):
        for c, i, j in itertools.product(range(per_group), range(kh), range(kw)):
            channel = o // (c_out // groups) * per_group + c
            tap = channel // (c_in // deform_groups) * kh * kw + i * kw + j
            y = r * stride[0] - padding[0] + i * dilation[0] + offset[n, 2 * tap, r, s]
            z = s * stride[1] - padding[1] + j * dilation[1] + offset[n, 2 * tap + 1, r, s]
            top, left = math.floor(y), math.floor(z)
            value = sum(
                (1 - abs(y - row)) * (1 - abs(z - column)) * pixel(n, channel, row, column)
                for row in (top, top + 1)
                for column in (left, left + 1)
            )
            scale = 1.0 if mask is None else mask[n, tap, r, s]
            out[n, o, r, s] += weight[o, c, i, j] * value * scale
    return torch.from_numpy(out)


GEOMETRIES = {
    'plain': dict(),
    'odd size, stride 2': dict(size=(7, 5), stride=(2, 2)),
    'mixed strides': dict(size=(6, 9), stride=(1, 3), padding=(0, 2)),
    'dilation': dict(size=(5, 7), padding=(3, 2), dilation=(3, 2)),
    'taps that never touch the map': dict(size=(4, 3), padding=(6, 6), dilation=(6, 6)),
    'even kernel': dict(kernel=(2, 4), padding=(1, 1)),
    '1x1 kernel': dict(kernel=(1, 1), padding=(0, 0)),
    'deform groups': dict(deform_groups=2),
    'one image column': dict(size=(5, 1)),
    'wide output': dict(c_out=12),
}


def problem(
    size=(5, 6), kernel=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1,
    deform_groups=1, c_in=4, c_out=2, modulated=False, spread=1.5, count=2, dtype=torch.float32,
):  # fmt: skip
    """Random tensors, and the settings that go with them."""
    generator = torch.Generator().manual_seed(sum(map(ord, repr(sorted(locals().items())))))
    settings = dict(stride=stride, padding=padding, dilation=dilation)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, weight = draw(count, c_in, *size), draw(c_out, c_in // groups, *kernel)
    out = F.conv2d(x, weight, groups=groups, **settings).shape[2:]
    taps = deform_groups * kernel[0] * kernel[1]
    offset = draw(count, 2 * taps, *out) * spread
    mask = draw(count, taps, *out).sigmoid() if modulated else None
    tensors = [None if t is None else t.to(dtype) for t in (x, offset, weight, mask)]
    return tensors, dict(settings, groups=groups, deform_groups=deform_groups)


def with_gradients(tensors, settings, **options):
    """Return the output and the gradients to all tensors, for a fixed output gradient."""
    leaves = [None if t is None else t.clone().requires_grad_() for t in tensors]
    out = deform_conv2d(*leaves, **settings, **options)
    torch.manual_seed(0)
    out.backward(torch.randn(out.shape, dtype=out.dtype))
    return out.detach(), [t.grad for t in leaves if t is not None]


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize('modulated', [False, True], ids=['v1', 'v2'])
@pytest.mark.parametrize('name', GEOMETRIES)
def test_equals_a_loop_over_pixels(name, modulated):
    tensors, settings = problem(**GEOMETRIES[name], modulated=modulated)
    expected = loop_reference(*tensors, **settings).float()
    for order, deterministic in WAYS:
        out = deform_conv2d(*tensors, **settings, order=order, deterministic=deterministic)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('groups, deform_groups', [(2, 1), (2, 4), (4, 2)])
@pytest.mark.parametrize('deterministic', [True, False])
def test_grouped_weights_equal_a_loop_over_pixels(groups, deform_groups, deterministic):
    tensors, settings = problem(groups=groups, deform_groups=deform_groups, c_out=4, modulated=True)
    out = deform_conv2d(*tensors, **settings, deterministic=deterministic)
    expected = loop_reference(*tensors, **settings).float()
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('order, deterministic', WAYS)
def test_hand_table(order, deterministic):
    """A ramp 0..24 on 5x5, a kernel of ones, every sample half a pixel down and to the right.

    Around a centre (y, x) with all corners inside, a sample is 5y + x + 3 and nine sum to nine
    times that. The corners lose what lies outside, in reading order:
    (0, 0): 0 + 1/4 + 3/4, 5/4 + 3 + 4, 15/4 + 8 + 9; (0, 4): 7/4 + 1, 6 + 13/4, 11 + 23/4;
    (4, 4): 21 + 43/4, 47/4 + 6.
    """
    x = torch.arange(25.0).view(1, 1, 5, 5)
    offset, weight = torch.full((1, 18, 5, 5), 0.5), torch.ones(1, 1, 3, 3)
    out = deform_conv2d(x, offset, weight, padding=1, order=order, deterministic=deterministic)
    close = dict(rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(out[0, 0, 1:3, 1:3], torch.tensor([[81.0, 90], [126, 135]]), **close)
    corners = out[0, 0, (0, 0, 4), (0, 4, 4)]
    torch.testing.assert_close(corners, torch.tensor([30.0, 28.75, 49.5]), **close)


@pytest.mark.parametrize('rate', [6, 8, 12, 18, 24])
def test_zero_offsets_are_the_atrous_convolution(rate):
    """Forward and backward, for all rates of the paper, also larger than the map."""
    torch.manual_seed(rate)
    layer = DCNTorch(24, 8, 3, padding=rate, dilation=rate)
    x = torch.randn(2, 24, 19, 17, requires_grad=True)
    out, plain = layer(x), F.conv2d(x, layer.weight, padding=rate, dilation=rate)
    torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-5)
    seed = torch.randn(out.shape)
    ours = torch.autograd.grad(out, (x, layer.weight), seed)
    theirs = torch.autograd.grad(plain, (x, layer.weight), seed)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_fresh_modulated_layer_is_half_the_convolution():
    torch.manual_seed(0)
    layer = DCNTorch(6, 4, 3, stride=2, padding=2, dilation=2, modulated=True, bias=True)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 6, 9, 10)
    half = F.conv2d(x, layer.weight / 2, layer.bias, stride=2, padding=2, dilation=2)
    torch.testing.assert_close(layer(x), half, rtol=1e-5, atol=1e-5)


def test_parameter_counts_of_the_paper():
    layer = DCNTorch(2048, 256, 3, padding=6, dilation=6)
    assert sum(p.numel() for p in layer.conv_offset.parameters()) == 331_794
    assert layer.weight.numel() == 4_718_592
    assert sum(p.numel() for p in layer.parameters()) == 331_794 + 4_718_592
    modulated = DCNTorch(2048, 256, 3, modulated=True)
    assert sum(p.numel() for p in modulated.conv_offset.parameters()) == 27 * (2048 * 9 + 1)


@pytest.mark.parametrize('order, deterministic', WAYS)
def test_samples_far_outside_are_zero_without_gradient(order, deterministic):
    tensors, settings = problem(modulated=True)
    for far in (1e4, -1e9, math.inf):
        tensors[1] = torch.full_like(tensors[1], far)
        out, gradients = with_gradients(tensors, settings, order=order, deterministic=deterministic)
        assert not out.any()
        assert not any(g.any() for g in gradients)  # NaN would count as true


@pytest.mark.parametrize('order', ['project', 'sample'])
def test_a_nan_offset_reaches_its_own_output_only(order):
    tensors, settings = problem()
    tensors[1][1, 4, 2, 3] = math.nan
    out = deform_conv2d(*tensors, **settings, order=order)
    expected = torch.zeros_like(out, dtype=torch.bool)
    expected[1, :, 2, 3] = True
    assert torch.equal(out.isnan(), expected)


# --- gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize('modulated', [False, True], ids=['v1', 'v2'])
@pytest.mark.parametrize('order, deterministic', WAYS)
def test_gradients_numerically(order, deterministic, modulated):
    tensors, settings = problem(
        size=(3, 2), c_in=2, c_out=1, count=2, deform_groups=2, kernel=(2, 2), stride=(2, 1),
        modulated=modulated, dtype=torch.float64,
    )  # fmt: skip
    leaves = [t.requires_grad_() for t in tensors if t is not None]

    def function(*inputs):
        return deform_conv2d(*inputs, **settings, order=order, deterministic=deterministic)

    assert torch.autograd.gradcheck(function, leaves, eps=1e-6, atol=1e-6)


@pytest.mark.parametrize('name', GEOMETRIES)
def test_all_ways_agree_including_gradients(name, monkeypatch):
    tensors, settings = problem(**GEOMETRIES[name], modulated=True)
    out, gradients = with_gradients(tensors, settings, order='project', deterministic=True)
    for order, deterministic in WAYS[1:]:
        other = with_gradients(tensors, settings, order=order, deterministic=deterministic)
        torch.testing.assert_close(other, (out, gradients), rtol=1e-5, atol=2e-5)
    # the path of CUDA: the whole map projected at once, no boxes
    monkeypatch.setattr(deform_gather, 'traced', lambda: True)
    whole = with_gradients(tensors, settings, order='project', deterministic=True)
    torch.testing.assert_close(whole, (out, gradients), rtol=1e-5, atol=1e-5)


def test_each_input_alone_gets_its_gradient():
    tensors, settings = problem(modulated=True)
    _, expected = with_gradients(tensors, settings)
    for i, gradient in enumerate(expected):
        leaves = [t.clone().requires_grad_(j == i) for j, t in enumerate(tensors)]
        out = deform_conv2d(*leaves, **settings)
        torch.manual_seed(0)
        out.backward(torch.randn(out.shape, dtype=out.dtype))
        torch.testing.assert_close(leaves[i].grad, gradient, rtol=0, atol=0)


def test_offset_gradient_at_whole_pixels_is_the_difference_to_the_next():
    """A 1x1 kernel of one on a column of squares: x' = next - this, and -this at the last pixel.

    With padding 1 the first sample is at -1 exactly: outside, as in mmcv, so no gradient.
    """
    x = torch.arange(1.0, 5).square().view(1, 1, 4, 1)
    for order in ('project', 'sample'):
        offset = torch.zeros(1, 2, 6, 3, requires_grad=True)
        deform_conv2d(x, offset, torch.ones(1, 1, 1, 1), padding=1, order=order).sum().backward()
        rows = offset.grad[0, 0, :, 1]
        assert rows.tolist() == pytest.approx([0, 4 - 1, 9 - 4, 16 - 9, -16, 0])


def test_the_offsets_learn_a_shift():
    """Only the offset bias is free; the target is the input moved by (1, -2) pixels."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(0, 3, 16), torch.linspace(0, 3, 16), indexing='ij')
    image = torch.stack((y.sin() + x.cos(), (y + x).sin()))[None]
    layer = DCNTorch(2, 2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2).view(2, 2, 1, 1))
    optimizer = torch.optim.Adam([layer.conv_offset.bias], lr=0.15)
    for _ in range(60):
        error = layer(image)[..., 3:-3, 3:-3] - image[..., 4:-2, 1:-5]
        optimizer.zero_grad()
        error.square().sum().backward()
        optimizer.step()
    assert layer.conv_offset.bias.tolist() == pytest.approx([1, -2], abs=0.1)


@pytest.mark.parametrize('order', ['project', 'sample'])
def test_memory_kept_for_backward(order):
    """Projecting first keeps K * C_out maps and the input, sampling first K * C_in maps."""
    tensors, settings = problem(size=(16, 16), c_in=64, c_out=2, spread=0.1)
    kept = {}

    def pack(tensor):
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    leaves = [t.requires_grad_() for t in tensors if t is not None]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        deform_conv2d(*leaves, **settings, order=order)
    maps = 4 * 2 * 64 * 16 * 16
    coordinates = 4 * 2 * 256 * 9 * 30  # about 30 small values per sample, whatever the width
    assert sum(kept.values()) < (2 if order == 'project' else 12) * maps + coordinates
    assert order == 'project' or sum(kept.values()) > 9 * maps


# --- dtype, order, graphs -------------------------------------------------------------------------


@pytest.mark.parametrize('order, deterministic', WAYS)
@pytest.mark.parametrize('autocast', [False, True])
def test_coordinates_stay_float32(order, deterministic, autocast):
    """Beyond column 128 bfloat16 has whole numbers only, so it would read 0 or 4, never 1 or 3."""
    x = torch.tensor([0.0, 4.0]).repeat(128).view(1, 1, 1, 256)
    offset, weight = torch.zeros(1, 2, 1, 256), torch.ones(1, 1, 1, 1)
    offset[:, 1] = 0.25
    if not autocast:
        x, offset, weight = x.bfloat16(), offset.bfloat16(), weight.bfloat16()
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        out = deform_conv2d(x, offset, weight, order=order, deterministic=deterministic)
    assert out.dtype == torch.bfloat16
    assert out[0, 0, 0, 128:254].tolist() == pytest.approx([1.0, 3.0] * 63, rel=8e-3)


@pytest.mark.parametrize('order, deterministic', WAYS)
def test_autocast_close_to_float32(order, deterministic):
    torch.manual_seed(0)
    layer = DCNTorch(16, 8, padding=2, dilation=2, modulated=True, order=order,
                     deterministic=deterministic)  # fmt: skip
    nn.init.normal_(layer.conv_offset.weight, std=0.02)
    x, results = torch.randn(2, 16, 9, 9), []
    for enabled in (False, True):
        layer.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            out = layer(x)
        out.float().square().mean().backward()
        results.append([out.float().detach(), *(p.grad.clone() for p in layer.parameters())])
        assert out.dtype == (torch.bfloat16 if enabled else torch.float32)
    names = ['out', *(name for name, _ in layer.named_parameters())]
    for name, exact, half in zip(names, *results):
        assert half.dtype == torch.float32
        # offsets start near whole pixels, where rounding picks the other one-sided derivative
        tolerance = 0.3 if 'conv_offset' in name else 0.02
        assert (half - exact).norm() < tolerance * exact.norm(), name


@pytest.mark.parametrize(
    'c_in, c_out, settings, expected',
    [
        (2048, 256, dict(), 'project'),
        (256, 256, dict(), 'project'),
        (64, 256, dict(), 'sample'),
        (320, 256, dict(deform_groups=4), 'sample'),
        (512, 512, dict(stride=(2, 2)), 'sample'),
        (256, 256, dict(groups=256), 'sample'),
    ],
)
def test_order_follows_the_width(c_in, c_out, settings, expected, monkeypatch):
    taken = []
    for name in ('project_by_gather', 'columns_by_gather'):
        function = getattr(deform_conv, name)
        monkeypatch.setattr(
            deform_conv, name, lambda *a, f=function, n=name: (taken.append(n), f(*a))[1]
        )
    tensors, settings = problem(c_in=c_in, c_out=c_out, count=1, **settings)
    deform_conv2d(*tensors, **settings)
    assert taken == [dict(project='project_by_gather', sample='columns_by_gather')[expected]]


def test_memory_format_changes_no_value():
    tensors, settings = problem(modulated=True)
    expected = with_gradients(tensors, settings)
    last = [t.contiguous(memory_format=torch.channels_last) for t in tensors]
    torch.testing.assert_close(with_gradients(last, settings), expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def trained():
    """A layer with offsets and masks away from zero, and an input."""
    torch.manual_seed(0)
    layer = DCNTorch(8, 4, 3, padding=2, dilation=2, modulated=True, deform_groups=2, bias=True)
    nn.init.normal_(layer.conv_offset.weight, std=0.2)
    nn.init.normal_(layer.bias)
    return layer.eval(), torch.randn(2, 8, 9, 7)


@pytest.mark.parametrize('backend', ['aot_eager', pytest.param('inductor', marks=pytest.mark.slow)])
@pytest.mark.parametrize('order, deterministic', [('project', None), ('sample', None),
                                                  ('project', True)])  # fmt: skip
def test_compiles_to_one_graph(trained, order, deterministic, backend):
    layer, x = trained
    layer.order, layer.deterministic = order, deterministic
    compiled = torch.compile(copy.deepcopy(layer), fullgraph=True, backend=backend)
    results = []
    for module in (layer, compiled):
        out = module(x)
        out.square().sum().backward()
        results.append([out, *(p.grad for p in module.parameters())])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    'order, dynamo', [('project', False), ('sample', False), ('project', True)]
)
def test_onnx_export_uses_grid_sample(trained, order, dynamo, onnx_export):
    layer, x = trained
    layer.order = order
    assert 'GridSample' in onnx_export(layer, x, dynamo=dynamo)


# --- the module in a model ------------------------------------------------------------------------


@pytest.fixture
def mmseg_scope():
    """Look up bare names in mmseg's registries, as every config does."""
    init_default_scope('mmseg')


def test_mmcv_builds_it_as_a_convolution(mmseg_scope):
    layer = build_conv_layer(dict(type='DCNTorch', modulated=True), 4, 6, 3, stride=2, padding=1)
    assert isinstance(layer, DCNTorch) and layer.modulated and layer.stride == (2, 2)
    block = ConvModule(4, 6, 3, padding=2, dilation=2, conv_cfg=dict(type='DCNTorch'),
                       norm_cfg=dict(type='BN'))  # fmt: skip
    keys = {'conv.weight', 'conv.conv_offset.weight', 'conv.conv_offset.bias'}
    assert {k for k in block.state_dict() if k.startswith('conv.')} == keys
    block.eval()
    x = torch.randn(1, 4, 6, 6)
    plain = block.bn(F.conv2d(x, block.conv.weight, padding=2, dilation=2)).relu()
    torch.testing.assert_close(block(x), plain, rtol=1e-5, atol=1e-5)
    assert ConvModule(4, 6, 3, conv_cfg=dict(type='DCNTorch')).conv.bias is not None


class _Model(BaseModule):
    def __init__(self, init_cfg):
        super().__init__(init_cfg)
        self.block = ConvModule(4, 6, 3, conv_cfg=dict(type='DCNTorch'), norm_cfg=dict(type='BN'))
        self.bare = DCNTorch(4, 6, modulated=True)


@pytest.mark.parametrize('layer', ['Conv2d', ['Conv2d', 'DCNTorch'], '_ConvNd'])
def test_global_initialisers_leave_the_offsets_at_zero(layer, mmseg_scope):
    model = _Model(dict(type='Kaiming', layer=layer, bias=0.5))
    before = model.bare.weight.clone()
    model.init_weights()
    assert torch.equal(before, model.bare.weight) == ('DCNTorch' not in layer)

    def by_class(module):  # the reference repositories' weights_init
        if 'Conv' in type(module).__name__ and hasattr(module, 'weight'):
            nn.init.normal_(module.weight)

    model.apply(by_class)
    for dcn in (model.block.conv, model.bare):
        assert not dcn.conv_offset.weight.any() and not dcn.conv_offset.bias.any()


def test_init_weights_puts_the_offsets_back_to_zero():
    layer = DCNTorch(2, 2)
    nn.init.ones_(layer.conv_offset.weight)
    layer.init_weights()
    assert not layer.conv_offset.weight.any()


def test_state_dict_round_trip(trained):
    layer, x = trained
    other = DCNTorch(8, 4, 3, padding=2, dilation=2, modulated=True, deform_groups=2, bias=True)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(order='first'), "order must be .* got 'first'"),
        (dict(order='project', groups=2), 'groups=1, got 2'),
        (dict(deform_groups=3), '4 input channels do not fit .* deform_groups=3'),
        (dict(stride=2), r'offset must have shape \(2, 18, 3, 3\), got \(2, 18, 5, 6\)'),
        (dict(padding=0, dilation=9), 'smaller than the kernel .* raise the padding'),
        (dict(mask=torch.ones(2, 18, 5, 6)), r'mask must have shape \(2, 9, 5, 6\)'),
        (dict(x=torch.ones(4, 5, 6)), 'four dimensions'),
    ],
)
def test_errors_name_what_does_not_fit(change, message):
    (x, offset, weight, _), settings = problem(c_in=4, c_out=2, groups=change.get('groups', 1))
    arguments = dict(dict(x=x, offset=offset, weight=weight, **settings), **change)
    with pytest.raises(ValueError, match=message):
        deform_conv2d(**arguments)


def test_module_errors_name_the_channels():
    with pytest.raises(ValueError, match='in_channels=5 is not divisible by 2'):
        DCNTorch(5, 4, deform_groups=2)


# --- devices and oracles --------------------------------------------------------------------------


@pytest.mark.gpu
def test_deterministic_training_on_cuda(trained):
    """The backward of grid_sample raises there; ours must not, and must repeat bit by bit."""
    layer, x = trained
    layer, x, runs = layer.cuda(), x.cuda().requires_grad_(), []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            runs.append(torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()]))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(*runs))
    grid = torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()])
    torch.testing.assert_close(runs[0], grid, rtol=1e-3, atol=1e-3)


@pytest.mark.oracle
@oracle
@pytest.mark.parametrize('spread', [0, 1.5])
@pytest.mark.parametrize('modulated', [False, True], ids=['v1', 'v2'])
@pytest.mark.parametrize('name', [n for n in GEOMETRIES if n != 'one image column'])
def test_equals_the_compiled_operator(name, modulated, spread):
    """Also at zero offsets, where the derivative to the offset has two sides.

    mmcv refuses maps that are smaller than the kernel, so that one geometry is left out.
    """
    from mmcv import ops

    tensors, settings = problem(**GEOMETRIES[name], modulated=modulated, spread=spread)
    x, offset, weight, mask = leaves = [
        None if t is None else t.clone().requires_grad_() for t in tensors
    ]
    rest = [settings[k] for k in ('stride', 'padding', 'dilation', 'groups', 'deform_groups')]
    if modulated:
        out = ops.modulated_deform_conv2d(x, offset, mask, weight, None, *rest)
    else:
        out = ops.deform_conv2d(x, offset, weight, *rest)
    torch.manual_seed(0)
    out.backward(torch.randn(out.shape, dtype=out.dtype))
    expected = out.detach(), [t.grad for t in leaves if t is not None]
    for order in ('project', 'sample'):
        ours = with_gradients(tensors, settings, order=order)
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.oracle
@oracle
@pytest.mark.parametrize('modulated, type_', [(False, 'DCN'), (True, 'DCNv2')])
def test_loads_checkpoints_of_the_compiled_layers(modulated, type_):
    torch.manual_seed(0)
    theirs = build_conv_layer(dict(type=type_), 8, 4, 3, padding=2, dilation=2, bias=False)
    nn.init.normal_(theirs.conv_offset.weight, std=0.2)
    ours = DCNTorch(8, 4, 3, padding=2, dilation=2, modulated=modulated)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 8, 9, 7)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
