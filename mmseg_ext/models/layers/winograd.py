"""Winograd's 3x3 convolution with a quarter of the multiplications, for inference on a CPU.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
https://arxiv.org/abs/1509.09308, F(4x4, 3x3).
Differs from it: nothing. It equals the plain convolution up to rounding. Its float32 errors are
some ten times as large, about 1e-5 of the output's scale. Half precision uses the plain
convolution.

A dilated convolution is a plain one of every map that takes each ``dilation``-th row and column:
such a part of an image is called a plane here.
It processes a few tiles at a time, rows of one plane or some whole planes, and reuses the same
memory, which is then still in the cache; new memory would cost more than the arithmetic.
Shape letters: N image, C channel, D output channel, H, W size, P plane of a block, R, S tile row
and column of a block, a, b row and column in the transformed 6x6 tile, i, j row and column of a
tile's 4x4 outputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_TILE = 4  # output pixels per side; a tile of inputs is two pixels wider
_BLOCK = 256  # tiles per block: 18 MiB at 576 channels; 128 to 512 are as fast, all are slower
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def is_suited(conv: nn.Module) -> bool:
    """Tell whether :class:`WinogradConv2d` can replace ``conv``.

    It is 3x3, and padded by its dilation with zeros, or not at all.
    """
    return (
        type(conv) is nn.Conv2d
        and (conv.kernel_size, conv.stride, conv.groups) == ((3, 3), (1, 1), 1)
        and conv.dilation == (conv.dilation[0],) * 2
        and conv.padding in ((0, 0), conv.dilation)
        and conv.padding_mode == 'zeros'
    )


class TransformedConv2d(nn.Module):
    """What convolutions by Winograd's algorithm share; subclasses have ``_convolved``.

    Args:
        conv: The convolution to replace.
        weight: Its transformed weights, ``(..., C, D)`` in float64.
    """

    weight: Tensor

    def __init__(self, conv: nn.Conv2d, weight: Tensor) -> None:
        super().__init__()
        # Three dimensions, because Module.to(memory_format=...) reorders tensors of four.
        self.register_buffer('weight', weight.to(conv.weight).flatten(0, -3).contiguous())
        self.bias = conv.bias

    @torch.no_grad()
    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the convolved map, in the type of the weight: its sums need float32."""
        with torch.autocast(x_NCHW.device.type, enabled=False):
            return self._convolved(x_NCHW.to(self.weight.dtype))

    def _convolved(self, x_NCHW: Tensor) -> Tensor:
        raise NotImplementedError


class WinogradConv2d(TransformedConv2d):
    """Replacement for a trained 3x3 ``nn.Conv2d``, whose weights are transformed once.

    It records no gradients. Channels_last maps are fastest; the output is channels_last too.

    Args:
        conv: The convolution to replace, see :func:`is_suited`.

    Shape:
        ``(N, C, H, W)`` to ``(N, D, H, W)``, without padding to
        ``(N, D, H - 2 dilation, W - 2 dilation)``.

    Raises:
        ValueError: If the convolution is of another kind, or a map is smaller than its kernel.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        if not is_suited(conv):
            raise ValueError(
                'only 3x3 convolutions padded by their dilation, or not at all, can be replaced, '
                f'got {conv}'
            )
        g = torch.tensor(_KERNEL, dtype=torch.float64)
        weight = torch.einsum('ai,bj,dcij->bacd', g, g, conv.weight.detach().cpu().double())
        super().__init__(conv, weight)
        self.dilation = conv.dilation[0]
        self.margin = int(conv.padding[0] != 0)  # zeros around each plane

    def _convolved(self, x_NCHW: Tensor) -> Tensor:
        n, _, *sides = x_NCHW.shape
        d = self.dilation
        h, w = (side - 2 * d * (1 - self.margin) for side in sides)
        if min(h, w) < 1:
            raise ValueError(f'{sides[0]}x{sides[1]} is smaller than a kernel of {2 * d + 1}')
        rows, columns = (-(-side // (_TILE * d)) for side in (h, w))
        y = x_NCHW.new_empty(n, rows * _TILE * d, columns * _TILE * d, self.weight.shape[2])
        planes = [
            (image[p::d, q::d], out[p::d, q::d])
            for image, out in zip(x_NCHW.permute(0, 2, 3, 1), y)
            for p in range(d)
            for q in range(d)
        ]
        step = min(rows, max(1, _BLOCK // columns))
        count = min(len(planes), max(1, _BLOCK // (rows * columns)))
        room = self._room(count, step, columns, x_NCHW)
        for block in _starts(len(planes), count):
            for first in _starts(rows, step):
                self._block(planes[block : block + count], first * _TILE, *room)
        return y[:, :h, :w].permute(0, 3, 1, 2)

    def _room(self, p: int, r: int, s: int, like: Tensor) -> Sequence[Tensor]:
        """Allocate the memory of a block; the position in a tile is the outermost dimension."""
        c, d = self.weight.shape[1:]
        padded = like.new_zeros(p, r * _TILE + 2, s * _TILE + 2, c)
        half = like.new_empty(6, p, r, s * _TILE + 2, c)  # a P R W C
        tiles = like.new_empty(6, 6, p, r, s, c)  # b a P R S C
        products = like.new_empty(36, p * r * s, d)  # ba PRS D
        sums = like.new_empty(_TILE, 6, p, r, s, d)  # j a P R S D
        return padded, half, tiles, products, sums

    def _block(
        self,
        planes: Sequence[tuple[Tensor, Tensor]],
        top: int,
        padded: Tensor,
        half: Tensor,
        tiles: Tensor,
        products: Tensor,
        sums: Tensor,
    ) -> None:
        """Compute the rows of outputs from ``top`` on, of each plane ``(H, W, C)``."""
        _, _, p, r, s, _ = tiles.shape
        for (plane_HWC, _), part in zip(planes, padded):
            copy_padded(plane_HWC, top - self.margin, part, self.margin)
        _transform_input([padded[:, a : a + 4 * r - 3 : 4] for a in range(6)], half.unbind(0))
        _transform_input([half[:, :, :, b : b + 4 * s - 3 : 4] for b in range(6)], tiles.unbind(0))
        torch.bmm(tiles.view(36, p * r * s, -1), self.weight, out=products)
        _transform_output(products.view(6, 6, p, r, s, -1).unbind(0), sums.unbind(0))
        for (_, y), part_jaRSD in zip(planes, sums.unbind(2)):
            out = y[top : top + _TILE * r]
            out_ijRSD = out.view(r, _TILE, s, _TILE, -1).permute(1, 3, 0, 2, 4)
            _transform_output(part_jaRSD.unbind(1), out_ijRSD.unbind(0))
            if self.bias is not None:
                out += self.bias


def _starts(length: int, step: int) -> list[int]:
    """Where blocks of ``step`` begin; the last two may overlap, as all have one size."""
    return [min(first, length - step) for first in range(0, length, step)]


def copy_padded(image_HWC: Tensor, top: int, padded: Tensor, left: int) -> None:
    """Copy rows from ``top`` on behind ``left`` columns, zeros outside the image.

    The outer columns are zero already, but for what a wider plane has left in the last ones.
    """
    h, w, _ = image_HWC.shape
    low, high = min(max(top, 0), h), min(top + padded.shape[0], h)
    padded[: low - top].zero_()
    padded[low - top : high - top, left : left + w] = image_HWC[low:high]
    padded[low - top : high - top, left + w :].zero_()
    padded[high - top :].zero_()


def _transform_input(x: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """Multiply six tensors by the matrix B^T of F(4, 3), sharing terms between its rows."""
    torch.sub(x[4], x[2], alpha=4, out=out[1])
    torch.sub(x[3], x[1], alpha=4, out=out[3])
    torch.sub(out[1], out[3], out=out[2])
    out[1].add_(out[3])
    torch.sub(x[4], x[2], out=out[3])
    torch.sub(x[3], x[1], out=out[5])
    torch.sub(out[3], out[5], alpha=2, out=out[4])
    out[3].add_(out[5], alpha=2)
    torch.sub(x[4], x[2], alpha=5, out=out[0]).add_(x[0], alpha=4)
    torch.sub(x[5], x[3], alpha=5, out=out[5]).add_(x[1], alpha=4)


def _transform_output(m: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """Multiply six tensors by the matrix A^T of F(4, 3); ``m`` is overwritten."""
    torch.add(m[1], m[2], out=out[0])
    torch.sub(m[1], m[2], out=out[3])
    torch.add(m[3], m[4], out=m[1])
    torch.sub(m[3], m[4], out=m[2])
    torch.add(out[0], m[1], alpha=4, out=out[2])
    out[0].add_(m[1]).add_(m[0])
    torch.add(out[3], m[2], alpha=2, out=out[1])
    out[3].add_(m[2], alpha=8).add_(m[5])
