"""TIFF files of any depth and number of channels, against the arrays that were written."""

import io

import numpy as np
import pytest
import tifffile

from mmseg_ext.core.headers import read_header
from mmseg_ext.core.masks import read_mask
from mmseg_ext.core.reading import read_color, read_image
from mmseg_ext.core.rows import ImageRows
from mmseg_ext.core.tiff import read_tiff


def _written(array, **settings):
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **settings)
    return stream.getvalue()


def _read(data, **settings):
    return read_tiff(data, read_header(data), **settings)


@pytest.mark.parametrize('byteorder', ['<', '>'])
@pytest.mark.parametrize(
    'dtype, shape, photometric',
    [
        ('uint8', (5, 7), 'minisblack'),
        ('uint8', (5, 7, 3), 'rgb'),
        ('uint16', (5, 7), 'minisblack'),
        ('uint16', (5, 7, 3), 'rgb'),
        ('float32', (5, 7), 'minisblack'),
        ('uint16', (5, 7, 6), 'minisblack'),
    ],
)
def test_values_come_back_as_they_were_written(dtype, shape, photometric, byteorder):
    array = np.random.default_rng(0).integers(0, 250, shape).astype(dtype)
    settings = dict(photometric=photometric, byteorder=byteorder, planarconfig='contig')
    if len(shape) == 2:
        settings.pop('planarconfig')
    np.testing.assert_array_equal(_read(_written(array, **settings)), array)


def test_grey_pages_are_channels():
    pages = np.random.default_rng(0).integers(0, 9000, (4, 5, 7)).astype(np.uint16)
    read = _read(_written(pages, photometric='minisblack'))
    np.testing.assert_array_equal(read, pages.transpose(1, 2, 0))


def test_where_zero_is_white_values_are_inverted():
    array = np.arange(35, dtype=np.uint16).reshape(5, 7)
    np.testing.assert_array_equal(_read(_written(array, photometric='miniswhite')), 65535 - array)


def test_one_bit_is_black_and_white_or_an_index():
    bits = np.arange(35).reshape(5, 7) % 3 == 0
    data = _written(bits, photometric='minisblack')
    np.testing.assert_array_equal(_read(data), bits * np.uint8(255))
    np.testing.assert_array_equal(_read(data, indices=True), bits)


def test_a_file_that_is_cut_short_is_refused_and_not_filled_up():
    data = _written(np.ones((50, 70), np.uint16), photometric='minisblack')
    with pytest.raises(ValueError, match='cut short'):
        _read(data[:-100])


SAVED = {
    'plainly': dict(),
    'with axes': dict(metadata={'axes': 'YXC'}),
    'for ImageJ': dict(imagej=True),
}


@pytest.mark.parametrize('options', SAVED.values(), ids=SAVED)
def test_channels_last_that_were_saved_row_by_row_are_refused(options, tmp_path):
    """Tifffile saves (H, W, 5) as H pages of W x 5, which were read as H channels."""
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 5), np.uint8)
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, image, **options)
    assert len(tifffile.TiffFile(path).pages) == 24
    message = r'a\.tif: .*each of its 24 pages is 5 wide and 40 high, .*planarconfig=.contig'
    for read in (read_image, read_color, read_mask):
        with pytest.raises(ValueError, match=message):
            read(str(path))
    with pytest.raises(ValueError, match=message), ImageRows(path, color=False):
        pass


def test_channels_first_last_and_in_planes_are_the_same_image(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 5), np.uint8)
    first = image.transpose(2, 0, 1)
    for name, pixels, options in (
        ('contig', image, dict(planarconfig='contig', photometric='minisblack')),
        ('planes', first, dict(planarconfig='separate', photometric='minisblack')),
        ('pages', first, dict()),
        ('axes', first, dict(metadata={'axes': 'CYX'})),
    ):
        path = tmp_path / f'{name}.tif'
        tifffile.imwrite(path, pixels, **options)
        assert (read_image(str(path)) == image).all()
