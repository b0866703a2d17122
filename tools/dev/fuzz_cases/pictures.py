"""Images and masks, whole and broken."""

import io
import random
import struct
import zlib
from typing import Any

import numpy as np
from fuzz_world import SIZE
from PIL import Image

from .case import broken_bytes


def pictures(rng: random.Random) -> dict[str, tuple[bytes, bool]]:
    """Name to content of an image file, and whether it is broken for certain."""
    found: dict[str, tuple[bytes, bool]] = {}
    for end in ('png', 'jpg', 'bmp', 'tif', 'webp', 'gif', 'ppm'):
        content = _encoded(rng, end)
        found[f'whole.{end}'] = content, False
        for place, share in enumerate((0.01, 0.2, 0.5, 0.9)):
            found[f'cut{place}.{end}'] = content[: max(1, int(len(content) * share))], True
        for name, text in broken_bytes(content, rng).items():
            if not name.startswith('cut'):
                found[f'{name.replace(" ", "-")}.{end}'] = text, True
        for number in range(6):
            found[f'flipped{number}.{end}'] = _flipped(content, rng, within=200), False
    for end in ('png', 'bmp', 'gif', 'tif'):
        found[f'bomb.{end}'] = _bomb(end), True
    found.update(_odd_pictures(rng))
    return found


def _encoded(rng: random.Random, end: str, mode: str = 'RGB', size: Any = (SIZE, SIZE)) -> bytes:
    noise = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, (*size[::-1], 4))
    image = Image.fromarray(noise.astype(np.uint8), 'RGBA').convert(mode)
    buffer = io.BytesIO()
    kind = dict(jpg='JPEG', tif='TIFF').get(end, end.upper())
    image.save(buffer, kind)
    return buffer.getvalue()


def _flipped(content: bytes, rng: random.Random, *, within: int) -> bytes:
    changed = bytearray(content)
    for _ in range(3):
        changed[rng.randrange(4, min(within, len(changed)))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _bomb(end: str) -> bytes:
    """A file that claims to be far larger than it is."""
    if end == 'png':
        head = struct.pack('>IIBBBBB', 60000, 60000, 8, 2, 0, 0, 0)
        chunks = [(b'IHDR', head), (b'IDAT', zlib.compress(bytes(5000))), (b'IEND', b'')]
        body = b''.join(
            struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
            for name, data in chunks
        )
        return b'\x89PNG\r\n\x1a\n' + body
    if end == 'bmp':
        return b'BM' + struct.pack(
            '<IHHIIiiHHIIiiII', 999, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0
        )
    if end == 'gif':
        return b'GIF89a' + struct.pack('<HH', 65535, 65535) + b'\x80\0\0' + bytes(6) + b'\x3b'
    tags = [(256, 4, 100000), (257, 4, 100000), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, 100000), (279, 4, 100)]
    body = b''.join(struct.pack('<HHII', tag, kind, 1, value) for tag, kind, value in tags)
    return b'II*\0' + struct.pack('<IH', 8, len(tags)) + body + bytes(4)


def _odd_pictures(rng: random.Random) -> dict[str, tuple[bytes, bool]]:
    """Whole files of rare kinds."""
    found = {
        'cmyk.jpg': _encoded(rng, 'jpg', 'CMYK'),
        'grey.png': _encoded(rng, 'png', 'L'),
        'alpha.png': _encoded(rng, 'png', 'RGBA'),
        'one bit.png': _encoded(rng, 'png', '1'),
        'palette.png': _encoded(rng, 'png', 'P'),
        'one pixel.png': _encoded(rng, 'png', size=(1, 1)),
        'narrow.png': _encoded(rng, 'png', size=(1, 5000)),
        'flat.png': _encoded(rng, 'png', size=(5000, 2)),
        'no_ending_fits.jpg': _encoded(rng, 'png'),
        'deep.png': _of_array(np.full((SIZE, SIZE), 4000, np.uint16), 'PNG'),
        'float.tif': _of_array(np.full((SIZE, SIZE), 0.5, np.float32), 'TIFF'),
        'nan.tif': _of_array(np.full((SIZE, SIZE), np.nan, np.float32), 'TIFF'),
        'long.tif': _of_array(np.full((SIZE, SIZE), 70000, np.int32), 'TIFF'),
        'two_pages.tif': _pages('TIFF'),
        'animated.gif': _pages('GIF'),
        'a' * 251 + '.png': _encoded(rng, 'png'),
        'a' * 251 + '.bmp': _encoded(rng, 'bmp'),
        '<b>bold</b>.png': _encoded(rng, 'png'),
        'a&b "quoted" %s.png': _encoded(rng, 'png'),
        'two\nlines.png': _encoded(rng, 'png'),
        'latin\udcff.png': _encoded(rng, 'png'),
        'x.jpg': _encoded(rng, 'jpg'),
        'x.png': _encoded(rng, 'png'),
        'x.jpg.png': _encoded(rng, 'png'),
    }
    return {name.replace('/', '|'): (content, False) for name, content in found.items()}


def _of_array(values: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def _pages(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new('P', (SIZE, SIZE), value) for value in (10, 200)]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()
