"""Pooling with indices and unpooling: a loop over windows, odd sizes, both ways, export."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_ext.models.layers.max_unpool import max_pool, max_unpool

ODD = [(7, 9), (6, 8), (5, 4), (1, 1), (1, 6), (13, 3)]


def _loop(x, y, *, ceil):
    """Pool ``x`` window by window; put ``y`` where each window's maximum stands."""
    n, c, height, width = x.shape
    rows, columns = ((s + ceil) // 2 for s in (height, width))
    pooled, back = x.new_zeros(n, c, rows, columns), torch.zeros_like(x)
    for image in range(n):
        for channel in range(c):
            for row in range(rows):
                for column in range(columns):
                    best = None
                    for i in range(2 * row, min(2 * row + 2, height)):
                        for j in range(2 * column, min(2 * column + 2, width)):
                            if best is None or x[image, channel, i, j] > best[0]:
                                best = (x[image, channel, i, j], i, j)
                    pooled[image, channel, row, column] = best[0]
                    back[image, channel, best[1], best[2]] = y[image, channel, row, column]
    return pooled, back


def _draw(size, *, ceil=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows, columns = ((s + ceil) // 2 for s in size)
    x = torch.randn(2, 3, *size, generator=generator)
    return x, torch.randn(2, 3, rows, columns, generator=generator)


@pytest.mark.parametrize('way', ['index', 'scatter', 'auto'])
@pytest.mark.parametrize('size', ODD)
def test_equals_a_loop_over_windows(size, way):
    x, y = _draw(size)
    pooled, back = _loop(x, y, ceil=True)
    found, switches = max_pool(x)
    assert torch.equal(found, pooled) and switches.size == size
    assert torch.equal(max_unpool(y, switches, way=way), back)


@pytest.mark.parametrize('way', ['index', 'scatter'])
def test_floor_mode_leaves_the_odd_end_zero(way):
    x, y = _draw((7, 9), ceil=False)
    pooled, back = _loop(x, y, ceil=False)
    found, switches = max_pool(x, ceil_mode=False)
    assert torch.equal(found, pooled)
    result = max_unpool(y, switches, way=way)
    assert torch.equal(result, back) and not result[:, :, 6].any() and not result[..., 8].any()


def test_the_silent_bug_of_odd_sizes_is_absent():
    """Without the size torch puts maxima of a 7x9 map into wrong pixels of an 8x10 one."""
    x = torch.arange(63.0).reshape(1, 1, 7, 9)
    y, switches = max_pool(x)
    silent = F.max_unpool2d(y, switches.indices, 2, 2)  # no error: that is the bug
    assert silent.shape[2:] == (8, 10)
    # row 1, column 3 holds 12, the maximum of its window; at width 10 index 12 is row 1, column 2
    right = max_unpool(y, switches)
    assert right[0, 0, 1, 3] == 12 and silent[0, 0, 1, 3] == 0 and silent[0, 0, 1, 2] == 12
    assert not torch.equal(silent[..., :7, :9], right)
    kept = right != 0
    assert torch.equal(right[kept], x[kept]) and kept.sum() == 20


@pytest.mark.parametrize('way', ['index', 'scatter'])
@pytest.mark.parametrize('size', ODD)
def test_pooling_undoes_unpooling(size, way):
    x, y = _draw(size)
    y = y.abs() + 0.1  # zeros beside a value must not win its window
    back = max_unpool(y, max_pool(x)[1], way=way)
    assert torch.equal(max_pool(back)[0], y)
    assert int((back != 0).sum()) == y.numel()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float64])
def test_types_and_memory_formats(dtype):
    x, y = (t.to(dtype) for t in _draw((9, 7)))
    expected = _loop(x, y, ceil=True)[1]
    for form in (torch.contiguous_format, torch.channels_last):
        switches = max_pool(x.contiguous(memory_format=form))[1]
        for other in (torch.contiguous_format, torch.channels_last):
            for way in ('index', 'scatter'):
                found = max_unpool(y.contiguous(memory_format=other), switches, way=way)
                assert torch.equal(found, expected)


def test_gradients_of_both_ways_are_the_same():
    x, _ = _draw((7, 5))
    gradients = []
    for way in ('index', 'scatter'):
        leaf = x.double().requires_grad_()
        pooled, switches = max_pool(leaf)
        back = max_unpool(pooled**2, switches, way=way)
        weight = torch.arange(back.numel(), dtype=back.dtype).view_as(back)
        gradients.append(torch.autograd.grad((back * weight).sum(), leaf)[0])
    assert torch.equal(*gradients) and int((gradients[0] != 0).sum()) > 60
    # d (w x^2) / dx = 2 w x where x is a maximum
    kept = gradients[0] != 0
    weight = torch.arange(x.numel(), dtype=torch.float64).view_as(x)
    torch.testing.assert_close(gradients[0][kept], (2 * weight * x.double())[kept])


def test_determinism_takes_the_scatter():
    x, y = _draw((5, 5))
    switches = max_pool(x)[1]
    expected = max_unpool(y, switches, way='index')
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(max_unpool(y, switches), expected)
        with pytest.raises(RuntimeError, match='max_unpool'):
            max_unpool(y, switches, way='index')
    finally:
        torch.use_deterministic_algorithms(False)


class _RoundTrip(nn.Module):
    def forward(self, x):
        y, first = max_pool(x)
        z, second = max_pool(y)
        return max_unpool(max_unpool(2 * z, second), first)


@pytest.mark.parametrize('dynamo', [False, True])
def test_export_takes_the_scatter(dynamo, onnx_export):
    used = onnx_export(_RoundTrip(), _draw((7, 9))[0], dynamo=dynamo)
    assert 'ScatterElements' in used and 'MaxUnpool' not in used


def test_compiles_to_one_graph():
    x = _draw((7, 9))[0]
    compiled = torch.compile(_RoundTrip(), fullgraph=True, backend='aot_eager')
    assert torch.equal(compiled(x), _RoundTrip()(x))


def test_mistakes():
    x, y = _draw((7, 9))
    switches = max_pool(x)[1]
    with pytest.raises(ValueError, match=r'of \(2, 3, 3, 5\) cannot be unpooled .*\(2, 3, 4, 5\)'):
        max_unpool(y[:, :, :3], switches)
    with pytest.raises(ValueError, match="unpool must be 'auto', .* got 'magic'"):
        max_unpool(y, switches, way='magic')


@pytest.mark.gpu
def test_training_on_cuda_repeats_bit_by_bit():
    x, runs = _draw((33, 45))[0].cuda(), []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            leaf = x.clone().requires_grad_()
            runs.append(torch.autograd.grad(_RoundTrip()(leaf).square().sum(), leaf)[0])
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(*runs)
