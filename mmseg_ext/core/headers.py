"""Read the header of a picture file: size, channels, depth, orientation.

Reading a header takes microseconds for the usual JPEG and PNG files. It is read before the pixels,
so that a file that must be refused is never decoded: a file of a few bytes may claim to have
60000 x 60000 pixels. All rules about headers stand here.
"""

import io
import mmap
import os
import stat
import struct
from typing import Any, BinaryIO, NamedTuple, Optional, Union

import numpy as np
from PIL import Image, UnidentifiedImageError

from .files import PathLike

ORIENTATION = 0x0112  # tag of EXIF and TIFF; 1 is upright
TIFF_STARTS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_JPEG_START = b'\xff\xd8\xff'
_PNG_START = b'\x89PNG\r\n\x1a\n'
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers that give the size
_MOST_CHANNELS = 32  # wide, a page is rather a row of pixels
_PNG_LEAST = 33  # bytes of the start and the first chunk
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_MODE_CHANNELS = {
    '1': 1, 'L': 1, 'P': 1, 'I': 1, 'F': 1, 'I;16': 1, 'I;16B': 1, 'I;16L': 1,
    'LA': 2, 'La': 2, 'PA': 2, 'RGB': 3, 'YCbCr': 3, 'LAB': 3, 'HSV': 3,
    'RGBA': 4, 'RGBa': 4, 'RGBX': 4, 'CMYK': 4,
}  # fmt: skip
# EXIF orientation -> whether rows and columns are swapped first, then the steps (1 or -1) along
# rows and columns.
_TURNS = {
    2: (False, 1, -1), 3: (False, -1, -1), 4: (False, -1, 1), 5: (True, 1, 1), 6: (True, 1, -1),
    7: (True, -1, -1), 8: (True, -1, 1),
}  # fmt: skip

Data = Union[bytes, mmap.mmap]


class UnknownFormatError(ValueError):
    """The bytes are in no format of pictures that is known."""


class Header(NamedTuple):
    """The header of a picture file.

    Args:
        format: Pillow's name of the file format, such as ``'PNG'`` or ``'TIFF'``.
        width: In pixels, before the picture is turned upright.
        height: In pixels, before the picture is turned upright.
        pages: Number of pictures in the file, such as pages or frames of an animation.
        channels: Samples of a pixel, opacity included; 1 for a palette.
        dtype: Numpy's name of a sample's type, such as ``'uint16'``; ``'bool'`` for 1 bit.
        color: ``'grey'``, ``'rgb'``, ``'palette'``, or another name from the file, such as
            ``'CMYK'``.
        alpha: Whether the last channel is opacity.
        inverted: Whether 0 is white; only TIFF files can say so.
        exif: The EXIF block; it holds the orientation, among other things.
        turn: Orientation of a TIFF file, 1 to 8, which is a tag of its own there.
    """

    format: str
    width: int
    height: int
    pages: int = 1
    channels: int = 3
    dtype: str = 'uint8'
    color: str = 'rgb'
    alpha: bool = False
    inverted: bool = False
    exif: bytes = b''
    turn: int = 1

    @property
    def orientation(self) -> int:
        """Orientation as a number of EXIF, 1 to 8; 1 is upright."""
        return _exif_orientation(self.exif) if self.exif else self.turn

    @property
    def depth(self) -> str:
        """Number of channels and type of a sample, such as ``'5 x uint16'``."""
        return f'{self.channels} x {self.dtype}'


def read_bytes(path: str, *, backend_args: Optional[dict] = None) -> bytes:
    """Read the bytes of a file, local or not.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, cannot be read, or is no regular file: a folder, a pipe
            (reading it might never end) or a link that leads nowhere.
    """
    try:
        if backend_args is None and '://' not in path:
            data = _read_local(path)
        else:
            from mmengine import fileio

            data = fileio.get(path, backend_args=backend_args)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not os.path.islink(path):
            raise
        reason = error.strerror or error
        raise ValueError(
            f'{path}: cannot be read ({reason}); replace the file, or take it out of the split'
        ) from error
    if not data:
        raise ValueError(
            f'{path}: cannot be decoded, the file is empty: replace the file, or take it out of '
            'the split'
        )
    return data


def _read_local(path: str) -> bytes:
    flags = os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)
    handle = os.open(path, flags)  # O_NONBLOCK: do not wait for the other end of a pipe
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError(f'{path}: a folder, a pipe or a device, not a file; take it away')
        with open(handle, 'rb', closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def read_header(data: Data, *, any_size: bool = False, file: Optional[BinaryIO] = None) -> Header:
    """Read the header from the bytes of a picture file.

    Args:
        data: The bytes, or the file mapped into memory, which is not copied.
        any_size: Whether the picture may have any size; the caller sees to the memory.
        file: The file that is mapped, at its start.

    Raises:
        UnknownFormatError: If it is no picture.
        ValueError: If the size is zero, or so large that the file is taken for an attack.
        Exception: Whatever a decoder raises for a damaged header; the caller names the file.
    """
    if data[:4] in TIFF_STARTS:
        header = _tiff_header(file or io.BytesIO(data))
    elif data[:8] == _PNG_START:
        header = _png_header(data)
    elif data[:3] == _JPEG_START:
        header = _jpeg_header(data)
    else:
        header = _other_header(file or io.BytesIO(data))
    if header.width < 1 or header.height < 1:
        raise ValueError(f'{header.width} x {header.height} pixels are none')
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 2**30)  # the limit of DecompressionBombError
    if header.width * header.height > limit and not any_size:
        raise ValueError(
            f'it claims {header.width} x {header.height} pixels, and more than {limit} are taken '
            'for an attack on the memory'
        )
    return header


def peek_header(path: PathLike) -> Header:
    """Read the header of a local file of any size, and of the file no more than that.

    Raises:
        Exception: As :func:`read_header`; the caller names the file.
    """
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return read_header(data, any_size=True, file=file)


def shown_size(path: PathLike) -> tuple[int, int]:
    """H and W of a local image as it is shown, which its orientation may exchange.

    Raises:
        ValueError: If it cannot be read as an image.
    """
    data = read_bytes(str(path))
    try:
        header = read_header(data)
    except Exception as error:  # decoders raise many types for a damaged file
        raise ValueError(f'{path}: cannot be read as an image ({error})') from error
    size = (header.height, header.width)
    return (size[1], size[0]) if header.orientation >= 5 else size


def _png_header(data: Data) -> Header:
    if len(data) < _PNG_LEAST:
        raise ValueError('the file is cut short')
    width, height, bits, kind = struct.unpack_from('>IIBB', data, 16)
    if data[12:16] != b'IHDR' or kind not in _PNG_CHANNELS:
        raise ValueError('no valid PNG header')
    pages, exif, name, place = 1, b'', b'', 8
    # chunk by chunk: length, name, content, checksum
    while name != b'IEND' and place + 8 <= len(data):
        length, name = struct.unpack_from('>I4s', data, place)
        if name == b'acTL':
            pages = struct.unpack_from('>I', data, place + 8)[0]
        elif name == b'eXIf':
            exif = data[place + 8 : place + 8 + length]
        place += 12 + length
    if name != b'IEND' or place > len(data):
        raise ValueError('the file is cut short')
    return Header(
        'PNG', width, height,
        pages=max(pages, 1),
        channels=_PNG_CHANNELS[kind],
        dtype='bool' if bits == 1 and kind == 0 else 'uint16' if bits == 16 else 'uint8',
        color={0: 'grey', 3: 'palette', 4: 'grey'}.get(kind, 'rgb'),
        alpha=kind in (4, 6),
        exif=exif,
    )  # fmt: skip


def _jpeg_header(data: Data) -> Header:
    """Walk from marker to marker up to the first picture; ignore later ones, such as previews."""
    exif, place = b'', 2
    while place + 10 <= len(data):
        start, marker, length = struct.unpack_from('>BBH', data, place)
        if start != 0xFF:
            break
        if marker in _JPEG_FRAMES:
            bits, height, width, channels = struct.unpack_from('>BHHB', data, place + 4)
            color = {1: 'grey', 3: 'rgb'}.get(channels, 'CMYK')
            dtype = 'uint8' if bits == 8 else 'uint16'
            return Header('JPEG', width, height, 1, channels, dtype, color, exif=exif)
        if marker == 0xE1 and data[place + 4 : place + 10] == b'Exif\0\0':
            exif = data[place + 4 : place + 2 + length]
        place += 1 if marker == 0xFF else 2 + length  # fill bytes may stand before a marker
    raise ValueError('no size before the end of the file')


def _exif_orientation(block: bytes) -> int:
    exif = Image.Exif()
    try:
        exif.load(block)
        return _valid(exif.get(ORIENTATION, 1))
    except Exception:  # like OpenCV, do not turn the picture if the block is damaged
        return 1


def _valid(orientation: Any) -> int:
    return orientation if orientation in range(1, 9) else 1


def _tiff_header(source: Any) -> Header:
    import tifffile  # a slow import, needed for TIFF files only

    with tifffile.TiffFile(source) as file:
        page: Any = file.pages.first
        # Smaller copies of the picture do not count as pages.
        others: Any = file.pages[1:]
        pages = 1 + sum(not other.is_reduced for other in others)
        if pages > 1:
            _refuse_rows_as_pages(file, page, pages)
        color = _tiff_color(page, tifffile.PHOTOMETRIC)
        extra = page.samplesperpixel - (3 if color in ('rgb', 'YCBCR', 'CIELAB') else 1)
        alphas = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
        return Header(
            'TIFF', page.imagewidth, page.imagelength,
            pages=pages,
            channels=page.samplesperpixel,
            dtype='bool' if page.bitspersample == 1 else str(page.dtype),
            color=color,
            alpha=extra == 1 and bool(page.extrasamples) and page.extrasamples[0] in alphas,
            inverted=page.photometric == tifffile.PHOTOMETRIC.MINISWHITE,
            turn=_valid(page.tags.valueof(ORIENTATION, 1)),
        )  # fmt: skip


def _refuse_rows_as_pages(file: Any, page: Any, pages: int) -> None:
    """Refuse an array ``(H, W, C)`` that was saved row by row, each of H pages being W x C.

    Tifffile does that if it is not told otherwise. Axes in the file's metadata say so, or a page
    that is no wider than images have channels.

    Raises:
        ValueError: If it is one.
    """
    wide, high = page.imagewidth, page.imagelength
    said = file.series[0].axes[-1:] in ('C', 'S') and page.samplesperpixel == 1
    if said or (wide <= _MOST_CHANNELS and wide < min(pages, high)):
        raise ValueError(
            f'each of its {pages} pages is {wide} wide and {high} high, as if an image of '
            f'{pages} x {high} with {wide} channels last was saved row by row: save it with '
            "tifffile.imwrite(path, image, planarconfig='contig', photometric='minisblack')"
        )


def _tiff_color(page: Any, kinds: Any) -> str:
    if page.photometric in (kinds.MINISBLACK, kinds.MINISWHITE):
        return 'grey'
    known = {kinds.RGB: 'rgb', kinds.PALETTE: 'palette'}
    name = getattr(page.photometric, 'name', 'unknown colors')
    return str(known.get(page.photometric, name))


def _other_header(file: Any) -> Header:
    try:
        opened = Image.open(file)
    except UnidentifiedImageError as error:  # its message holds only a memory address
        raise UnknownFormatError('no known format') from error
    with opened as image:
        mode = image.mode
        return Header(
            str(image.format), *image.size,
            pages=getattr(image, 'n_frames', 1),
            channels=_MODE_CHANNELS.get(mode, len(image.getbands())),
            dtype=_dtype_of(mode),
            color=_color_of(mode),
            alpha=mode in ('LA', 'La', 'PA', 'RGBA', 'RGBa'),
            exif=image.info.get('exif', b''),
        )  # fmt: skip


def _dtype_of(mode: str) -> str:
    if mode.startswith('I;16'):
        return 'uint16'
    return {'1': 'bool', 'I': 'int32', 'F': 'float32'}.get(mode, 'uint8')


def _color_of(mode: str) -> str:
    if mode in ('1', 'L', 'LA', 'La', 'I', 'F') or mode.startswith('I;16'):
        return 'grey'
    if mode in ('P', 'PA'):
        return 'palette'
    return 'rgb' if mode in ('RGB', 'RGBA', 'RGBa', 'RGBX') else mode


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image upright, given its EXIF orientation."""
    swapped, down, right = _TURNS.get(orientation, (False, 1, 1))
    image = image.swapaxes(0, 1) if swapped else image
    return image[::down, ::right]
