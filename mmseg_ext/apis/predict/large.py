"""Images that are predicted in windows while they are read: never whole in memory.

A test pipeline that does no more than load and pack an image prepares some rows of it as it does
all. With any other pipeline, an image is read whole.
Shape letters: C channel, H row, W column.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from torch import Tensor

from ...core.headers import Header, peek_header
from ...core.rows import ImageRows
from ...datasets.multichannel import LoadImage, LoadImageFromFile
from ..config.pipelines import test_steps
from ..draw.pixels import to_display
from .memory import SMALL, Memory
from .strips import Strip, predict_strips
from .windows import Windows

_PACKS = ('PackSegInputs', 'PackWeightedSegInputs')


def build_pipeline(cfg: Config) -> Compose:
    """Build the test pipeline of a config without the steps that read labels."""
    return Compose(test_steps(cfg))


class ImageStrip(NamedTuple):
    """Some rows of an image and of its prediction.

    Args:
        picture: The image, ``(h, W, 3)`` uint8 RGB.
        result: The prediction.
    """

    picture: np.ndarray
    result: Strip


class Preparation:
    """A pipeline that loads and packs, applied to some rows of an image.

    Args:
        pipeline: The steps; the first loads the image.
    """

    def __init__(self, pipeline: Compose) -> None:
        self.loader, *self.others = pipeline.transforms

    def is_rowwise(self) -> bool:
        """Whether rows are prepared alike, whatever the others are."""
        packs = all(type(step).__name__ in _PACKS for step in self.others)
        return packs and bool(self.others) and self.reads_as_we_do()

    def reads_as_we_do(self) -> bool:
        """Whether the loader makes of a file's pixels what :meth:`load` makes of them."""
        loader = self.loader
        if type(loader) is LoadImage:
            return loader.backend_args is None
        plain = type(loader) is LoadImageFromFile and loader.color_type == 'color'
        if not plain or loader.imdecode_backend != 'cv2' or loader.ignore_empty:
            return False
        return loader.backend_args is None and loader.file_client_args is None

    @property
    def color(self) -> bool:
        """Whether the image is read as 8-bit color."""
        return type(self.loader) is LoadImageFromFile

    def load(self, stored: np.ndarray, path: Path) -> np.ndarray:
        """Make of stored rows what the loader makes of an image, ``(h, W, C)``."""
        if self.color:
            return stored.astype(np.float32) if self.loader.to_float32 else stored
        return self.loader.convert(stored, str(path))

    def pack(self, loaded: np.ndarray, path: Path) -> dict[str, Any]:
        """Return ``inputs`` ``(C, h, W)`` and ``data_samples`` of rows ``(h, W, C)``."""
        results = dict(sample_of(path), **as_loaded(loaded))
        for step in self.others:
            results = step(results)
        return results


def sample_of(path: Path) -> dict[str, Any]:
    """Return what a pipeline is given, as in samples of mmseg's data sets without labels."""
    return dict(img_path=str(path), seg_fields=[], reduce_zero_label=False)


def as_loaded(image: np.ndarray) -> dict[str, Any]:
    """Return what a loader adds to a sample for an image ``(H, W, C)``."""
    size = image.shape[:2]
    return dict(img=image, img_shape=size, ori_shape=size, seg_fields=[], reduce_zero_label=False)


@dataclass(frozen=True)
class LargeImage:
    """An image that does not fit into memory, and how it is predicted.

    Args:
        path: The file.
        size: H and W.
        windows: From :meth:`.memory.Memory.plan`.
        model: A segmentor in evaluation mode.
        preparation: How rows are prepared.
        keep_prob: Whether strips have probabilities.
    """

    path: Path
    size: tuple[int, int]
    windows: Windows
    model: Any
    preparation: Preparation
    keep_prob: bool = False

    @property
    def num_windows(self) -> int:
        """Number of windows."""
        tops, lefts = self.windows.starts(self.size)
        return len(tops) * len(lefts)

    def strips(self, step: Callable[[int], Any] = lambda count: None) -> Iterator[ImageStrip]:
        """Predict the image from the top to the bottom.

        Args:
            step: Called with the number of windows so far, after each.

        Raises:
            ValueError: If the file is damaged, or the model outputs NaN.
        """
        prepare = self.preparation
        pictures: list[np.ndarray] = []  # of rows that are read, but not yet predicted
        with ImageRows(self.path, color=prepare.color) as rows, torch.inference_mode():

            def read(top: int, bottom: int) -> Tensor:
                loaded = prepare.load(rows.read(top, bottom), self.path)
                pictures.append(_shown(loaded))
                return prepare.pack(loaded, self.path)['inputs']

            meta = _probe(prepare, self.path, rows.header)['data_samples'].metainfo
            strips = predict_strips(
                self.model, read, self.size, meta, self.windows,
                keep_prob=self.keep_prob, step=step)  # fmt: skip
            for strip in strips:
                waiting = np.concatenate(pictures)
                height = len(strip.label)
                pictures[:] = [waiting[height:]]
                yield ImageStrip(waiting[:height], strip)


def find_large(model: Any, memory: Memory, pipeline: Compose, path: Path) -> Optional[LargeImage]:
    """Look at a file; ``None`` if it is predicted at once, or its pipeline needs it whole.

    Raises:
        ValueError: If the file is damaged, or even windows would not fit.
    """
    prepare = Preparation(pipeline)
    if not prepare.is_rowwise() or not path.is_file() or pixels_of(path) <= SMALL:
        return None
    with ImageRows(path, color=prepare.color) as rows:
        size, header = rows.size, rows.header
        whole = 0 if rows.in_parts else header.width * header.height * max(3, header.channels)
    deep = 1 if header.dtype in ('uint8', 'bool') else np.dtype(header.dtype).itemsize
    probe = _probe(prepare, path, header)
    inputs = probe['inputs']
    image = torch.empty((len(inputs), *size), dtype=inputs.dtype, device='meta')
    meta = dict(probe['data_samples'].metainfo, ori_shape=size)
    held = 2.0 * whole * deep  # decoders need the file, and what they make of it twice
    windows = memory.plan(image, meta, held=held)
    if windows is None:
        return None
    return LargeImage(path, size, windows, model, prepare, memory.keep_prob)


def tell_windows(
    model: Any, images: Iterable[Path], *, keep_prob: bool = False, whole: str = ''
) -> Optional[str]:
    """Say from which size on images are predicted in windows.

    Args:
        model: A segmentor in evaluation mode.
        images: Those to predict.
        keep_prob: As in :class:`.memory.Memory`.
        whole: As there.

    Returns:
        One line; ``None`` if all images are small, or the pipeline needs each of them whole.
    """
    prepare = Preparation(build_pipeline(model.cfg))
    memory = Memory(model, keep_prob=keep_prob, whole=whole)
    large = next((path for path in images if pixels_of(path) > SMALL), None)
    if large is None or memory.whole or not prepare.is_rowwise():
        return None
    side = memory.side_of_windows(_probe(prepare, large, peek_header(large))['inputs'])
    return (
        f'{memory.free / 1e9:.1f} GB of memory are free: images above about {side}x{side} pixels '
        'are predicted in windows'
    )


def pixels_of(path: Path) -> int:
    """Return the number of pixels of an image file; 0 if it cannot be read."""
    with suppress(Exception):  # decoders raise many types; who reads the file reports it
        header = peek_header(path)
        return header.width * header.height
    return 0


def _probe(prepare: Preparation, path: Path, header: Header) -> dict[str, Any]:
    """Prepare a black image: what comes out has the channels and the type of the real one."""
    channels = 3 if prepare.color else prepare.loader.channels or header.channels
    dtype = np.uint8 if prepare.color or header.dtype == 'bool' else np.dtype(header.dtype)
    return prepare.pack(prepare.load(np.zeros((8, 8, channels), dtype), path), path)


def _shown(loaded: np.ndarray) -> np.ndarray:
    """Turn rows into a picture; loaders scale other types than uint8 to 0..255."""
    if loaded.dtype != np.uint8:
        loaded = np.clip(loaded, 0, 255).round().astype(np.uint8)
    return to_display(loaded)
