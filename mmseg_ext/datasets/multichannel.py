"""Reading images of any number of channels, 8 or 16 bit or floating point, PNG and TIFF included.

TIFF goes through tifffile: OpenCV 5 refuses more than four channels, and reads some files of two
to four as grey without a word.
Shape letters: H row, W column, C channel.
"""

import io
from typing import Any, Dict, Optional

import cv2
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

_TIFF_STARTS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_DTYPE_MAX = {'uint8': 255.0, 'uint16': 65535.0}


def read_image(path: str, *, backend_args: Optional[dict] = None) -> np.ndarray:
    """Read an image with all its channels and bits.

    Returns:
        ``(H, W, C)`` in the dtype of the file. What the file calls red, green, blue (and alpha)
        comes in OpenCV's order, blue first; channels without a name keep the file's order. The
        grey pages of a TIFF are taken as channels.

    Raises:
        ValueError: If the file cannot be decoded.
    """
    data = fileio.get(path, backend_args=backend_args)
    try:
        image = _read_tiff(data) if data[:4] in _TIFF_STARTS else _read_other(data)
    except Exception as error:  # decoders raise anything at a damaged file
        codec = 'imagecodecs' in str(error)
        remedy = (
            'pip install imagecodecs' if codec else 'replace the file, or take it out of the split'
        )
        raise ValueError(f'{path}: cannot be decoded as an image ({error}); {remedy}') from error
    return image if image.ndim == 3 else image[..., None]


def _read_other(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if image is None:
        raise ValueError('OpenCV finds no complete image in it')
    return image


def _read_tiff(data: bytes) -> np.ndarray:
    import tifffile  # only who has such files waits for it

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        series, page = file.series[0], file.pages.first
        rgb = page.photometric == tifffile.PHOTOMETRIC.RGB
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            raise ValueError('a palette TIFF; save it as RGB')
        try:
            image = series.asarray()
        except ValueError as error:
            # LZW needs a package of its own; OpenCV reads grey pages and 3 colours rightly too.
            known = page.samplesperpixel == 1 or (rgb and page.samplesperpixel == 3)
            if 'imagecodecs' not in str(error) or not known:
                raise
            return _read_tiff_by_opencv(data)
        axes = series.axes
    if image.ndim == 3 and axes[-1] == 'X':  # channels or pages come first
        image = image.transpose(1, 2, 0)
    if image.ndim not in (2, 3):
        raise ValueError(f'its {image.ndim} axes {axes} are not rows, columns and channels')
    if rgb and image.shape[-1] >= 3:
        image = image[..., [2, 1, 0, *range(3, image.shape[-1])]]
    return np.ascontiguousarray(image)


def _read_tiff_by_opencv(data: bytes) -> np.ndarray:
    done, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if not done or not pages:
        raise ValueError('OpenCV finds no complete image in it')
    return np.dstack(pages) if len(pages) > 1 else pages[0]


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load an image of any depth and number of channels into ``img``.

    8-bit images stay as they are. All others become float32 and are scaled to 0..255, as
    ``value / max_value * 255``, so that ``mean`` and ``std`` of the preprocessor mean the same for
    every depth. Give the preprocessor one mean and one std per channel. mmcv's ``Pad`` takes at
    most four channels; pad in the preprocessor instead.

    Args:
        channels: C that the network expects; a grey image is repeated to 3 if 3 are asked for.
            ``None`` takes what the file holds.
        max_value: The value to become 255; ``None`` means 255 for 8 bit and 65535 for 16 bit, and
            must be given for floating point. 4095 for 12 bits stored in 16.
        backend_args: Arguments of mmengine's file backend.

    Shape:
        ``img`` is ``(H, W, C)``, uint8 or float32.

    Raises:
        ValueError: If the image cannot be decoded, the number of channels differs, or ``max_value``
            is needed.
    """

    def __init__(
        self,
        *,
        channels: Optional[int] = None,
        max_value: Optional[float] = None,
        backend_args: Optional[dict] = None,
    ) -> None:
        if max_value is not None and max_value <= 0:
            raise ValueError(f'max_value must be above 0, got {max_value}')
        self.channels = channels
        self.max_value = max_value
        self.backend_args = backend_args

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add ``img``, ``img_shape`` and ``ori_shape``."""
        path = results['img_path']
        image = read_image(path, backend_args=self.backend_args)
        if self.channels == 3 and image.shape[2] == 1:
            image = np.repeat(image, 3, axis=2)
        if self.channels is not None and image.shape[2] != self.channels:
            raise ValueError(
                f'{path}: the image has {image.shape[2]} channels, LoadImage was told to expect '
                f'{self.channels}: set channels (and in_channels of the backbone) to '
                f'{image.shape[2]}, or convert the file'
            )
        results['img'] = self._scaled(image, path)
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _scaled(self, image: np.ndarray, path: str) -> np.ndarray:
        if image.dtype == np.uint8 and self.max_value is None:
            return image
        largest = self.max_value or _DTYPE_MAX.get(image.dtype.name)
        if largest is None:
            raise ValueError(
                f'{path}: values of type {image.dtype} have no largest value of '
                'their own: set max_value of LoadImage to the one that is to become 255'
            )
        return image.astype(np.float32) * np.float32(255.0 / largest)
