"""Write the prediction of a large image while it is made, strip by strip.

The files are those of other images, with three differences. The mask of a TIFF file is a TIFF file.
Probabilities are a plain ``.npy`` file, float16, which is filled row by row, and which
``numpy.load(path, mmap_mode='r')`` reads in parts. Overlays, and pictures of the uncertainty, that
Pillow would refuse to open for their size show only every second, third ... pixel.
Shape letters: K class, H row, W column.
"""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...core.files import PathLike, replacing
from ...core.labels import background_of
from ...core.tiff import is_tiff
from ..draw.pixels import overlay
from ..draw.png_rows import PngRows
from .areas import area_of, count_pixels
from .geotiff import tags_of, write_tiff
from .large import ImageStrip, LargeImage
from .windows import label_type


class Shrunk:
    """A picture of every n-th pixel, small enough for Pillow, that is written in strips.

    Args:
        stack: Closes the file.
        path: PNG file to write.
        size: H and W of all pixels.
    """

    def __init__(self, stack: ExitStack, path: Path, size: tuple[int, int]) -> None:
        limit = Image.MAX_IMAGE_PIXELS or size[0] * size[1]
        self.step = next(n for n in range(1, 1 << 20) if _shrunk(size, n) <= limit)
        self.top = 0
        file = stack.enter_context(open(stack.enter_context(replacing(path)), 'wb'))
        small = (-(-size[0] // self.step), -(-size[1] // self.step))
        self.png = stack.enter_context(PngRows(file, small, channels=3))

    def pick(self, rows: np.ndarray) -> np.ndarray:
        """Return those of the next rows, and of their pixels, that are shown."""
        return rows[-self.top % self.step :: self.step, :: self.step]

    def write(self, shown: np.ndarray, height: int) -> None:
        """Write pixels ``(h, w, 3)`` that were picked out of ``height`` rows."""
        self.png.write(np.ascontiguousarray(shown))
        self.top += height


def _shrunk(size: tuple[int, int], step: int) -> int:
    return -(-size[0] // step) * -(-size[1] // step)


def write_large(
    large: LargeImage,
    out: PathLike,
    name: PathLike,
    *,
    meta: dict,
    step: Callable[[int], Any] = lambda count: None,
) -> dict[str, Any]:
    """Predict a large image and write mask, overlay, and what else is asked for or known.

    Args:
        large: The image.
        out: Folder, in which files go to ``masks``, ``overlays``, ``prob``, ``entropy`` ...
        name: Path of the output below these folders, without suffix.
        meta: ``classes`` and ``palette``.
        step: Called with the number of windows so far, after each.

    Returns:
        The entry of the listing, see :func:`.output.write_prediction`.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
        ValueError: If the file is damaged, or the model outputs NaN.
    """
    out, palette = Path(out), meta['palette']
    suffix = 'tif' if is_tiff(large.path) else 'png'
    entry: dict[str, Any] = dict(
        image=str(large.path.absolute()),
        mask=f'masks/{name}.{suffix}',
        overlay=f'overlays/{name}.png',
    )
    dtype, tags = label_type(len(meta['classes'])), tags_of(large.path)
    pixels = np.zeros(len(meta['classes']), np.int64)
    with ExitStack() as stack:
        painter = Shrunk(stack, out / entry['overlay'], large.size)
        strips = _painted(large.strips(step), painter, meta)
        others = _Others(stack, out, name, large.size)
        labels = _counted((strip.result.label for strip in others.taken_from(strips)), pixels)
        mask = stack.enter_context(replacing(out / entry['mask']))
        if suffix == 'tif':
            write_tiff(mask, labels, large.size, dtype, palette=palette, tags=tags)
        else:
            _write_png(mask, labels, large.size, dtype, palette)
    if painter.step > 1:
        entry['overlay_step'] = painter.step
    return dict(entry, **others.entry, **area_of(pixels, tags))


def _counted(labels: Iterator[np.ndarray], pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Pass labels on, and add the number of pixels of each class to ``pixels``."""
    for label in labels:
        pixels += count_pixels(label, len(pixels))
        yield label


def _painted(strips: Iterator[ImageStrip], painter: Shrunk, meta: dict) -> Iterator[ImageStrip]:
    """Pass strips on, and write the overlay of each."""
    clear = background_of(meta['classes'])
    for strip in strips:
        label = strip.result.label
        picture = painter.pick(strip.picture)
        shown = overlay(picture, painter.pick(label), meta['palette'], clear=clear)
        painter.write(shown, len(label))
        yield strip


def _write_png(
    path: Path,
    labels: Iterator[np.ndarray],
    size: tuple[int, int],
    dtype: Any,
    palette: Sequence[Sequence[int]],
) -> None:
    colors = palette if dtype == np.uint8 else None
    with open(path, 'wb') as file, PngRows(file, size, dtype=dtype, palette=colors) as png:
        for label in labels:
            png.write(label)


class _Others:
    """What is written beside mask and overlay: probabilities and maps, if strips have them.

    Args:
        stack: Closes the files.
        out: Folder of the outputs.
        name: Path below their folders, without suffix.
        size: H and W.
    """

    def __init__(self, stack: ExitStack, out: Path, name: PathLike, size: tuple[int, int]) -> None:
        self.stack, self.out, self.name, self.size = stack, out, name, size
        self.entry: dict[str, Any] = {}
        self.maps: dict[str, _Map] = {}
        self.prob: Any = None

    def taken_from(self, strips: Iterator[ImageStrip]) -> Iterator[ImageStrip]:
        """Pass strips on, and write what else they have."""
        for strip in strips:
            for kind, values in strip.result.maps.items():
                if kind not in self.maps:
                    self.maps[kind] = _Map(self.stack, self.out, kind, self.name, self.size)
                self.maps[kind].write(values)
            if strip.result.prob is not None:
                self._write_prob(strip.result.top, strip.result.prob)
            yield strip
        for one in self.maps.values():
            self.entry.update(one.finish())
        if self.prob is not None:
            self.prob.close()

    def _write_prob(self, top: int, prob_KhW: np.ndarray) -> None:
        """Write some rows of each class where they belong in an array ``(K, H, W)``."""
        height, width = self.size
        if self.prob is None:
            self.entry['prob'] = f'prob/{self.name}.npy'
            path = self.stack.enter_context(replacing(self.out / self.entry['prob']))
            self.prob = self.stack.enter_context(open(path, 'wb'))
            header = dict(descr='<f2', fortran_order=False, shape=(len(prob_KhW), height, width))
            np.lib.format.write_array_header_1_0(self.prob, header)
            self.start = self.prob.tell()
        for number, rows in enumerate(prob_KhW):
            self.prob.seek(self.start + 2 * width * (number * height + top))
            self.prob.write(rows.astype('<f2').tobytes())


class _Map:
    """One map of a large image, ``.npz`` and ``.png``.

    The picture needs the highest value, so it is made of the file when that is complete.

    Args:
        stack: Closes the files.
        out: Folder of the outputs.
        kind: Name of the map, and of its folder.
        name: Path below it, without suffix.
        size: H and W.
    """

    def __init__(
        self, stack: ExitStack, out: Path, kind: str, name: PathLike, size: tuple[int, int]
    ) -> None:
        self.out, self.kind, self.size, self.highest = out, kind, size, 0.0
        self.files = [f'{kind}/{name}.npz', f'{kind}/{name}.png']
        self._path = stack.enter_context(replacing(out / self.files[0]))
        self._archive = stack.enter_context(zipfile.ZipFile(self._path, 'w', zipfile.ZIP_DEFLATED))
        member = self._archive.open(f'{kind}.npy', 'w', force_zip64=True)
        self._file: Any = stack.enter_context(member)
        header = dict(descr='<f4', fortran_order=False, shape=size)
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, values: np.ndarray) -> None:
        """Write the next rows."""
        self._file.write(values.astype('<f4').tobytes())
        self.highest = max(self.highest, float(values.max(initial=0)))

    def finish(self) -> dict[str, Any]:
        """Close the file, paint its values, and return what the listing says of them."""
        self._file.close()
        self._archive.close()
        self._paint()
        return {self.kind: self.files[0], f'highest_{self.kind}': self.highest}

    def _paint(self) -> None:
        """Paint the values, black at 0 and white at the highest."""
        with ExitStack() as stack:
            painter = Shrunk(stack, self.out / self.files[1], self.size)
            file = stack.enter_context(zipfile.ZipFile(self._path).open(f'{self.kind}.npy'))
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            height = max(1, (1 << 24) // self.size[1])
            for top in range(0, self.size[0], height):
                count = min(height, self.size[0] - top)
                rows = np.frombuffer(file.read(4 * count * self.size[1]), '<f4')
                picked = painter.pick(rows.reshape(count, -1))
                grey = np.round(255 * picked / (self.highest or 1)).astype(np.uint8)
                painter.write(np.repeat(grey[..., None], 3, 2), count)
