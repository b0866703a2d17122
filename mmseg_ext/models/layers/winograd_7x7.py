"""Winograd's 7x7 convolution with a quarter of the multiplications, for inference on a CPU.

The kernel, with one more row and column of zeros, is cut into 2x2 parts of 4x4, each a convolution
by F(4x4, 4x4). Parts lie as far from each other as tiles do, so that all read the same transformed
tiles, each from another tile on, and their products are summed before they are transformed back.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
https://arxiv.org/abs/1509.09308, with the points 0, 1, -1, 1/2, -1/2, 2 and infinity.
Differs from it: the sum over parts. It equals the plain convolution up to rounding; its float32
errors are those of :mod:`.winograd`, about 1e-5 of the output's scale.

It processes a few rows of tiles at a time in the same memory, see :mod:`.winograd`.
Shape letters: N image, C channel, D output channel, H, W size, R, S tile row and column of a block,
a, b row and column in the transformed 7x7 tile, i, j row and column of a tile's 4x4 outputs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .winograd import TransformedConv2d, copy_padded

_TILE = 4  # output pixels per side; a tile of inputs is three pixels wider
_SIDE = 7  # of a transformed tile
_BLOCK = 512  # tiles per block
_TOGETHER = 17  # positions in a tile whose products are summed in the cache
_KERNEL = (
    (-2, 0, 0, 0),
    (-2 / 3, -2 / 3, -2 / 3, -2 / 3),
    (-2 / 9, 2 / 9, -2 / 9, 2 / 9),
    (16 / 9, 8 / 9, 4 / 9, 2 / 9),
    (16 / 15, -8 / 15, 4 / 15, -2 / 15),
    (2 / 45, 4 / 45, 8 / 45, 16 / 45),
    (0, 0, 0, 1),
)


def is_suited(conv: nn.Module) -> bool:
    """Tell whether :class:`Winograd7x7Conv2d` can replace ``conv``.

    It is 7x7, not dilated, and padded by 3 with zeros, or not at all.
    """
    return (
        type(conv) is nn.Conv2d
        and (conv.kernel_size, conv.stride, conv.dilation) == ((7, 7), (1, 1), (1, 1))
        and conv.groups == 1
        and conv.padding in ((0, 0), (3, 3))
        and conv.padding_mode == 'zeros'
    )


class _Room(NamedTuple):
    """The memory of a block; the position in a tile is the outermost dimension."""

    padded: Tensor  # H W C
    half: Tensor  # a R W C
    tiles: Tensor  # b a R S C, with one more row and column of tiles
    terms: tuple[Tensor, Tensor]  # six of each of the last two
    products: Tensor  # ba RS D, all in one dimension
    sums: Tensor  # j a R S D


class Winograd7x7Conv2d(TransformedConv2d):
    """Replacement for a trained 7x7 ``nn.Conv2d``, whose weights are transformed once.

    It records no gradients. Channels_last maps are fastest; the output is channels_last too. Its
    weights take four times the memory of the convolution's.

    Args:
        conv: The convolution to replace, see :func:`is_suited`.

    Shape:
        ``(N, C, H, W)`` to ``(N, D, H, W)``, without padding to ``(N, D, H - 6, W - 6)``.

    Raises:
        ValueError: If the convolution is of another kind, or a map is smaller than its kernel.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        if not is_suited(conv):
            raise ValueError(
                f'only 7x7 convolutions padded by 3, or not at all, can be replaced, got {conv}'
            )
        g = torch.tensor(_KERNEL, dtype=torch.float64)
        kernel = F.pad(conv.weight.detach().cpu().double(), (0, 1, 0, 1))
        parts = kernel.unflatten(3, (2, 4)).unflatten(2, (2, 4))
        weight = torch.einsum('ai,bj,dcyixj->yxbacd', g, g, parts)
        super().__init__(conv, weight)
        self.margin = int(conv.padding[0])

    def _convolved(self, x_NCHW: Tensor) -> Tensor:
        n, _, *sides = x_NCHW.shape
        h, w = (side - 6 + 2 * self.margin for side in sides)
        if min(h, w) < 1:
            raise ValueError(f'{sides[0]}x{sides[1]} is smaller than a kernel of 7')
        rows, columns = (-(-side // _TILE) for side in (h, w))
        y = x_NCHW.new_empty(n, rows * _TILE, columns * _TILE, self.weight.shape[2])
        room = self._room(min(rows, max(1, _BLOCK // columns)), columns, x_NCHW)
        for image_HWC, out_HWD in zip(x_NCHW.permute(0, 2, 3, 1), y):
            self._convolve(image_HWC, out_HWD, room)
        return y[:, :h, :w].permute(0, 3, 1, 2)

    def _room(self, r: int, s: int, like: Tensor) -> _Room:
        c, d = self.weight.shape[1:]
        width = (s + 1) * _TILE + 3
        return _Room(
            like.new_zeros(r * _TILE + 3, width, c),
            like.new_empty(_SIDE, r, width, c),
            like.new_empty(_SIDE, _SIDE, r + 1, s + 1, c),
            (like.new_empty(6, r, width, c), like.new_empty(6, _SIDE, r, s + 1, c)),
            like.new_empty(_SIDE**2 * r * (s + 1) * d),
            like.new_empty(_TILE, _SIDE, r, s, d),
        )

    def _convolve(self, image_HWC: Tensor, y_HWD: Tensor, room: _Room) -> None:
        """Fill the outputs of an image; a block's last row of tiles is the first of the next."""
        tiles, rows = room.tiles, y_HWD.shape[0] // _TILE
        step = tiles.shape[2] - 1
        self._transform(image_HWC, 0, tiles[:, :, :1], room)
        for first in range(0, rows, step):
            r = min(step, rows - first)
            self._transform(image_HWC, first + 1, tiles[:, :, 1 : r + 1], room)
            products = self._multiply(r, room)
            _transform_output(products.unbind(0), room.sums[:, :, :r].unbind(0))
            self._finish(y_HWD[first * _TILE : (first + r) * _TILE], room.sums[:, :, :r])
            tiles[:, :, 0] = tiles[:, :, r]

    def _transform(self, image_HWC: Tensor, first: int, out: Tensor, room: _Room) -> None:
        """Transform the rows of tiles from ``first`` on, as many as ``out`` has."""
        r, s = out.shape[2:4]
        padded = room.padded[: r * _TILE + 3]
        copy_padded(image_HWC, first * _TILE - self.margin, padded, self.margin)
        half, (terms, more) = room.half[:, :r], room.terms
        columns = [padded[a : a + 4 * r - 3 : 4] for a in range(_SIDE)]
        _transform_input(columns, half.unbind(0), terms[:, :r].unbind(0))
        columns = [half[:, :, b : b + 4 * s - 3 : 4] for b in range(_SIDE)]
        _transform_input(columns, out.unbind(0), more[:, :, :r].unbind(0))

    def _multiply(self, r: int, room: _Room) -> Tensor:
        """Sum the products of the parts, ``(b, a, R, S, D)``.

        Rows of tiles follow each other without a gap, so that the last tile of each row, which is
        none of the outputs, is computed, too. Results are contiguous, without which torch would
        multiply one position after the other.
        """
        s, d = room.tiles.shape[3], self.weight.shape[2]
        count = r * s - 1
        out = room.products[: _SIDE**2 * count * d].view(_SIDE**2, count, d)
        tiles = room.tiles.flatten(0, 1).flatten(1, 2)
        weights = self.weight.unflatten(0, (4, -1))
        for first in range(0, _SIDE**2, _TOGETHER):
            some = slice(first, first + _TOGETHER)
            torch.bmm(tiles[some, :count], weights[0, some], out=out[some])
            for part, start in zip(weights[1:], (1, s, s + 1)):
                shifted = tiles[some, start : start + count]
                torch.baddbmm(out[some], shifted, part[some], out=out[some])
        strides = (_SIDE * count * d, count * d, s * d, d, 1)
        return out.as_strided((_SIDE, _SIDE, r, s - 1, d), strides)

    def _finish(self, y_HWD: Tensor, sums: Tensor) -> None:
        _, _, r, s, d = sums.shape
        out_ijRSD = y_HWD.view(r, _TILE, s, _TILE, d).permute(1, 3, 0, 2, 4)
        _transform_output(sums.unbind(1), out_ijRSD.unbind(0))
        if self.bias is not None:
            y_HWD += self.bias


def _transform_input(x: Sequence[Tensor], out: Sequence[Tensor], v: Sequence[Tensor]) -> None:
    """Multiply seven tensors by the matrix B^T of F(4, 4), sharing terms ``v`` between its rows."""
    for k in range(6):
        torch.sub(x[k + 1], x[k], alpha=2, out=v[k])
    torch.sub(v[4], v[2], alpha=1.25, out=out[0]).add_(v[0], alpha=0.25)
    torch.sub(x[5], x[3], alpha=1.25, out=out[5]).add_(x[1], alpha=0.25)
    torch.sub(v[5], v[3], alpha=1.25, out=out[6]).add_(v[1], alpha=0.25)
    torch.sub(v[4], v[2], alpha=0.25, out=v[0])
    torch.sub(v[3], v[1], alpha=0.25, out=v[5])
    torch.add(v[0], v[5], out=out[1])
    torch.sub(v[0], v[5], out=out[2])
    v[4].sub_(v[2])
    v[3].sub_(v[1])
    torch.add(v[4], v[3], alpha=0.5, out=out[3])
    torch.sub(v[4], v[3], alpha=0.5, out=out[4])


def _transform_output(m: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """Multiply seven tensors by the matrix A^T of F(4, 4); ``m`` is overwritten."""
    torch.add(m[1], m[2], out=out[0])
    torch.sub(m[1], m[2], out=out[3])
    torch.add(m[3], m[4], out=m[1])
    torch.sub(m[3], m[4], out=m[2])
    torch.add(out[0], m[1], alpha=0.25, out=out[2]).add_(m[5], alpha=4)
    out[0].add_(m[1]).add_(m[0]).add_(m[5])
    torch.add(out[3], m[2], alpha=0.5, out=out[1]).add_(m[5], alpha=2)
    out[3].add_(m[2], alpha=0.125).add_(m[5], alpha=8).add_(m[6])
