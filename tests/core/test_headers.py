"""What a picture says of itself before its pixels are read."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from mmseg_ext.core.headers import read_bytes, read_header, shown_size, turned


def _file(mode, kind='PNG', **settings):
    stream = io.BytesIO()
    Image.new(mode, (7, 5)).save(stream, kind, **settings)
    return stream.getvalue()


@pytest.mark.parametrize(
    'mode, kind, channels, dtype, color',
    [
        ('L', 'PNG', 1, 'uint8', 'grey'),
        ('1', 'PNG', 1, 'bool', 'grey'),
        ('P', 'PNG', 1, 'uint8', 'palette'),
        ('RGBA', 'PNG', 4, 'uint8', 'rgb'),
        ('I;16', 'PNG', 1, 'uint16', 'grey'),
        ('I;16', 'TIFF', 1, 'uint16', 'grey'),
        ('RGB', 'JPEG', 3, 'uint8', 'rgb'),
        ('RGB', 'BMP', 3, 'uint8', 'rgb'),
    ],
)
def test_size_channels_and_depth(mode, kind, channels, dtype, color):
    header = read_header(_file(mode, kind))
    assert (header.format, header.width, header.height) == (kind, 7, 5)
    assert (header.channels, header.dtype, header.color) == (channels, dtype, color)
    assert header.alpha == (mode == 'RGBA') and header.orientation == 1
    assert header.depth == f'{channels} x {dtype}'


@pytest.mark.parametrize('length', [8, 10, 32, 40])
def test_a_png_of_few_bytes_is_cut_short(length):
    with pytest.raises(ValueError, match='the file is cut short'):
        read_header(_file('RGB')[:length])


@pytest.mark.parametrize('orientation', range(1, 9))
def test_pictures_are_turned_as_pillow_turns_them(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG', exif=exif)
    assert read_header(stream.getvalue()).orientation == orientation
    expected = ImageOps.exif_transpose(Image.open(stream))
    np.testing.assert_array_equal(turned(pixels, orientation), np.asarray(expected))


@pytest.mark.parametrize('orientation, size', [(1, (5, 7)), (4, (5, 7)), (5, (7, 5)), (8, (7, 5))])
def test_a_size_is_that_of_the_picture_as_shown(tmp_path, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / 'a.jpg').write_bytes(_file('RGB', 'JPEG', exif=exif))
    assert shown_size(tmp_path / 'a.jpg') == size  # H and W


def test_a_damaged_file_has_no_size_and_is_named(tmp_path):
    (tmp_path / 'a.png').write_bytes(_file('L')[:20])
    with pytest.raises(ValueError, match='a.png: cannot be read as an image'):
        shown_size(tmp_path / 'a.png')


def test_what_is_no_image_is_said_without_an_address_in_memory(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'ftypisom' * 10)
    with pytest.raises(ValueError, match=r'a.png: cannot be read as an image \(no known format\)'):
        shown_size(tmp_path / 'a.png')


def test_a_claim_of_too_many_pixels_is_refused(monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 17)
    with pytest.raises(ValueError, match='7 x 5 pixels, and more than 34 are taken for an attack'):
        read_header(_file('L'))


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'link.png').symlink_to(tmp_path / 'gone.png')
    for name, message in (
        ('empty.png', 'empty.png: cannot be decoded, the file is empty'),
        ('link.png', 'link.png: cannot be read'),
        ('.', 'a folder, a pipe or a device, not a file'),
    ):
        with pytest.raises(ValueError, match=message):
            read_bytes(str(tmp_path / name))
    with pytest.raises(FileNotFoundError):
        read_bytes(str(tmp_path / 'gone.png'))
