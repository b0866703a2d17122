"""What the server takes at most: bytes, pixels, waiting requests, time. Checked before decoding."""

import warnings
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ...core.words import message_of
from .problems import RequestError

if TYPE_CHECKING:
    from ...core.headers import Header

_SAMPLES = 4  # values per pixel in an image of the largest size; smaller ones may have more


@dataclass(frozen=True)
class Limits:
    """What the server takes at most.

    Args:
        megabytes: Size of an image file, in units of a million bytes.
        megapixels: Pixels of an image, in millions, all its pages together.
        queue: Images that are read, wait or are predicted at the same time.
        seconds: Time for a request to arrive, and again for its image to be predicted.

    Raises:
        ValueError: If one is not above 0.
    """

    megabytes: float = 20
    megapixels: float = 16
    queue: int = 32
    seconds: float = 60

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f'the limit {field.name} must be above 0, got {value}')

    @property
    def max_bytes(self) -> int:
        """Largest size of a file in bytes."""
        return int(self.megabytes * 1e6)

    def check_length(self, length: int) -> None:
        """Refuse a file by its length.

        Raises:
            RequestError: If it is empty or too large.
        """
        if length == 0:
            raise RequestError(400, 'the body is empty: send the bytes of an image file')
        if length > self.max_bytes:
            raise RequestError(
                413,
                f'the file has {length} bytes, at most {self.max_bytes} are taken: send a smaller '
                'image, or start the server with a larger --max-megabytes',
            )

    def check_image(self, data: bytes) -> 'Header':
        """Read the header of an image file and refuse what must not be decoded.

        Raises:
            RequestError: If it is no image, its header is damaged, or it has too many pixels.
        """
        from PIL import Image  # the limits are arguments, too, which are parsed before

        from ...core.headers import UnknownFormatError, read_header

        try:
            with warnings.catch_warnings():  # Pillow warns of sizes that are checked below
                warnings.simplefilter('ignore', Image.DecompressionBombWarning)
                header = read_header(data, any_size=True)
        except UnknownFormatError as error:
            raise RequestError(
                415,
                f'the body is no image ({error}): send JPEG, PNG, TIFF, WebP or '
                'another usual format',
            ) from error
        except Image.DecompressionBombError as error:
            raise RequestError(
                413, f'the image has too many pixels ({message_of(error)})'
            ) from error
        except Exception as error:  # a damaged header raises many types
            raise RequestError(
                422, f'the image cannot be read ({message_of(error)}): it is damaged or cut short'
            ) from error
        self._check_size(header)
        return header

    def _check_size(self, header: 'Header') -> None:
        most = int(self.megapixels * 1e6)
        pixels = header.width * header.height * header.pages
        pages = f', {header.pages} times' if header.pages > 1 else ''
        if pixels > most:
            raise RequestError(
                413,
                f'the image has {header.width}x{header.height} pixels{pages}, at most {most} '
                'are taken: send a smaller one, or start the server with a larger --max-megapixels',
            )
        if pixels * header.channels > _SAMPLES * most:
            raise RequestError(
                413,
                f'the image has {pixels} pixels of {header.channels} channels, at most '
                f'{_SAMPLES * most} values are taken: send fewer',
            )
