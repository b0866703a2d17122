"""Images to try a model with: from its own test data if these are here, else drawn ones."""

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ...core.labels import evenly
from ...core.words import USER_ERRORS
from ...datasets.shapes import draw_image
from ..config.pipelines import test_steps
from ..draw.pixels import encode, read_rgb, shrink
from ..run.outcome.examples import test_dataset
from .limits import Limits

COUNT = 6
_THUMB = 240  # width in pixels


class Sample(NamedTuple):
    """An image to try.

    Args:
        name: As the page calls it.
        data: Bytes of its file.
        thumb: A small picture of it, JPEG.
    """

    name: str
    data: bytes
    thumb: bytes


class Samples(NamedTuple):
    """The images, and where they are from, for the page."""

    origin: str
    images: list[Sample]


def find_samples(cfg: Any, limits: Limits, count: int = COUNT) -> Samples:
    """Read images of the config's test data; draw some if these are not here.

    Args:
        cfg: Config of the model; that of an exported file names no data.
        limits: Images beyond them are left out.
        count: How many.
    """
    images = _of_test(cfg, limits, count)
    if images:
        return Samples('from the images that the model is tested on', images)
    if test_steps(cfg)[0].get('channels') not in (None, 3):  # no drawing has these
        return Samples('', [])
    drawn = [_drawn(index) for index in range(count)]
    return Samples('drawn by the program; the model was trained on others', drawn)


def _of_test(cfg: Any, limits: Limits, count: int) -> list[Sample]:
    if not cfg.get('test_dataloader'):
        return []
    try:
        dataset = test_dataset(cfg)
        chosen = evenly(range(len(dataset)), count)
        paths = [Path(dataset.get_data_info(index)['img_path']) for index in chosen]
        return [_read(path) for path in paths if path.stat().st_size <= limits.max_bytes]
    except USER_ERRORS:  # the data are elsewhere, or damaged
        return []


def _read(path: Path) -> Sample:
    return Sample(path.name, path.read_bytes(), _thumb(read_rgb(path)))


def _drawn(index: int) -> Sample:
    image, _ = draw_image(index, size=320)
    data = cv2.imencode('.png', image)[1].tobytes()
    return Sample(f'drawing {index + 1}', data, _thumb(image[..., ::-1]))


def _thumb(picture: np.ndarray) -> bytes:
    return encode(shrink(picture, _THUMB, smooth=True), file_format='JPEG')
