"""3x3 convolution with a quarter of the multiplications, for inference on a CPU.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
https://arxiv.org/abs/1509.09308, F(4x4, 3x3).
Differs from it: nothing. It equals the plain convolution up to rounding; float32 errors are some
ten times as large, about 1e-5 of the output's scale. Half precision is left to the plain one.
Shape letters: N image, C channel, D output channel, H, W padded size, R, S tile row and column,
a, b position in the transformed 6x6 tile.
"""

from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TILE = 4  # outputs a side; the tile of inputs is two wider
_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def is_suited(conv: nn.Module) -> bool:
    """Tell whether :class:`WinogradConv2d` can stand in: 3x3, padding 1, all else plain."""
    return (
        type(conv) is nn.Conv2d
        and (conv.kernel_size, conv.stride, conv.dilation) == ((3, 3), (1, 1), (1, 1))
        and (conv.padding, conv.padding_mode, conv.groups) == ((1, 1), 'zeros', 1)
    )


class WinogradConv2d(nn.Module):
    """Take the place of a trained 3x3 ``nn.Conv2d``; weights are transformed once.

    Args:
        conv: What it replaces, see :func:`is_suited`.

    Shape:
        ``(N, C, H, W)`` to ``(N, D, H, W)``.

    Raises:
        ValueError: If the convolution is of another kind.
    """

    weight: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        if not is_suited(conv):
            raise ValueError(f'only 3x3 convolutions with padding 1 can be replaced, got {conv}')
        g = torch.tensor(_KERNEL, dtype=torch.float64)
        weight = torch.einsum('ai,bj,dcij->abcd', g, g, conv.weight.detach().cpu().double())
        weight = weight.to(conv.weight).contiguous()
        self.register_buffer('weight', weight)
        self.bias = conv.bias

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the convolved map."""
        n, _, h, w = x_NCHW.shape
        rows, columns = -(-h // _TILE), -(-w // _TILE)
        pad = (0, 0, 1, columns * _TILE + 1 - w, 1, rows * _TILE + 1 - h)
        x_NHWC = F.pad(x_NCHW.permute(0, 2, 3, 1), pad)
        tiles = [_combine(_INPUT, _slices(y, 2)) for y in _combine(_INPUT, _slices(x_NHWC, 1))]
        products = [
            [(v.reshape(-1, v.shape[-1]) @ self.weight[a, b]) for b, v in enumerate(line)]
            for a, line in enumerate(tiles)
        ]
        y = _gather(products, (n, rows, columns))
        y = y if self.bias is None else y + self.bias
        return y[:, :h, :w].permute(0, 3, 1, 2)


def _slices(x: Tensor, dim: int) -> Sequence[Tensor]:
    """Every fourth row or column from each of the six positions in a tile, as views."""
    return x.unfold(dim, _TILE + 2, _TILE).unbind(-1)


def _combine(matrix: tuple, parts: Sequence[Tensor]) -> List[Tensor]:
    """Multiply by a matrix that holds many zeros and ones."""
    results = []
    for line in matrix:
        terms = [(c, p) for c, p in zip(line, parts) if c]
        # Start from a term whose factor is one: a copy costs as much as a product.
        terms.sort(key=lambda term: term[0] != 1)
        total = terms[0][1] if terms[0][0] == 1 else terms[0][1] * terms[0][0]
        for i, (c, p) in enumerate(terms[1:]):
            fresh = i == 0 and terms[0][0] == 1
            total = torch.add(total, p, alpha=c) if fresh else total.add_(p, alpha=c)
        results.append(total)
    return results


def _gather(products: List[List[Tensor]], tiles: tuple) -> Tensor:
    n, rows, columns = tiles
    inner = [_combine(_OUTPUT, line) for line in products]  # 6 x 4 of (NRS, D)
    outer = [_combine(_OUTPUT, [line[j] for line in inner]) for j in range(_TILE)]  # 4 (j) x 4 (i)
    y = torch.stack([torch.stack(line) for line in outer])  # j i NRS D
    y = y.reshape(_TILE, _TILE, n, rows, columns, -1).permute(2, 3, 1, 4, 0, 5)
    return y.reshape(n, rows * _TILE, columns * _TILE, -1)
