"""PNG files written in strips: other people's decoders read the pixels that were written."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_ext.apis.draw.png_rows import PngRows

RANDOM = np.random.default_rng(2)
PALETTE = [[9, 8, 7], [200, 100, 50], [0, 0, 255]]


def _written(rows: np.ndarray, step: int, **options) -> bytes:
    file = io.BytesIO()
    with PngRows(file, rows.shape[:2], **options) as png:
        for top in range(0, len(rows), step):
            png.write(rows[top : top + step])
    return file.getvalue()


@pytest.mark.parametrize('step', [1, 7, 100])
def test_decoders_read_what_was_written(step) -> None:
    rgb = RANDOM.integers(0, 256, (37, 21, 3)).astype(np.uint8)
    data = _written(rgb, step, channels=3)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), rgb)
    deep = RANDOM.integers(0, 65536, (37, 21)).astype(np.uint16)
    data = _written(deep, step, dtype=np.uint16)
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, deep)
    assert found.dtype == np.uint16
    label = RANDOM.integers(0, 3, (37, 21)).astype(np.uint8)
    image = Image.open(io.BytesIO(_written(label, step, palette=PALETTE)))
    np.testing.assert_array_equal(np.asarray(image), label)
    assert image.mode == 'P' and image.getpalette()[:9] == sum(PALETTE, [])


def test_a_picture_that_was_broken_off_is_no_picture() -> None:
    file = io.BytesIO()
    with pytest.raises(KeyError), PngRows(file, (4, 4)) as png:
        png.write(np.zeros((2, 4), np.uint8))
        raise KeyError
    with pytest.raises(OSError):
        Image.open(io.BytesIO(file.getvalue())).load()
