"""Images read in strips: the same pixels as of the image read whole, and the same refusals."""

import cv2
import numpy as np
import pytest
import tifffile

from mmseg_ext.core.headers import peek_header, read_header
from mmseg_ext.core.reading import read_color, read_image
from mmseg_ext.core.rows import ImageRows

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (90, 133, 3)).astype(np.uint8)
BANDS = RANDOM.integers(0, 65536, (90, 133, 5)).astype(np.uint16)
PLANES = dict(photometric='rgb', planarconfig='separate')
GREY = dict(photometric='minisblack', planarconfig='contig')


def _in_strips(path, color: bool, step: int) -> tuple[np.ndarray, bool]:
    with ImageRows(path, color=color) as rows:
        tops = range(0, rows.size[0], step)
        strips = [rows.read(top, min(top + step, rows.size[0])) for top in tops]
        again = rows.read(20, 50)
        whole = np.concatenate(strips)
        np.testing.assert_array_equal(again, whole[20:50])
        return whole, rows.in_parts


@pytest.mark.parametrize('step', [7, 37, 90])
@pytest.mark.parametrize('stored, options', [
    (RGB, {}),
    (RGB, dict(tile=(32, 48))),
    (RGB, dict(tile=(32, 48), compression='zlib')),
    (RGB, dict(rowsperstrip=7, compression='zlib', predictor=2)),
    (RGB, dict(compression='zlib')),
    (RGB.transpose(2, 0, 1), PLANES),
    (RGB.transpose(2, 0, 1), dict(PLANES, tile=(32, 32), compression='zlib')),
    (RGB[..., 0], dict(tile=(16, 16), bigtiff=True)),
    (np.dstack([RGB, RGB[..., :1]]), dict(extrasamples=['unassalpha'], photometric='rgb')),
    (BANDS[..., :3], dict(photometric='rgb', byteorder='>')),
])  # fmt: skip
def test_strips_are_the_image(tmp_path, stored, options, step) -> None:
    path = tmp_path / 'x.tif'
    tifffile.imwrite(path, stored, **options)
    for color, read in ((True, read_color), (False, read_image)):
        found, in_parts = _in_strips(path, color, step)
        expected = read(str(path))
        assert in_parts and found.dtype == expected.dtype and np.ptp(found) > 200
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('options', [GREY, dict(GREY, tile=(16, 16), byteorder='>')])
def test_many_bands_in_strips(tmp_path, options) -> None:
    path = tmp_path / 'x.tif'
    tifffile.imwrite(path, BANDS, **options)
    found, in_parts = _in_strips(path, False, 11)
    np.testing.assert_array_equal(found, BANDS)
    assert in_parts and found.dtype == np.uint16
    with pytest.raises(ValueError, match='5 x uint16'):
        ImageRows(path, color=True)


def test_other_files_are_decoded_whole(tmp_path) -> None:
    turned = dict(extratags=[(274, 'H', 1, 6, True)])
    tifffile.imwrite(tmp_path / 'turned.tif', RGB, **turned)
    tifffile.imwrite(tmp_path / 'white.tif', RGB[..., 0], photometric='miniswhite')
    cv2.imwrite(str(tmp_path / 'a.png'), RGB)
    cv2.imwrite(str(tmp_path / 'a.jpg'), RGB)
    for name in ('turned.tif', 'white.tif', 'a.png', 'a.jpg'):
        found, in_parts = _in_strips(tmp_path / name, True, 40)
        np.testing.assert_array_equal(found, read_color(str(tmp_path / name)))
        assert not in_parts
    with ImageRows(tmp_path / 'turned.tif', color=True) as rows:
        assert rows.size == (133, 90)


def test_what_is_refused_whole_is_refused_in_strips(tmp_path) -> None:
    dark, cut, torn = (tmp_path / name for name in ('dark.tif', 'cut.tif', 'torn.png'))
    tifffile.imwrite(dark, BANDS[..., :3] // 17, photometric='rgb', rowsperstrip=8)
    tifffile.imwrite(cut, RGB, rowsperstrip=8)
    cut.write_bytes(cut.read_bytes()[:9000])
    torn.write_bytes(b'no picture')
    for path in (dark, torn):
        with pytest.raises(ValueError) as whole:
            read_color(str(path))
        with pytest.raises(ValueError) as strips, ImageRows(path, color=True) as rows:
            rows.read(0, 10)
        assert str(strips.value) == str(whole.value)
    with pytest.raises(ValueError, match='cut.tif: cannot be decoded as an image .* cut short'):
        ImageRows(cut, color=True)


def test_a_pixel_that_is_no_number_is_found_in_its_row(tmp_path) -> None:
    values = RANDOM.random((60, 20)).astype(np.float32)
    values[41, 3] = np.nan
    tifffile.imwrite(tmp_path / 'x.tif', values, rowsperstrip=4, compression='zlib')
    with ImageRows(tmp_path / 'x.tif', color=False) as rows:
        np.testing.assert_array_equal(rows.read(0, 40)[..., 0], values[:40])
        with pytest.raises(ValueError, match='first in row 41, column 3'):
            rows.read(40, 60)


def test_a_file_of_any_size_is_peeked_into(tmp_path) -> None:
    """400 million pixels, of which the file holds none."""
    path = tmp_path / 'x.png'
    cv2.imwrite(str(path), RGB)
    data = bytearray(path.read_bytes())
    data[16:24] = (20000).to_bytes(4, 'big') * 2
    path.write_bytes(data)
    assert peek_header(path)[:3] == ('PNG', 20000, 20000)
    with pytest.raises(ValueError, match='20000 x 20000'):
        read_header(bytes(data))
