"""The lattice against one built point by point with a dictionary, and exact properties."""

import math
from collections import defaultdict

import pytest
import torch

from mmseg_ext.models.layers import permutohedral
from mmseg_ext.models.layers.permutohedral import PermutohedralLattice


def _vertices_of(point):
    """Coordinates and barycentric weights of the simplex around one point (section 3 there)."""
    d = len(point)
    scaled = [x * (d + 1) * math.sqrt(2 / 3) / math.sqrt((i + 1) * (i + 2))
              for i, x in enumerate(point)]  # fmt: skip
    basis = [[1.0] * (i + 1) + [-(i + 1.0)] + [0.0] * (d - i - 1) for i in range(d)]
    elevated = [sum(s * b[k] for s, b in zip(scaled, basis)) for k in range(d + 1)]
    assert abs(sum(elevated)) < 1e-9
    # the closest point whose coordinates are multiples of d + 1 and sum to zero
    zero = [round(e / (d + 1)) * (d + 1) for e in elevated]
    order = sorted(range(d + 1), key=lambda i: elevated[i] - zero[i])  # lowest first
    excess = sum(zero) // (d + 1)
    for i in order[:excess] if excess > 0 else []:
        zero[i] -= d + 1
    for i in order[excess:] if excess < 0 else []:
        zero[i] += d + 1
    gaps = sorted(range(d + 1), key=lambda i: zero[i] - elevated[i])  # highest above first
    t = [(elevated[i] - zero[i]) / (d + 1) for i in gaps]
    for k in range(d + 1):
        vertex = [z + k for z in zero]
        for i in gaps[d + 1 - k :] if k else []:  # the k lowest would leave the simplex
            vertex[i] -= d + 1
        weight = 1 + t[d] - t[0] if k == 0 else t[d - k] - t[d + 1 - k]
        yield tuple(vertex), weight


def _matrix(features_DN):
    """K, one column per point: splat, blur, slice with dictionaries."""
    d, count = features_DN.shape
    simplices = [list(_vertices_of(features_DN[:, n].tolist())) for n in range(count)]
    known = {v for simplex in simplices for v, _ in simplex}
    matrix = torch.zeros(count, count, dtype=torch.float64)
    for n in range(count):
        values = defaultdict(float)
        for v, w in simplices[n]:
            values[v] += w
        for axis in range(d + 1):
            step = [-1] * (d + 1)
            step[axis] = d
            blurred = {}
            for v in known:
                up = tuple(a + b for a, b in zip(v, step))
                down = tuple(a - b for a, b in zip(v, step))
                blurred[v] = values[v] + 0.5 * (values.get(up, 0.0) + values.get(down, 0.0))
            values = defaultdict(float, blurred)
        for m in range(count):
            matrix[m, n] = sum(w * values[v] for v, w in simplices[m]) / (1 + 2.0**-d)
    return matrix, len(known)


def _features(d, count, spread=2.0):
    generator = torch.Generator().manual_seed(d)
    return torch.rand(d, count, generator=generator, dtype=torch.float64) * spread - spread / 3


@pytest.mark.parametrize('d', [1, 2, 3, 5])
def test_equals_a_lattice_of_dictionaries(d):
    features = _features(d, 25)
    expected, vertices = _matrix(features)
    lattice = PermutohedralLattice(features, dtype=torch.float64)
    assert lattice.num_vertices == vertices
    got = lattice.filter(torch.eye(25, dtype=torch.float64))
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('d', [2, 5])
def test_hashed_keys_give_the_same(d, monkeypatch):
    features, values = _features(d, 300, 20), torch.rand(300, 4)
    exact = PermutohedralLattice(features)
    monkeypatch.setattr(permutohedral, '_MAX_KEY', 0)
    hashed = PermutohedralLattice(features)
    assert hashed.num_vertices == exact.num_vertices
    torch.testing.assert_close(hashed.filter(values), exact.filter(values))


def test_huge_ranges_are_hashed_on_their_own():
    """Two distant clusters do not see each other, and each is what it is alone."""
    near = _features(5, 20)
    both = torch.cat((near, near + 1e6), 1)
    one = PermutohedralLattice(near, dtype=torch.float64).filter(torch.eye(20, dtype=torch.float64))
    two = PermutohedralLattice(both, dtype=torch.float64).filter(torch.eye(40, dtype=torch.float64))
    torch.testing.assert_close(two[:20, :20], one)
    assert two[:20, 20:].abs().max() == 0 and two[20:, :20].abs().max() == 0


@pytest.mark.parametrize('d', [1, 2])
def test_approximates_the_gaussian_on_a_dense_grid(d):
    line = torch.arange(-4, 4.01, 0.1, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(*[line] * d, indexing='ij')).flatten(1)
    centre = grid.shape[1] // 2
    values = torch.zeros(grid.shape[1], 1, dtype=torch.float64)
    values[centre] = 1
    got = PermutohedralLattice(grid, dtype=torch.float64).filter(values)[:, 0]
    expected = torch.exp(-0.5 * (grid**2).sum(0))
    # its shape, up to a factor; in between vertices the interpolation makes it narrower
    variance = (got * (grid**2).sum(0)).sum() / got.sum() / d
    assert variance.item() == pytest.approx(0.875, abs=0.005)
    assert torch.corrcoef(torch.stack((got, expected)))[0, 1] > 0.99


def test_gradient_is_the_transposed_filter():
    lattice = PermutohedralLattice(_features(3, 12), dtype=torch.float64)
    lattice = lattice.scaled(torch.rand(12).double() + 0.5, torch.rand(12).double() + 0.5)
    eye = torch.eye(12, dtype=torch.float64)
    matrix = lattice.filter(eye)
    assert not torch.allclose(matrix, matrix.t())
    x = torch.rand(12, 12, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(lattice.filter(x), x, eye)
    torch.testing.assert_close(grad, matrix.t())
    assert torch.autograd.gradcheck(lattice.filter, x)
    assert torch.autograd.gradgradcheck(lattice.filter, x)


def test_scaled_multiplies_rows_and_columns():
    lattice = PermutohedralLattice(_features(2, 9), dtype=torch.float64)
    eye, before, after = torch.eye(9).double(), torch.rand(9).double(), torch.rand(9).double()
    matrix = lattice.filter(eye)
    torch.testing.assert_close(
        lattice.scaled(before, after).filter(eye), after[:, None] * matrix * before
    )
    torch.testing.assert_close(lattice.scaled(None, after).filter(eye), after[:, None] * matrix)
    torch.testing.assert_close(lattice.filter(eye), matrix)  # the original stays


def test_equal_points_share_a_simplex():
    lattice = PermutohedralLattice(torch.zeros(3, 50))
    assert lattice.num_vertices == 4
    out = lattice.filter(torch.ones(50, 1))
    torch.testing.assert_close(out, out[:1].expand(50, 1))


@pytest.mark.parametrize(
    'features, message',
    [
        (torch.zeros(3), r'must be \(D, N\)'),
        (torch.zeros(3, 0), r'not empty, got \(3, 0\)'),
        (torch.tensor([[0.0, float('nan')]]), 'NaN'),
    ],
)
def test_bad_features(features, message):
    with pytest.raises(ValueError, match=message):
        PermutohedralLattice(features)


@pytest.mark.parametrize('columns', [0, 1, 2, 7, 8, 9, 21])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_columns_are_filtered_on_their_own(columns, dtype, monkeypatch):
    features = _features(3, 40)
    values = torch.randn(40, columns, dtype=dtype, generator=torch.Generator().manual_seed(0))
    lattice = PermutohedralLattice(features, dtype=dtype).scaled(torch.rand(40, dtype=dtype), None)
    expected = torch.cat([values.new_empty(40, 0), *map(lattice.filter, values.split(1, 1))], 1)
    transposed = lattice.filter(values.t().contiguous().t())
    for kept in (permutohedral._KEPT_BYTES, 1):  # in one part, and eight columns at a time
        monkeypatch.setattr(permutohedral, '_KEPT_BYTES', kept)
        torch.testing.assert_close(lattice.filter(values), expected)
        torch.testing.assert_close(transposed, expected)
