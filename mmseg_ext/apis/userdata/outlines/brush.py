"""The run lengths in which Label Studio keeps a brush mask.

Source: ``label_studio_sdk.converter.brush`` (https://github.com/HumanSignal/label-studio-sdk,
Apache-2.0), for the format. It is a stream of bits, the highest first: the number of values (32),
the bits of a value less one (5), four sizes of run lengths less one (4 each); then runs, each with
a bit that says whether one value repeats, the index of its size (2), its length less one, and its
value, or values. The values are those of an RGBA picture, row by row; the mask is its opacity.
Differs from it: nothing in what is read; what is written repeats values only.
Shape letters: H row, W column, N run.
"""

from collections.abc import Sequence

import numpy as np

_SIZES = (3, 4, 8, 16)  # bits of run lengths
_WORD = 8  # bits of a value
_CHANNELS = 4
_SHOWN = 255  # 1 would be an invisible brush
_HEADER = (32, 5, 4, 4, 4, 4)


def encode_brush(mask_HW: np.ndarray) -> bytes:
    """Write a mask, bool ``(H, W)``, in all four channels, as 0 and 255."""
    flat = np.asarray(mask_HW, bool).ravel()
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    lengths, values = np.diff(np.r_[starts, flat.size]) * _CHANNELS, flat[starts]
    header = (flat.size * _CHANNELS, _WORD - 1, *(size - 1 for size in _SIZES))
    bits = [_as_bits(np.array([value]), width)[0] for value, width in zip(header, _HEADER)]
    return np.packbits(np.concatenate([*bits, _runs(*_split(lengths, values))])).tobytes()


def _split(lengths_N: np.ndarray, values_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut runs that are longer than a run can be."""
    longest = 1 << _SIZES[-1]
    pieces = -(-lengths_N // longest)
    cut = np.full(pieces.sum(), longest)
    cut[np.cumsum(pieces) - 1] = lengths_N - (pieces - 1) * longest
    return cut, np.repeat(values_N, pieces)


def _runs(lengths_N: np.ndarray, values_N: np.ndarray) -> np.ndarray:
    """The bits of runs, one after the other."""
    kinds = np.searchsorted(1 << np.array(_SIZES), lengths_N)
    widths = 1 + 2 + np.array(_SIZES)[kinds] + _WORD
    places = np.cumsum(widths) - widths
    bits = np.zeros(widths.sum(), np.uint8)
    for kind, size in enumerate(_SIZES):
        own = np.flatnonzero(kinds == kind)
        head = np.full(len(own), 4 | kind)  # it repeats, then the index of the size
        run = (head << size | lengths_N[own] - 1) << _WORD | values_N[own] * _SHOWN
        width = 1 + 2 + size + _WORD
        bits[places[own, None] + np.arange(width)] = _as_bits(run, width)
    return bits


def _as_bits(numbers_N: np.ndarray, width: int) -> np.ndarray:
    """Numbers as bits, the highest first, ``(N, width)``."""
    shifts = np.arange(width - 1, -1, -1)
    return (numbers_N.astype(np.int64)[:, None] >> shifts & 1).astype(np.uint8)


def decode_brush(data: Sequence[int], height: int, width: int) -> np.ndarray:
    """Read a mask, bool ``(H, W)``: where the opacity is not 0.

    Args:
        data: Bytes, or a list of their numbers, as JSON has it.
        height: H of the image.
        width: W of the image.

    Raises:
        ValueError: If it is damaged, or of an image of another size.
    """
    try:
        stream = _Bits(bytes(data))
    except (TypeError, ValueError) as error:
        raise ValueError(f'its run lengths are no bytes ({error})') from error
    count, word, *sizes = (stream.take(number) for number in _HEADER)
    if count != height * width * _CHANNELS:
        raise ValueError(
            f'its run lengths are of {count} values, where an image of {width}x{height} (width x '
            f'height) has {height * width * _CHANNELS}'
        )
    values = np.zeros(count, bool)
    place = 0
    while place < count:
        repeats, kind = stream.take(1), stream.take(2)
        length = stream.take(sizes[kind] + 1) + 1
        if place + length > count:
            raise ValueError('its run lengths are longer than the image')
        number = 1 if repeats else length
        values[place : place + length] = stream.take_many(number, word + 1)
        place += length
    return values[_CHANNELS - 1 :: _CHANNELS].reshape(height, width)


class _Bits:
    """A stream of bits, the highest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place, self.length = data, 0, 8 * len(data)

    def take(self, number: int) -> int:
        """The next bits as a number."""
        end = self._advance(number)
        first, last = (end - number) >> 3, (end + 7) >> 3
        whole = int.from_bytes(self.data[first:last], 'big')
        return whole >> (8 * last - end) & (1 << number) - 1

    def take_many(self, count: int, width: int) -> np.ndarray:
        """Whether the next numbers of so many bits each are not 0."""
        if count == 1:
            return np.array([self.take(width)], bool)
        end = self._advance(count * width)
        start = end - count * width
        raw = np.frombuffer(self.data[start >> 3 : (end + 7) >> 3], np.uint8)
        bits = np.unpackbits(raw)[start & 7 :][: count * width]
        return np.asarray(bits.reshape(count, width).any(1))

    def _advance(self, number: int) -> int:
        self.place += number
        if self.place > self.length:
            raise ValueError('its run lengths end too early')
        return self.place
