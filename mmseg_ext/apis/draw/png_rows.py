"""Write a PNG file some rows at a time, so that a picture of any size takes little memory.

Source: the PNG specification, https://www.w3.org/TR/png-3/.
Shape letters: H row, W column.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO, Optional

import numpy as np

_LEVEL = 4  # of zlib; higher levels take several times as long for a tenth of the size
_GREY, _RGB, _PALETTE = 0, 2, 3  # color types
_NONE, _UP = 0, 2  # filters


class PngRows:
    """A PNG file that is written from the top to the bottom.

    Use it as a context manager; the file is complete after the block, and invalid if it raises.

    Args:
        file: Open for binary writing.
        size: H and W.
        channels: 1 for grey, or class indices with ``palette``; 3 for RGB.
        dtype: ``uint8``, or ``uint16`` for grey.
        palette: RGB color of each index.
    """

    def __init__(
        self,
        file: BinaryIO,
        size: tuple[int, int],
        *,
        channels: int = 1,
        dtype: Any = np.uint8,
        palette: Optional[Sequence[Sequence[int]]] = None,
    ) -> None:
        self.file, self.size = file, size
        self.deep = np.dtype(dtype) == np.uint16
        color = _RGB if channels == 3 else _GREY if palette is None else _PALETTE
        self.filter = _NONE if channels == 1 else _UP  # what differs little from the row above
        self._above = np.zeros((1, size[1] * channels), np.uint8)
        self._packer = zlib.compressobj(_LEVEL)
        file.write(b'\x89PNG\r\n\x1a\n')
        bits = 16 if self.deep else 8
        self._chunk(b'IHDR', struct.pack('>IIBBBBB', size[1], size[0], bits, color, 0, 0, 0))
        if palette is not None:
            self._chunk(b'PLTE', bytes(np.asarray(palette, np.uint8).ravel()))

    def __enter__(self) -> 'PngRows':
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            self._chunk(b'IDAT', self._packer.flush())
            self._chunk(b'IEND', b'')

    def write(self, rows: np.ndarray) -> None:
        """Write the next rows, ``(rows, W)`` or ``(rows, W, 3)``."""
        flat = rows.astype('>u2').view(np.uint8) if self.deep else rows
        flat = flat.reshape(len(rows), -1)
        if self.filter == _UP and len(flat):
            before = np.concatenate([self._above, flat[:-1]])
            self._above = flat[-1:].copy()
            flat = flat - before  # modulo 256, as the filter is defined
        lines = np.empty((len(flat), flat.shape[1] + 1), np.uint8)
        lines[:, 0], lines[:, 1:] = self.filter, flat
        packed = self._packer.compress(lines.tobytes())
        if packed:
            self._chunk(b'IDAT', packed)

    def _chunk(self, name: bytes, content: bytes) -> None:
        check = zlib.crc32(content, zlib.crc32(name))
        self.file.write(struct.pack('>I', len(content)) + name + content)
        self.file.write(struct.pack('>I', check))
