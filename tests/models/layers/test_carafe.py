"""CARAFE against a loop over pixels, box filters and mmcv's own."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.utils.dl_utils import mmcv_full_available
from torch import nn

from mmseg_ext.models.layers import CARAFE
from mmseg_ext.models.layers.carafe import reassemble

PUBLISHED = dict(up_kernel=5, compressed_channels=64, out_conv=False)


def _random(channels=8, spread=0.5, **settings):
    """A module whose weights differ clearly from pixel to pixel."""
    torch.manual_seed(0)
    module = CARAFE(channels, **settings)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=spread)
    return module


def _count(module):
    return sum(p.numel() for p in module.parameters())


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'channels, scale, expected', [(32, 2, 3_948), (64, 4, 26_080), (256, 4, 165_328)]
)
def test_parameter_integers(channels, scale, expected):
    assert _count(CARAFE(channels, scale_factor=scale)) == expected


def test_parameter_integer_of_the_publication():
    compressor, encoder = 256 * 64 + 64, 9 * 64 * 100 + 100
    assert _count(CARAFE(256, **PUBLISHED)) == compressor + encoder


def _loop(module, x):
    """The publication's equations, one fine pixel at a time, in float64."""
    state = {k: v.double().numpy() for k, v in module.state_dict().items()}
    s, k, groups = module.scale_factor, module.up_kernel, module.up_group
    x = x.double().numpy()
    n, c, h, w = x.shape
    encoder, bias = state['content_encoder.weight'], state['content_encoder.bias']
    compressor = state['channel_compressor.weight'][:, :, 0, 0]
    compressed = np.einsum('dc,nchw->ndhw', compressor, x)
    compressed += state['channel_compressor.bias'][:, None, None]
    reach, radius = encoder.shape[2] // 2, k // 2
    compressed = np.pad(compressed, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    padded = np.pad(x, ((0, 0), (0, 0), (radius, radius), (radius, radius)))
    out = np.zeros((n, c, s * h, s * w))
    for b, group, row, column in np.ndindex(n, groups, s * h, s * w):
        i, j = row // s, column // s
        patch = compressed[b, :, i : i + encoder.shape[2], j : j + encoder.shape[2]]
        # as pixel_shuffle orders them: group, tap, row and column inside of the coarse pixel
        first = group * k * k * s * s + row % s * s + column % s
        chosen = slice(first, (group + 1) * k * k * s * s, s * s)
        logits = (encoder[chosen] * patch).sum((1, 2, 3)) + bias[chosen]
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
        channels = slice(group * c // groups, (group + 1) * c // groups)
        around = padded[b, channels, i : i + k, j : j + k].reshape(c // groups, k * k)
        out[b, channels, row, column] = around @ weights
    if 'out_conv.weight' in state:
        out = np.einsum('dc,nchw->ndhw', state['out_conv.weight'][:, :, 0, 0], out)
        out += state['out_conv.bias'][:, None, None]
    return torch.from_numpy(out).float()


@pytest.mark.parametrize('size', [(1, 1), (3, 4), (5, 1)])
@pytest.mark.parametrize(
    'settings',
    [
        dict(),
        dict(scale_factor=4),
        dict(scale_factor=3, up_group=2),
        dict(up_group=4, out_conv=False),
        dict(scale_factor=1, encoder_kernel=1),
        PUBLISHED,
    ],
    ids=lambda settings: ' '.join(f'{k}={v}' for k, v in settings.items()) or 'defaults',
)
def test_equals_a_loop_over_pixels(settings, size):
    module = _random(**settings)
    x = torch.randn(2, 8, *size)
    torch.testing.assert_close(module(x), _loop(module, x), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize('kernel', [3, 5])
def test_equal_weights_are_a_box_filter(kernel):
    module = CARAFE(8, up_kernel=kernel, out_conv=False)
    nn.init.zeros_(module.content_encoder.weight)
    x = torch.randn(2, 8, 7, 5)
    box = F.avg_pool2d(x, kernel, stride=1, padding=kernel // 2)
    torch.testing.assert_close(module(x), F.interpolate(box, scale_factor=2), rtol=1e-5, atol=1e-6)


# --- gradients and memory -------------------------------------------------------------------------


def test_gradients_equal_finite_differences():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    leaves = draw(1, 4, 2, 3), draw(9, 1, 2, 3, 4, 2), draw(4)
    assert torch.autograd.gradcheck(
        lambda x, kernels, bias: reassemble(x, kernels, scale_factor=2, bias=bias), leaves
    )


@pytest.mark.parametrize('settings', [dict(), dict(up_group=2), PUBLISHED])
def test_every_parameter_gets_a_gradient(settings):
    module, x = _random(**settings), torch.randn(2, 8, 5, 3, requires_grad=True)
    module(x).square().sum().backward()
    for name, parameter in [('x', x), *module.named_parameters()]:
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_nothing_of_the_fine_size_is_kept_for_backward():
    """Only the padded map and the weights are; unfolding would keep 25 copies of the map."""
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    x, kernels = torch.randn(1, 64, 8, 8), torch.randn(25, 1, 8, 8, 4, 1)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        reassemble(x.requires_grad_(), kernels.requires_grad_(), scale_factor=2)
    assert 0 < sum(kept.values()) <= 4 * (64 * 12 * 12 + kernels.numel()) + 64


# --- dtype, layout, graphs ------------------------------------------------------------------------


def test_memory_format_changes_no_value():
    module, x = _random(), torch.randn(2, 8, 5, 7)
    last = module(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, module(x), rtol=1e-5, atol=1e-5)
    assert last.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('settings', [dict(), dict(up_group=2), PUBLISHED])
def test_autocast_close_to_float32(settings):
    module, x = _random(spread=0.1, **settings), torch.randn(2, 8, 9, 9)
    results = []
    for enabled in (False, True):
        module.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            out = module(x)
            kernels = module.kernels(x)
        assert kernels.dtype == torch.float32
        torch.testing.assert_close(kernels.sum(0), torch.ones_like(kernels[0]))
        out.float().square().mean().backward()
        results.append([out.detach().float(), *(p.grad.clone() for p in module.parameters())])
    for exact, half in zip(*results):
        assert half.dtype == torch.float32
        assert (half - exact).norm() < 0.05 * exact.norm()
    assert out.dtype == (torch.bfloat16 if module.out_conv else torch.float32)


def test_compiles_to_one_graph():
    module, x = _random(), torch.randn(2, 8, 5, 7)
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend='aot_eager')
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), module(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('settings', [dict(scale_factor=4), PUBLISHED])
@pytest.mark.parametrize('dynamo', [False, True])
def test_onnx_export(settings, dynamo, onnx_export):
    onnx_export(_random(**settings).eval(), torch.randn(1, 8, 5, 7), dynamo=dynamo)


# --- initialisation, errors -----------------------------------------------------------------------


def test_global_initialisers_leave_the_encoders_small_start():
    class Model(BaseModule):
        def __init__(self):
            super().__init__(dict(type='Constant', layer='Conv2d', val=7.0, bias=7.0))
            self.up = CARAFE(32)

    model = Model()
    model.init_weights()
    assert not model.up.content_encoder.bias.any()
    assert model.up.content_encoder.weight.std().item() == pytest.approx(0.001, rel=0.1)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(up_kernel=4), 'up_kernel must be odd, got 4'),
        (dict(encoder_kernel=2), 'encoder_kernel must be odd, got 2'),
        (dict(up_group=3), r'channels \(8\) must be a multiple of up_group \(3\)'),
        (dict(scale_factor=0), 'positive integer, got 0'),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        CARAFE(8, **settings)


# --- mmcv's ---------------------------------------------------------------------------------------


@pytest.mark.parametrize('groups', [1, 2])
def test_weights_equal_those_of_mmcv(groups):
    """The part of mmcv's module that needs no compiled operator."""
    from mmcv.ops.carafe import CARAFEPack

    ours = _random(up_group=groups, **PUBLISHED)
    theirs = CARAFEPack(8, 2, up_group=groups)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 8, 3, 4)
    expected = theirs.kernel_normalizer(theirs.content_encoder(theirs.channel_compressor(x)))
    kernels = ours.kernels(x).unflatten(4, (2, 2))  # K N H W Si Sj G
    fine = kernels.permute(1, 6, 0, 2, 4, 3, 5).reshape(2, groups * 25, 6, 8)
    torch.testing.assert_close(fine, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.oracle
@pytest.mark.skipif(
    not mmcv_full_available(), reason='needs compiled mmcv, which make test-full installs'
)
@pytest.mark.parametrize('groups, scale', [(1, 2), (2, 2), (1, 4)])
def test_equals_the_compiled_operator(groups, scale):
    """mmcv has it for CUDA only."""
    from mmcv.ops.carafe import CARAFEPack

    ours = _random(16, up_group=groups, scale_factor=scale, **PUBLISHED).cuda()
    theirs = CARAFEPack(16, scale, up_group=groups).cuda()
    theirs.load_state_dict(ours.state_dict())
    x, results = torch.randn(2, 16, 7, 5, device='cuda'), []
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for module in (ours, theirs):
            leaf = x.clone().requires_grad_()
            out = module(leaf)
            out.square().sum().backward()
            results.append([out.detach(), leaf.grad, *(p.grad for p in module.parameters())])
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-4)
