"""Makes some hundreds of small image and mask files: every format, depth, turn and damage.

Each is a pair, of which one file is the odd one and the other plain. What is expected of the odd
one is said beside it: its pixels, or that it is refused.
"""

import io
import os
import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
import tifffile
from PIL import Image

SIZE = (12, 20)  # rows, columns
FORMATS = {'JPEG': '.jpg', 'PNG': '.png', 'WEBP': '.webp', 'BMP': '.bmp', 'GIF': '.gif',
           'TIFF': '.tif'}  # fmt: skip
LOSSLESS = {'WEBP': {'lossless': True}}


@dataclass
class Odd:
    """A file to be made.

    Args:
        kind: Format, mode and so on, for a count of the kinds.
        suffix: Of its name.
        data: Its content.
        fate: ``'read'``, ``'refused'``, or ``'any'``, where the decoders decide.
        size: Rows and columns when upright.
    """

    kind: str
    suffix: str
    data: bytes
    fate: str = 'any'
    size: tuple = SIZE


def save(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **{**LOSSLESS.get(file_format, {}), **options})
    return buffer.getvalue()


def tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def with_thumbnail(first, second):
    """Two pages, the smaller of which is said to be a copy of the other."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for page in (first, second):
            file.write(page, photometric='rgb', subfiletype=int(page.size < 600), metadata=None)
    return buffer.getvalue()


def png_by_opencv(array):
    return cv2.imencode('.png', array)[1].tobytes()


def with_turn(image, file_format, turn, **options):
    exif = image.getexif()
    exif[0x0112] = turn
    return save(image, file_format, exif=exif, **options)


def upright(turn):
    return SIZE[::-1] if turn > 4 else SIZE


def _chunk(name, content):
    checked = name + content
    return struct.pack('>I', len(content)) + checked + struct.pack('>I', zlib.crc32(checked))


def png_claiming(width, height):
    """A PNG of a few bytes that says it is that large."""
    head = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
    body = _chunk(b'IDAT', zlib.compress(bytes(100)))
    return b'\x89PNG\r\n\x1a\n' + _chunk(b'IHDR', head) + body + _chunk(b'IEND', b'')


def tiff_claiming(width, height):
    data = bytearray(tiff(np.zeros((8, 8), np.uint8)))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        tags = file.pages.first.tags
        for name, value in (('ImageWidth', width), ('ImageLength', height)):
            offset = tags[name].valueoffset
            kind = '<I' if tags[name].dtype == 4 else '<H'
            struct.pack_into(kind, data, offset, value if kind == '<I' else min(value, 65535))
    return bytes(data)


# ------------------------------------------------------------------------------- images


def images(seed=0):
    """Yield the odd images."""
    rng = np.random.default_rng(seed)
    yield from _usual_images(rng)
    yield from _turned_images(rng)
    yield from _tiff_images(rng)
    yield from _odd_images(rng)
    yield from damaged(lambda: _photo(rng), 'image')


def _photo(rng, channels=3, dtype=np.uint8, high=256):
    shape = SIZE if channels == 1 else (*SIZE, channels)
    return rng.integers(0, high, shape).astype(dtype)


def _usual_images(rng):
    modes = {
        'JPEG': ('L', 'RGB', 'CMYK'), 'PNG': ('1', 'L', 'LA', 'P', 'RGB', 'RGBA'),
        'WEBP': ('RGB', 'RGBA'), 'BMP': ('1', 'L', 'P', 'RGB'), 'GIF': ('L', 'P'),
        'TIFF': ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK', 'YCbCr'),
    }  # fmt: skip
    for file_format, suffix in FORMATS.items():
        for mode in modes[file_format]:
            image = Image.fromarray(_photo(rng, 4), 'RGBA').convert(mode)
            yield Odd(f'{file_format} {mode}', suffix, save(image, file_format), 'read')
    picture = Image.fromarray(_photo(rng))
    yield Odd('JPEG progressive', '.JPG', save(picture, 'JPEG', progressive=True), 'read')
    yield Odd('PNG 4 bits', '.png', save(picture.quantize(9), 'PNG', bits=4), 'read')
    clear = save(picture.quantize(9), 'PNG', transparency=2)
    yield Odd('PNG P transparent', '.png', clear, 'read')
    yield Odd('PNG named jpg', '.jpg', save(picture, 'PNG'), 'read')
    yield Odd('JPEG named png', '.png', save(picture, 'JPEG'), 'read')
    yield Odd('TIFF named png', '.png', save(picture, 'TIFF'), 'read')


def _turned_images(rng):
    for turn in range(1, 9):
        for file_format in ('JPEG', 'PNG', 'WEBP', 'TIFF'):
            for mode in ('RGB', 'L'):
                image = Image.fromarray(_photo(rng)).convert(mode)
                data = with_turn(image, file_format, turn)
                kind = f'{file_format} turn {turn}'
                yield Odd(kind, FORMATS[file_format], data, 'read', upright(turn))
        deep = _photo(rng, dtype=np.uint16, high=65536)
        data = tiff(deep, photometric='rgb', extratags=[(274, 'H', 1, turn, True)])
        yield Odd(f'TIFF 16 bit turn {turn}', '.tif', data, 'read', upright(turn))


def _tiff_images(rng):
    picture = Image.fromarray(_photo(rng))
    for codec in ('tiff_lzw', 'tiff_adobe_deflate', 'packbits', 'jpeg', 'tiff_deflate'):
        for mode in ('L', 'RGB') + (() if codec == 'jpeg' else ('RGBA', 'P')):
            data = save(picture.convert(mode), 'TIFF', compression=codec)
            yield Odd(f'TIFF {codec} {mode}', '.tiff', data, 'read')
    yield Odd('TIFF fax', '.tif', save(picture.convert('1'), 'TIFF', compression='group4'), 'read')
    for order in '<>':
        for big in (False, True):
            options = dict(byteorder=order, bigtiff=big)
            yield Odd('TIFF order', '.tif', tiff(_photo(rng), photometric='rgb', **options), 'read')
            deep = _photo(rng, 1, np.uint16, 65536)
            yield Odd('TIFF order', '.tif', tiff(deep, **options), 'read')
    planes = _photo(rng).transpose(2, 0, 1)
    separate = tiff(planes, photometric='rgb', planarconfig='separate')
    yield Odd('TIFF planes', '.tif', separate, 'read')
    yield Odd('TIFF white is 0', '.tif', tiff(_photo(rng, 1), photometric='miniswhite'), 'read')
    yield Odd('TIFF 1 bit', '.tif', tiff(_photo(rng, 1) > 99), 'read')
    for dtype in ('i1', 'i2', 'i4', 'u4', 'f2', 'f4', 'f8'):
        for channels in (1, 3):
            kind = 'rgb' if channels == 3 else 'minisblack'
            array = _photo(rng, channels, high=100).astype(dtype)
            yield Odd(f'TIFF {dtype}', '.tif', tiff(array, photometric=kind), 'refused')
    for channels in (2, 3, 4, 5, 8):
        for dtype in ('u1', 'u2'):
            array = _photo(rng, channels, dtype)
            data = tiff(array, photometric='minisblack', planarconfig='contig')
            yield Odd(f'TIFF {channels} bands', '.tif', data, 'refused')
    spare = tiff(_photo(rng, 4), photometric='rgb', extrasamples=['unspecified'])
    yield Odd('TIFF further band', '.tif', spare, 'refused')
    for pages in (2, 5):
        stack = np.stack([_photo(rng, 1) for _ in range(pages)])
        yield Odd('TIFF pages', '.tif', tiff(stack, photometric='minisblack'), 'refused')
    yield Odd('TIFF complex', '.tif', tiff(_photo(rng, 1).astype('c8')), 'refused')
    nan = _photo(rng, 1).astype('f4')
    nan[3, 4] = np.nan
    yield Odd('TIFF NaN', '.tif', tiff(nan), 'refused')


def _odd_images(rng):
    for channels in (1, 3, 4):
        full = png_by_opencv(_photo(rng, channels, np.uint16, 65536))
        yield Odd('PNG 16 bits', '.png', full, 'read')
        for bits in (8, 10, 12, 14):
            dark = _photo(rng, channels, np.uint16, 2**bits)
            if channels == 4:
                dark[..., 3] = 65535
            yield Odd(f'PNG {bits} bits in 16', '.png', png_by_opencv(dark), 'refused')
            if channels < 4:
                kind = 'rgb' if channels == 3 else 'minisblack'
                data = tiff(dark, photometric=kind)
                yield Odd(f'TIFF {bits} bits in 16', '.tif', data, 'refused')
    frames = [Image.fromarray(_photo(rng)) for _ in range(3)]
    for file_format in ('GIF', 'WEBP', 'PNG', 'TIFF'):
        data = save(frames[0], file_format, save_all=True, append_images=frames[1:])
        yield Odd(f'{file_format} frames', FORMATS[file_format], data, 'refused')
    whole, small = _photo(rng), _photo(rng)[::4, ::4]
    for first, second, fate in ((whole, small, 'read'), (small, whole, 'refused')):
        yield Odd('TIFF thumbnail', '.tif', with_thumbnail(first, second), fate)
    for size in ((1, 5000), (5000, 1), (1, 1), (2, 3)):
        data = save(Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)), 'PNG')
        yield Odd('small or thin', '.png', data, 'read', size)


def damaged(make, what):
    """Yield broken files of every format."""
    for file_format, suffix in FORMATS.items():
        whole = save(Image.fromarray(make()), file_format)
        for share in (0, 0.05, 0.3, 0.6, 0.9, 0.97):
            cut = whole[: int(share * len(whole))]
            yield Odd(f'{what} cut {file_format}', suffix, cut, 'refused')
        yield Odd(f'{what} short {file_format}', suffix, whole[:-1])
        wrong = bytearray(whole)
        wrong[len(wrong) // 2] ^= 0xFF
        yield Odd(f'{what} flipped {file_format}', suffix, bytes(wrong))
        wrong = bytearray(whole)
        wrong[4:12] = b'\xff' * 8
        yield Odd(f'{what} head {file_format}', suffix, bytes(wrong))
    for name, data in (
        ('text', b'no picture'), ('zeros', bytes(500)), ('html', b'<html>404</html>' * 30),
        ('svg', b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'),
        ('pointer', b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n'),
        ('bomb', png_claiming(60000, 60000)), ('no pixels', png_claiming(0, 5)),
    ):  # fmt: skip
        yield Odd(f'{what} {name}', '.png', data, 'refused')
    yield Odd(f'{what} bomb', '.tif', tiff_claiming(100000, 100000), 'refused')


# -------------------------------------------------------------------------------- masks


def masks(seed=1):
    """Yield the odd masks of class ids 0 to 2."""
    rng = np.random.default_rng(seed)
    yield from _index_masks(rng)
    yield from _wrong_masks(rng)
    yield from damaged(lambda: _ids(rng), 'mask')


def _ids(rng, high=3):
    return rng.integers(0, high, SIZE).astype(np.uint8)


def _palette_mask(rng):
    image = Image.fromarray(_ids(rng), 'P')
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    return image


def _index_masks(rng):
    for file_format in ('PNG', 'BMP', 'TIFF'):
        suffix = FORMATS[file_format]
        yield Odd(f'mask {file_format} L', suffix, save(Image.fromarray(_ids(rng)), file_format),
                  'read')  # fmt: skip
        yield Odd(f'mask {file_format} P', suffix, save(_palette_mask(rng), file_format), 'read')
        one = Image.fromarray(_ids(rng, 2) > 0)
        yield Odd(f'mask {file_format} 1', suffix, save(one, file_format), 'read')
        grey = Image.fromarray(np.repeat(_ids(rng)[..., None], 3, 2))
        yield Odd(f'mask {file_format} grey RGB', suffix, save(grey, file_format), 'read')
    yield Odd('mask GIF', '.gif', save(_palette_mask(rng), 'GIF', optimize=False), 'any')
    for turn in range(1, 9):
        for file_format in ('PNG', 'TIFF'):
            data = with_turn(Image.fromarray(_ids(rng)), file_format, turn)
            yield Odd(f'mask turn {turn}', FORMATS[file_format], data, 'read', upright(turn))
    for dtype in ('u1', 'u2', 'u4', 'u8', 'i1', 'i2', 'i4', 'i8', 'f2', 'f4', 'f8'):
        for order in '<>':
            data = tiff(_ids(rng).astype(dtype), byteorder=order)
            yield Odd(f'mask TIFF {dtype}', '.tif', data, 'read')
    for codec in ('tiff_lzw', 'tiff_adobe_deflate', 'packbits'):
        data = save(_palette_mask(rng), 'TIFF', compression=codec)
        yield Odd(f'mask {codec}', '.tif', data, 'read')
    yield Odd('mask PNG 16', '.png', png_by_opencv(_ids(rng).astype(np.uint16)), 'read')
    deep = np.repeat(_ids(rng).astype(np.uint16)[..., None], 3, 2)
    yield Odd('mask PNG 16 RGB', '.png', png_by_opencv(deep), 'read')
    for mode in ('LA', 'RGBA'):
        full = Image.fromarray(_ids(rng)).convert(mode)
        yield Odd(f'mask {mode}', '.png', save(full, 'PNG'), 'read')


def _wrong_masks(rng):
    for channels in (2, 4, 5):
        hot = (_photo(rng, channels) > 99).astype(np.uint8)
        contig = tiff(hot, photometric='minisblack', planarconfig='contig')
        yield Odd('mask channels', '.tif', contig, 'refused')
        pages = tiff(hot.transpose(2, 0, 1).copy(), photometric='minisblack')
        yield Odd('mask pages', '.tif', pages, 'refused')
    frames = [Image.fromarray(_ids(rng)) for _ in range(3)]
    for file_format in ('PNG', 'TIFF', 'GIF'):
        data = save(frames[0], file_format, save_all=True, append_images=frames[1:])
        yield Odd('mask frames', FORMATS[file_format], data, 'refused')
    for mode in ('LA', 'RGBA'):
        alpha = Image.new(mode, SIZE[::-1])
        alpha.putalpha(Image.fromarray(_ids(rng) * 100))
        yield Odd('mask in alpha', '.png', save(alpha, 'PNG'), 'refused')
    for mode in ('CMYK', 'YCbCr', 'LAB'):
        data = save(Image.fromarray(_photo(rng)).convert(mode), 'TIFF')
        yield Odd(f'mask {mode}', '.tif', data, 'refused')
    yield Odd('mask fractions', '.tif', tiff(rng.random(SIZE).astype('f4')), 'refused')
    broken = _ids(rng).astype('f4')
    broken[2, 2] = np.inf
    yield Odd('mask infinite', '.tif', tiff(broken), 'refused')
    yield Odd('mask complex', '.tif', tiff(_ids(rng).astype('c8')), 'refused')
    yield Odd('mask colors', '.png', save(Image.fromarray(_photo(rng)), 'PNG'), 'refused')
    yield Odd('mask value', '.png', save(Image.fromarray(_ids(rng) * 77), 'PNG'), 'refused')
    other = save(Image.fromarray(_ids(rng)[:-1]), 'PNG')
    yield Odd('mask size', '.png', other, 'refused')


# ----------------------------------------------------------------------------- a folder


def write(folder, *, seed=0):
    """Write all pairs into ``images`` and ``masks`` of a folder, and a data set file.

    Returns:
        Stem -> ``('image' or 'mask', what is odd)``, in bytes of the file system's names.
    """
    rng = np.random.default_rng(seed + 2)
    odd = [('image', item) for item in images(seed)] + [('mask', item) for item in masks(seed + 1)]
    found = {}
    for name in ('images', 'masks', 'val/images', 'val/masks'):
        (folder / name).mkdir(parents=True)
    for index, (side, item) in enumerate(odd):
        stem = f'{index:03d}'
        photo = rng.integers(0, 256, (*item.size, 3), np.uint8)
        plain = save(Image.fromarray(photo if side == 'mask' else photo[..., 0] % 3), 'PNG')
        own, other = ('images', 'masks') if side == 'image' else ('masks', 'images')
        (folder / own / f'{stem}{item.suffix}').write_bytes(item.data)
        (folder / other / f'{stem}.png').write_bytes(plain)
        found[stem] = (side, item)
    found.update(_special_files(folder, rng))
    for name, array in (
        ('images', rng.integers(0, 256, (*SIZE, 3), np.uint8)),
        ('masks', _ids(rng)),
    ):
        Image.fromarray(array).save(folder / 'val' / name / 'v.png')
    (folder / 'zoo.yml').write_text(
        'classes: [a, b, c]\nmask_suffix: [.png, .jpg, .webp, .bmp, .gif, .tif]\n'
        'train: {images: images, masks: masks}\n'
        'val: {images: val/images, masks: val/masks}\n'
    )
    return found


def _special_files(folder, rng):
    """Links that lead nowhere or in circles, a pipe, names that are no text."""
    found = {}
    mask = save(Image.fromarray(_ids(rng)), 'PNG')

    def add(stem, kind, fate):
        (folder / 'masks' / f'{stem}.png').write_bytes(mask)
        found[stem] = ('image', Odd(kind, '.png', b'', fate))
        return folder / 'images' / f'{stem}.png'

    os.symlink(folder / 'nowhere.png', add('link', 'dangling link', 'refused'))
    loop = add('loop', 'circular link', 'refused')
    os.symlink(loop, loop)
    os.mkfifo(add('pipe', 'pipe', 'refused'))
    for stem, kind in (
        ('two\nlines', 'newline'), (os.fsdecode(b'caf\xe9'), 'bytes that are no text'),
        ('sp ace [1] é', 'spaces'),
    ):  # fmt: skip
        photo = rng.integers(0, 256, (*SIZE, 3), np.uint8)
        add(stem, f'name with {kind}', 'read').write_bytes(save(Image.fromarray(photo), 'PNG'))
    return found
