"""Permutohedral lattice: fast Gaussian filtering of values at points of a few dimensions.

Source: Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice",
Eurographics 2010. The scale of the features, rounding, blur (1/2, 1, 1/2 along D + 1 axes) and gain
are those of Kraehenbuehl and Koltun's dense CRF code, so that results agree with it.

Differs from it: no hash table and no compiled code. The key of a vertex is one integer whose
leading digits are the second and the first feature, which are row and column of an image. Vertices
are sorted by key, so neighbours in the image are near in memory. Splat, blur and slice are calls of
``F.embedding_bag`` on any device. The gradient is the same filter with its steps in reverse order.
Shape letters: D dimension, N point, M vertex, C channel.
"""

import copy
import math
from typing import Any, NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

_MAX_KEY = 2**62
_LANES = 8  # float32 values in a vector register of common CPUs
# The C library returns larger arrays to the system at once: each new one then costs more to map
# than to fill.
_KEPT_BYTES = 2**25
_FAR = 2.0**40  # beyond this, float64 cannot tell which simplex a point lies in
_HASH = 0x9E3779B97F4A7C15  # its powers replace the place values where exact ones would overflow


class _Bags(NamedTuple):
    """Weighted sums of rows: the arguments of ``F.embedding_bag``."""

    indices: Tensor
    offsets: Optional[Tensor]
    weights: Tensor

    def scaled(self, factors: Tensor) -> '_Bags':
        return self._replace(weights=self.weights * factors)

    def sum(self, table: Tensor) -> Tensor:
        return F.embedding_bag(
            self.indices, table, self.offsets, mode='sum', per_sample_weights=self.weights
        )


class PermutohedralLattice:
    """The Gaussian kernel matrix K of a set of points, as a lattice.

    K approximates ``exp(-|f_i - f_j|^2 / 2)`` with ``K_ii`` included; see :meth:`filter`.

    Args:
        features_DN: The points, ``(D, N)``, in units of the Gaussian's standard deviation.
        dtype: Dtype of the weights and of the values to filter.

    Attributes:
        num_points: N.
        num_vertices: M.

    Raises:
        ValueError: If the features are not ``(D, N)``, are empty, not finite, or beyond 2^40.
    """

    def __init__(self, features_DN: Tensor, *, dtype: torch.dtype = torch.float32) -> None:
        if features_DN.dim() != 2 or not features_DN.numel():
            raise ValueError(
                f'features must be (D, N) and not empty, got {tuple(features_DN.shape)}'
            )
        if not bool((features_DN.abs() <= _FAR).all()):  # False for NaN
            raise ValueError(
                'features hold a NaN or an infinite value, or one beyond 2^40 standard deviations'
            )
        dim, self.num_points = features_DN.shape
        corner, rank, weights = _simplices(features_DN.double())
        steps = _steps(corner)
        sorted_keys, order = _vertex_keys(corner, rank, steps).flatten().sort()
        first = torch.ones_like(order, dtype=torch.bool)
        first[1:] = sorted_keys[1:] != sorted_keys[:-1]
        start = first.nonzero()[:, 0]
        self.num_vertices = len(start)
        vertex = torch.empty_like(order, dtype=torch.int32)
        vertex[order] = first.cumsum(0, dtype=torch.int32) - 1
        weights = weights.to(dtype)
        own = torch.arange(self.num_points, dtype=torch.int32, device=order.device)
        points = own.repeat(dim + 1)[order]
        gain = 1 / (1 + 2.0**-dim)
        splat = _Bags(points, start.int(), weights.flatten()[order])
        slice_ = _Bags(vertex.view(dim + 1, -1).t().contiguous(), None, weights.t() * gain)
        self._blur = _blur(sorted_keys[start], steps, dtype)
        self._there = self._back = (splat, slice_)

    def scaled(self, before_N: Optional[Tensor], after_N: Optional[Tensor]) -> Any:
        """Return the lattice of ``diag(after) K diag(before)``; ``None`` means ones."""
        result = copy.copy(self)
        result._there = self._scale(before_N, after_N)
        same = before_N is after_N
        result._back = result._there if same else self._scale(after_N, before_N)
        return result

    def _scale(self, before: Optional[Tensor], after: Optional[Tensor]) -> tuple[_Bags, _Bags]:
        splat, slice_ = self._there
        if before is not None:
            splat = splat.scaled(before[splat.indices.long()])
        return splat, slice_ if after is None else slice_.scaled(after[:, None])

    def filter(self, values_NC: Tensor) -> Tensor:
        """Multiply values by the kernel matrix K.

        Args:
            values_NC: ``(N, C)``, with the dtype and device of the lattice. Its gradient is exact
                and can be differentiated again.

        Returns:
            ``(N, C)``.
        """
        return _Filter.apply(values_NC, self, True)

    def _filter(self, values: Tensor, forward: bool) -> Tensor:
        count = values.shape[1]
        if values.device.type != 'cpu' or not count:
            return self._filter_part(values, forward)
        widest = max(_LANES, _KEPT_BYTES // (self.num_vertices * values.element_size()))
        parts = values.tensor_split(-(-count // widest), 1)
        if len(parts) == 1:
            return self._filter_padded(values, forward)
        out, start = values.new_empty(values.shape), 0
        for part in parts:
            out[:, start : start + part.shape[1]] = self._filter_padded(part, forward)
            start += part.shape[1]
        return out

    def _filter_padded(self, values: Tensor, forward: bool) -> Tensor:
        """Filter rows that fill a vector register; masked loads of shorter ones take longer."""
        count = values.shape[1]
        if not 1 < count < _LANES:
            return self._filter_part(values, forward)
        return self._filter_part(F.pad(values, (0, _LANES - count)), forward)[:, :count]

    def _filter_part(self, values: Tensor, forward: bool) -> Tensor:
        splat, slice_ = self._there if forward else self._back
        values = splat.sum(values.contiguous())
        for axis in self._blur if forward else reversed(self._blur):
            values = axis.sum(values)
        return slice_.sum(values)


class _Filter(torch.autograd.Function):
    """The filter; each blur axis is symmetric, so the transposed filter blurs in reverse order."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, lattice: PermutohedralLattice, there: bool) -> Tensor:
        ctx.lattice, ctx.there = lattice, there
        return lattice._filter(values, there)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _Filter.apply(grad, ctx.lattice, not ctx.there), None, None


# --- which vertices, which weights ----------------------------------------------------------------


def _simplices(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the simplex around each point.

    Returns:
        Three tensors ``(D + 1, N)``: the vertex whose coordinates are multiples of D + 1, divided
        by D + 1; the rank of each coordinate of the point, 0 for the one furthest above the vertex;
        the weights of the vertices.
    """
    elevated = _elevate(features) / (len(features) + 1)
    corner = (elevated - 0.5).ceil()
    above = elevated - corner
    count = len(above)
    rank = torch.zeros_like(above, dtype=torch.int8)
    for i in range(count):
        for j in range(i + 1, count):
            less = above[i] < above[j]
            rank[i] += less
            rank[j] += ~less
    # the coordinates of a vertex must sum to zero: correct those that were rounded furthest
    rank += corner.sum(0).to(torch.int8)
    shift = (rank < 0).to(torch.int8) - (rank >= count).to(torch.int8)
    rank, corner, above = (rank + shift * count).long(), (corner + shift).long(), above - shift
    ordered = torch.empty_like(above).scatter_(0, rank, above)
    weights = torch.empty_like(above)
    weights[0] = 1 + ordered[-1] - ordered[0]
    weights[1:] = (ordered[:-1] - ordered[1:]).flip(0)
    return corner, rank, weights


def _elevate(features: Tensor) -> Tensor:
    """Embed points ``(D, N)`` in the hyperplane of D + 1 coordinates that sum to zero."""
    dim = len(features)
    rows: list[Tensor] = []
    total = torch.zeros_like(features[0])
    for j in range(dim, 0, -1):
        scaled = features[j - 1] * (math.sqrt(2 / 3) * (dim + 1) / math.sqrt(j * (j + 1)))
        rows.append(total - j * scaled)
        total = total + scaled
    return torch.stack([total, *reversed(rows)])


def _steps(corner: Tensor) -> list[int]:
    """Choose a linear map from coordinates to keys that gives each vertex its own key.

    The digits of a key are the positions of the vertex along each feature j: the sum of coordinates
    0 to j - 1, minus j times coordinate j. It is a multiple of D + 1, by which all keys are
    divided.

    Returns:
        The D + 1 factors of the coordinates, as signed 64-bit integers. They sum to zero.
    """
    dim = len(corner) - 1
    sums = corner.cumsum(0)
    values, value = [0] * (dim + 1), 1
    for j in [*range(dim, 2, -1), *([1, 2] if dim > 1 else [1])]:  # least significant digit first
        low, high = torch.aminmax(sums[j - 1] - j * corner[j])
        values[j] = value
        value *= int(high) - int(low) + 4 * dim + 5  # room for vertices and their neighbours
    if value >= _MAX_KEY:
        values = [pow(_HASH, j + 1, 2**64) for j in range(dim + 1)]
    steps = [sum(values[i + 1 :]) - i * values[i] for i in range(dim + 1)]
    return [(step + 2**63) % 2**64 - 2**63 for step in steps]


def _vertex_keys(corner: Tensor, rank: Tensor, steps: list[int]) -> Tensor:
    """Compute the keys ``(D + 1, N)`` of the vertices, in the order of their weights.

    Vertex k adds k to every coordinate and subtracts D + 1 from the k coordinates of highest rank.
    Adding k does not change the key, because the factors sum to zero.
    """
    factor = torch.tensor(steps, device=corner.device)[:, None]
    keys = torch.empty_like(corner)
    keys[0] = (corner * factor).sum(0)
    by_rank = torch.empty_like(corner).scatter_(0, rank, factor.expand_as(corner))
    for k in range(1, len(keys)):
        keys[k] = keys[k - 1] - by_rank[len(keys) - k]
    return keys


def _blur(keys: Tensor, steps: list[int], dtype: torch.dtype) -> list[_Bags]:
    """Link each vertex to its neighbours along each axis; missing neighbours count as zero.

    A neighbour along axis j has D more at coordinate j and 1 less at all others, or the reverse.
    """
    count = len(keys)
    own = torch.arange(count, dtype=torch.int32, device=keys.device)
    halves = torch.tensor([1, 0.5, 0.5], dtype=dtype, device=keys.device)
    result = []
    for step in steps:
        wanted = keys + step
        place = torch.searchsorted(keys, wanted, out_int32=True).clamp_(max=count - 1)
        found = keys[place.long()] == wanted
        indices = torch.stack((own, place, torch.full_like(own, -1)), 1)
        indices[place[found].long(), 2] = own[found]
        there = torch.stack((torch.ones_like(found), found, indices[:, 2] >= 0), 1)
        ends = there.sum(1, dtype=torch.int32).cumsum(0, dtype=torch.int32)
        offsets = F.pad(ends[:-1], (1, 0))
        result.append(_Bags(indices[there], offsets, halves.expand(count, 3)[there]))
    return result
