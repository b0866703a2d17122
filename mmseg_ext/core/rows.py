"""Read an image in strips of rows, so that one of any size takes little memory.

The pixels are those of ``reading.py``. TIFF files are read strip by strip or tile by tile. All
other formats must be decoded whole, which takes the memory of their pixels. So must TIFF files
that are turned, have a palette or other colors than RGB, or a compression that tifffile needs
another package for.
Shape letters: H row, W column, C channel.
"""

import os
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np

from . import reading
from .files import PathLike
from .headers import Header, peek_header
from .tiff import refuse_gaps

_STRIP = 1 << 26  # bytes of an image that are looked at together


class ImageRows:
    """An image file that is read some rows at a time.

    Args:
        path: A local file.
        color: Whether pixels are those of :func:`.reading.read_color`; else of ``read_image``.

    Attributes:
        header: Its header.
        size: H and W, upright.
        in_parts: Whether rows are read from the file; else it is decoded whole at the first read.

    Raises:
        ValueError: If the file is none that ``reading.py`` would read.
    """

    def __init__(self, path: PathLike, *, color: bool) -> None:
        self.path, self.color = str(path), color
        with reading.naming(self.path, 'an image'):
            self.header = peek_header(path)
            if color:
                reading.refuse_unfit(self.path, self.header)
            self._segments = _open_segments(self.path, self.header)
        size = (self.header.height, self.header.width)
        self.size = (size[1], size[0]) if self.header.orientation >= 5 else size
        self.in_parts = self._segments is not None
        self._whole: Optional[np.ndarray] = None
        self._looked_at = not (color and self.in_parts and self.header.dtype == 'uint16')

    def __enter__(self) -> 'ImageRows':
        return self

    def __exit__(self, *_: Any) -> None:
        self._whole = None
        if self._segments is not None:
            self._segments.close()

    def read(self, top: int, bottom: int) -> np.ndarray:
        """Read the rows from ``top`` up to ``bottom``, ``(rows, W, C)``, colors as BGR.

        Raises:
            ValueError: If the file is damaged, or a pixel is NaN or infinite.
        """
        if self._segments is None:
            return self._decoded()[top:bottom]
        if not self._looked_at:
            self._looked_at = True
            reading.refuse_dark(self.path, self._strips())
        image = self._stored(top, bottom)
        if self.color:
            return reading.color_of(self.path, image, self.header)
        if image.dtype.kind == 'f':
            reading.refuse_not_finite(self.path, image, top)
        return np.ascontiguousarray(image)

    def _decoded(self) -> np.ndarray:
        if self._whole is None:
            read = reading.read_color_picture if self.color else reading.read_picture
            self._whole = read(self.path, any_size=True).pixels
        return self._whole

    def _stored(self, top: int, bottom: int) -> np.ndarray:
        assert self._segments is not None
        with reading.naming(self.path, 'an image'):
            return reading.blue_first(self._segments.read(top, bottom), self.header)

    def _strips(self) -> Iterator[np.ndarray]:
        height, width = self.size
        rows = max(1, _STRIP // (2 * width * self.header.channels))
        for top in range(0, height, rows):
            strip = self._stored(top, min(top + rows, height))
            yield strip[..., :-1] if self.header.alpha else strip


class _Segments:
    """The strips or tiles of a TIFF file's picture."""

    def __init__(self, path: str) -> None:
        import tifffile  # a slow import, needed for TIFF files only

        self.path, self.file = path, tifffile.TiffFile(path)
        self.page: Any = self.file.pages.first
        self._last: tuple[int, Any] = (-1, None)

    def close(self) -> None:
        self.file.close()

    def read(self, top: int, bottom: int) -> np.ndarray:
        """Read rows as they are stored, ``(rows, W, C)``."""
        planes, _, _, width, samples = self.page.shaped
        if self.page.is_memmappable:
            rows = self._mapped()[:, 0, top:bottom].copy()
        else:
            rows = np.empty((planes, bottom - top, width, samples), self.page.dtype)
            for index in self._between(top, bottom):
                self._place(rows, index, top)
        rows = rows.astype(rows.dtype.newbyteorder('='), copy=False)
        return rows[0] if planes == 1 else np.moveaxis(rows[..., 0], 0, -1)

    def _mapped(self) -> np.ndarray:
        """Map the file's pixels; made anew each time, so that no pages are kept."""
        dtype = np.dtype(self.file.byteorder + self.page.dtype.char)
        offset = self.page.dataoffsets[0]
        return np.memmap(self.path, dtype, 'r', offset, self.page.shaped)

    def _between(self, top: int, bottom: int) -> Iterator[int]:
        """Yield the segments that hold rows from ``top`` to ``bottom``, in all planes."""
        page = self.page
        high, wide = (
            (page.tilelength, page.tilewidth)
            if page.is_tiled
            else (min(page.rowsperstrip, page.imagelength), page.imagewidth)
        )
        across, down = -(-page.imagewidth // wide), -(-page.imagelength // high)
        for plane in range(page.shaped[0]):
            for row in range(top // high, -(-bottom // high)):
                first = (plane * down + row) * across
                yield from range(first, first + across)

    def _place(self, rows: np.ndarray, index: int, top: int) -> None:
        data, place, (_, high, wide, _) = self._segment(index)
        plane, _, y, x, _ = place
        begin, end = max(y, top), min(y + high, top + rows.shape[1])
        wide = min(wide, rows.shape[2] - x)  # tiles may go on beyond the image
        part = data[0, begin - y : end - y, :wide]
        rows[plane, begin - top : end - top, x : x + wide] = part

    def _segment(self, index: int) -> Any:
        """Decode a segment; keep the last, of which the next read may need more rows."""
        if self._last[0] != index:
            handle, page = self.file.filehandle, self.page
            handle.seek(page.dataoffsets[index])
            data = handle.read(page.databytecounts[index])
            self._last = (index, page.decode(data, index, jpegtables=page.jpegtables))
        return self._last[1]


def _open_segments(path: str, header: Header) -> Optional[_Segments]:
    """Open a TIFF file that can be read in parts; ``None`` for any other file.

    Raises:
        ValueError: If the file is cut short.
    """
    plain = header.color in ('grey', 'rgb') and header.dtype != 'bool' and header.pages == 1
    if header.format != 'TIFF' or not plain or header.inverted or header.orientation != 1:
        return None
    segments = _Segments(path)
    refuse_gaps(segments.file, os.path.getsize(path))
    try:
        segments.read(0, 1)
    except ValueError as error:
        segments.close()
        if 'imagecodecs' not in str(error):
            raise
        return None
    return segments
