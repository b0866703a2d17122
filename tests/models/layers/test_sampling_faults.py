"""A NaN, infinite or huge coordinate reaches the value and never an index, forward and backward.

Each case runs in a process of its own, so that memory written out of bounds counts as a failure.
"""

import math
import os
import pickle
import re
import tempfile
import traceback
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmseg_ext.datasets.elastic import ElasticDeform, deform
from mmseg_ext.evaluation.calibration_metric import confidence_histogram
from mmseg_ext.models.layers import CARAFE, DySample, deform_conv2d, dysample
from mmseg_ext.models.layers.carafe import reassemble
from mmseg_ext.models.layers.grid_sampling import grid_sample
from mmseg_ext.models.layers.max_unpool import max_pool, max_unpool
from mmseg_ext.models.layers.permutohedral import PermutohedralLattice

BAD = [math.nan, math.inf, -math.inf, 1e30, -1e30, 3e38]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def in_fork(work):
    """What ``work`` returns in a fork; fails if the fork dies."""
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if child == 0:
            try:
                result = (True, work())
            except BaseException:
                result = (False, traceback.format_exc())
            with os.fdopen(os.dup(answer.fileno()), 'wb') as file:
                pickle.dump(result, file)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == 0, f'the process ended with {status}'
        answer.seek(0)
        right, result = pickle.load(answer)
        assert right, result
        return result


def with_gradients(function, *tensors):
    """The result of a function of some tensors, and their gradients for a gradient of ones."""
    leaves = [t.clone().requires_grad_() for t in tensors]
    out = function(*leaves)
    out.backward(torch.ones_like(out))
    return [t.detach().float().numpy() for t in (out, *(leaf.grad for leaf in leaves))]


def held(bad, dtype):
    """The value, or the largest of its sign that the dtype holds."""
    most = torch.finfo(dtype).max
    return min(max(bad, -most), most) if math.isfinite(bad) else bad


def spoil(offset, bad, *, seed=0):
    """Put ``bad`` into a third of the values."""
    chosen = torch.rand(offset.shape, generator=torch.Generator().manual_seed(seed)) < 1 / 3
    return offset.masked_fill(chosen, held(bad, offset.dtype))


# --- DySample -------------------------------------------------------------------------------------


def points_loop(x, offset, s, groups):
    """Bilinear samples with a border that goes on, one fine pixel at a time, in float64."""
    n, c, h, w = x.shape
    x, offset = x.double().numpy(), offset.double().numpy().reshape(n, 2, groups, s, s, h, w)
    out = np.zeros((n, c, s * h, s * w))
    for b, g, row, column in np.ndindex(n, groups, s * h, s * w):
        moved = offset[b, :, g, row % s, column % s, row // s, column // s]
        channels = slice(g * c // groups, (g + 1) * c // groups)
        if np.isnan(moved).any():
            out[b, channels, row, column] = np.nan
            continue
        z = min(max((column + 0.5) / s - 0.5 + moved[0], 0), w - 1)
        y = min(max((row + 0.5) / s - 0.5 + moved[1], 0), h - 1)
        share = np.maximum(0, 1 - abs(y - np.arange(h)))[:, None] * np.maximum(
            0, 1 - abs(z - np.arange(w))
        )
        out[b, channels, row, column] = (x[b, channels] * share).sum((1, 2))
    return out


@pytest.mark.parametrize('gather', [False, True])
@pytest.mark.parametrize('bad', BAD)
def test_dysample_equals_the_loop_where_points_are_finite(bad, gather, monkeypatch):
    monkeypatch.setattr(dysample, '_gathers', lambda x, offset: gather)
    x = torch.randn(2, 4, 5, 7)
    offset = spoil(torch.randn(2, 2 * 2 * 4, 5, 7), bad)
    out, grad_x, grad_offset = in_fork(
        lambda: with_gradients(
            lambda x, offset: dysample.sample(x, offset, scale_factor=2, groups=2), x, offset
        )
    )
    np.testing.assert_allclose(out, points_loop(x, offset, 2, 2), rtol=1e-5, atol=1e-5)
    assert np.isnan(out).any() == math.isnan(bad)
    if not math.isnan(bad):
        assert np.isfinite(grad_x).all() and np.isfinite(grad_offset).all()
        assert not grad_offset[~np.isfinite(offset.numpy()) | (offset.abs() > 9).numpy()].any()


@pytest.mark.parametrize('gather', [False, True])
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('bad', BAD)
def test_dysample_of_a_wide_map_survives_any_dtype(bad, dtype, gather, monkeypatch):
    monkeypatch.setattr(dysample, '_gathers', lambda x, offset: gather)
    x = torch.randn(4, 16, 32, 32).to(dtype)
    clean = torch.randn(4, 32, 32, 32).to(dtype)
    offset = spoil(clean, bad)

    def sample(x, offset):
        return dysample.sample(x, offset, scale_factor=2, groups=4)

    out = in_fork(lambda: with_gradients(sample, x, offset))[0]
    whole = (offset == clean).reshape(4, 2, 4, 2, 2, 32, 32).all(1).permute(0, 1, 4, 2, 5, 3)
    whole = whole.reshape(4, 4, 1, 64, 64).expand(4, 4, 4, 64, 64).reshape(4, 16, 64, 64).numpy()
    expected = sample(x, clean).float().numpy()
    assert (out[whole] == expected[whole]).all()  # bit for bit
    assert np.isfinite(out[whole]).all()
    assert np.isnan(out[~whole]).all() if math.isnan(bad) else np.isfinite(out).all()


@pytest.mark.parametrize('style', ['lp', 'pl'])
@pytest.mark.parametrize('weight', [math.nan, 1e30, math.inf])
def test_a_dysample_with_broken_weights_trains_without_a_crash(weight, style):
    module = DySample(16, style=style)
    torch.nn.init.constant_(module.offset.weight, weight)
    in_fork(lambda: with_gradients(module, torch.randn(8, 16, 32, 32)))


@pytest.mark.parametrize('padding_mode', ['zeros', 'border'])
def test_sampling_at_finite_points_is_torchs_bit_for_bit(padding_mode):
    x, grid = torch.randn(2, 3, 6, 7), torch.randn(2, 5, 4, 2)
    lost = grid.clone()
    lost[1, 2, 3, 0] = math.nan
    plain = torch.nn.functional.grid_sample(x, grid, padding_mode=padding_mode, align_corners=False)
    assert torch.equal(grid_sample(x, grid, padding_mode=padding_mode), plain)
    plain[1, :, 2, 3] = math.nan
    out = grid_sample(x, lost, padding_mode=padding_mode)
    torch.testing.assert_close(out, plain, rtol=0, atol=0, equal_nan=True)
    traced = torch.jit.trace(lambda x, g: grid_sample(x, g, padding_mode=padding_mode), (x, grid))
    torch.testing.assert_close(traced(x, lost), plain, rtol=0, atol=0, equal_nan=True)


def test_nobody_else_calls_grid_sample():
    root = Path(dysample.__file__).parents[2]
    callers = [p for p in root.rglob('*.py') if re.search(r'F\.grid_sample\(', p.read_text())]
    # a benchmark compares with it
    assert [p.name for p in callers if p.parent.name != 'bench'] == ['grid_sampling.py']


# --- deformable convolution -----------------------------------------------------------------------


@pytest.mark.parametrize('deterministic', [False, True])
@pytest.mark.parametrize('order', ['project', 'sample'])
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('bad', BAD)
def test_deformable_convolution(bad, dtype, order, deterministic):
    """A NaN spoils its own output pixel, whatever the other coordinate is; the far is zero."""
    torch.manual_seed(1)
    x, weight = torch.randn(2, 8, 16, 15).to(dtype), torch.randn(6, 8, 3, 3).to(dtype)
    offset = torch.randn(2, 36, 16, 15).to(dtype)  # two groups of channels
    broken = offset.clone()
    broken[0, 4, 3, 2], broken[0, 5, 3, 2] = held(bad, dtype), held(1e30, dtype)
    broken[1, 21, 7:9] = held(bad, dtype)

    def convolve(x, offset, weight):
        return deform_conv2d(
            x, offset, weight, padding=1, deform_groups=2, order=order, deterministic=deterministic
        )

    out, grad_x, grad_offset, _ = in_fork(lambda: with_gradients(convolve, x, broken, weight))
    touched = (broken != offset).any(1)[:, None].expand(2, 6, 16, 15).numpy()
    far = offset.masked_fill(broken != offset, 1000.0)
    expected = convolve(x, far, weight).float().numpy()
    assert (out[~touched] == expected[~touched]).all()  # bit for bit
    if math.isnan(bad):
        assert np.isnan(out[touched]).all()
    else:
        assert (out == expected).all()
        assert np.isfinite(grad_x).all() and not grad_offset[(broken != offset).numpy()].any()


# --- no index is computed from these values -------------------------------------------------------


@pytest.mark.parametrize('bad', BAD)
def test_carafe_keeps_it_in_the_value(bad):
    x, kernels = torch.randn(1, 4, 5, 6), torch.randn(9, 1, 5, 6, 4, 1).softmax(0)
    broken = kernels.clone()
    broken[4, 0, 2, 3, 1] = bad
    out, *_ = in_fork(lambda: with_gradients(lambda x, k: reassemble(x, k, scale_factor=2),
                                             x, broken))  # fmt: skip
    expected = reassemble(x, kernels, scale_factor=2).numpy()
    differs = np.zeros(out.shape, bool)
    differs[:, :, 4, 7] = True
    assert (out[~differs] == expected[~differs]).all() and (out != expected)[differs].all()
    module = CARAFE(8)
    torch.nn.init.constant_(module.content_encoder.weight, bad)
    in_fork(lambda: with_gradients(module, torch.randn(2, 8, 16, 16)))


@pytest.mark.parametrize('way', ['index', 'scatter'])
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('last', [False, True])
def test_pooled_places_stay_in_their_windows(last, dtype, way):
    """Of a window that holds nothing but NaN or minus infinity, too."""
    for bad in (math.nan, math.inf, -math.inf):
        x = spoil(torch.randn(2, 8, 9, 7), bad).to(dtype)
        x[0, :, :4, :4] = bad
        x = x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)

        def run(x=x):
            y, switches = max_pool(x)
            ones = torch.ones_like(y, dtype=torch.float32)
            filled = max_unpool(ones, switches, way=way)
            return filled.numpy(), switches.indices.numpy()

        filled, indices = in_fork(run)
        rows, columns = indices // 7, indices % 7
        assert (rows // 2 == np.arange(5)[:, None]).all() and (columns // 2 == np.arange(4)).all()
        assert set(np.unique(filled)) == {0, 1} and filled.sum() == indices.size


@pytest.mark.parametrize('bad', [*BAD, 1e13])
def test_a_lattice_refuses_points_that_have_no_place(bad):
    features = torch.rand(3, 20, dtype=torch.float64)
    features[1, 7] = bad
    with pytest.raises(ValueError, match='features'):
        PermutohedralLattice(features)


def test_a_lattice_takes_points_far_away():
    features = torch.rand(3, 20, dtype=torch.float64)
    near = PermutohedralLattice(features).filter(torch.eye(20))
    features[1, 7] = 1e11
    far = PermutohedralLattice(features).filter(torch.eye(20))
    others = [i for i in range(20) if i != 7]
    torch.testing.assert_close(far[others][:, others], near[others][:, others])
    assert not far[7, others].any()


@pytest.mark.parametrize('bad', [*BAD, 1e5])
def test_an_elastic_field_must_lead_somewhere(bad):
    grid = np.zeros((3, 3, 2))
    grid[1, 2, 0] = bad
    with pytest.raises(ValueError, match='pixels'):
        deform(np.zeros((8, 9), np.uint8), grid)
    with pytest.raises(ValueError, match='sigma'):
        ElasticDeform(sigma=math.nan)
    with pytest.raises(ValueError, match='sigma'):
        ElasticDeform(sigma=math.inf)


def test_an_elastic_field_may_lead_far_beyond_the_mirror():
    image = np.arange(56, dtype=np.uint8).reshape(7, 8)
    moved = deform(image, np.full((3, 3, 2), 24.0))
    mirrored = cv2.copyMakeBorder(image, 40, 40, 40, 40, cv2.BORDER_REFLECT_101)
    assert (moved == mirrored[64:71, 64:72]).all()


def test_a_nan_probability_is_counted_once_and_seen_in_the_sum():
    prob = torch.tensor([[[0.9, math.nan]], [[0.1, math.nan]]])
    counts, right, sums = confidence_histogram(prob, torch.zeros(1, 2, dtype=torch.long))
    assert counts.sum() == 2 and counts[13] == 1 and np.isnan(sums).any() and right[13] == 1


@pytest.mark.gpu
@pytest.mark.parametrize('deterministic', [False, True])
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('bad', BAD)
def test_cuda_puts_it_into_the_same_values_as_the_cpu(bad, dtype, deterministic, monkeypatch):
    monkeypatch.setattr(dysample, '_gathers', lambda x, offset: deterministic)
    x, weight = torch.randn(2, 8, 9, 11).to(dtype), torch.randn(6, 8, 3, 3).to(dtype)
    move = spoil(torch.randn(2, 16, 9, 11).to(dtype), held(bad, dtype))
    offset = spoil(torch.randn(2, 18, 9, 11).to(dtype), held(bad, dtype), seed=1)

    def both(x, move, offset, weight):
        fine = dysample.sample(x, move, scale_factor=2, groups=2)
        way = dict(padding=1, order='sample', deterministic=deterministic)
        return deform_conv2d(x, offset, weight, **way), fine

    for out, expected in zip(
        both(*(t.cuda() for t in (x, move, offset, weight))), both(x, move, offset, weight)
    ):
        torch.testing.assert_close(out.cpu(), expected, rtol=2e-2, atol=2e-2, equal_nan=True)
    leaves = [t.cuda().requires_grad_() for t in (x, move, offset, weight)]
    sum(out.sum() for out in both(*leaves)).backward()
    torch.cuda.synchronize()
