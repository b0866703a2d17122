"""What is refused before it is decoded."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from mmseg_ext.apis.serve.limits import Limits
from mmseg_ext.apis.serve.problems import RequestError


def _png(width: int, height: int) -> bytes:
    """A valid file of few bytes that claims a size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
        )

    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b'IHDR', head), chunk(b'IDAT', zlib.compress(b'')), chunk(b'IEND', b''))
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts)


def _saved(save) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


PAGES = [Image.new('L', (500, 500), value) for value in (10, 200, 90)]
BANDS, GREY = np.zeros((500, 500, 9), np.uint8), dict(photometric='minisblack')
CASES = {
    'text': (b'no picture', 415, 'is no image'),
    'cut short': (_png(4, 4)[:-5], 422, 'cut short'),
    'no pixels': (_png(0, 7), 422, '0 x 7 pixels'),
    'bomb': (_png(60000, 60000), 413, '60000x60000 pixels, at most 500000'),
    'a row too many': (_png(1000, 501), 413, '1000x501'),
    'bmp bomb': (
        b'BM' + struct.pack('<IIIIiiHH24x', 54, 0, 54, 40, 60000, 60000, 1, 24),
        413,
        'pixels',
    ),
    'pages': (
        _saved(lambda f: PAGES[0].save(f, 'GIF', save_all=True, append_images=PAGES[1:])),
        413,
        '500x500 pixels, 3 times',
    ),
    'channels': (
        _saved(lambda f: tifffile.imwrite(f, BANDS, planarconfig='contig', **GREY)),
        413,
        '250000 pixels of 9 channels',
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', CASES)
def test_a_header_tells_enough_to_refuse(name):
    data, status, text = CASES[name]
    with pytest.raises(RequestError, match=text) as told:
        Limits(megapixels=0.5).check_image(data)
    assert told.value.status == status and '\n' not in told.value.message


def test_the_largest_image_is_taken():
    header = Limits(megapixels=0.5).check_image(_png(1000, 500))
    assert (header.format, header.width, header.height) == ('PNG', 1000, 500)


@pytest.mark.parametrize('length, status', [(0, 400), (1000, None), (1001, 413)])
def test_a_length_is_checked(length, status):
    limits = Limits(megabytes=0.001)
    if status is None:
        assert limits.check_length(length) is None
        return
    with pytest.raises(RequestError) as told:
        limits.check_length(length)
    assert told.value.status == status


@pytest.mark.parametrize('name', ['megabytes', 'megapixels', 'queue', 'seconds'])
def test_limits_are_above_0(name):
    with pytest.raises(ValueError, match=f'{name} must be above 0, got 0'):
        Limits(**{name: 0})
