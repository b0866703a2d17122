"""Loaders of images: 8-bit images, and images of any depth and number of channels.

Shape letters: H row, W column, C channel.
"""

from typing import Any, Optional

import mmcv.transforms
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ..core.reading import UnfitImageError, read_color, read_image

_DTYPE_MAX = {'uint8': 255.0, 'uint16': 65535.0}


@TRANSFORMS.register_module()
class LoadImageFromFile(mmcv.transforms.LoadImageFromFile):
    """mmcv's loader of the same name, reading through ``core/reading.py``.

    Differs from mmcv: 8-bit grey and color images give identical pixels. Files that mmcv reads in
    part (the first page, three of four channels, the upper bits of 12) or wrongly (signed integers)
    are refused, see ``reading.py``. So are damaged files; the ``ValueError`` names the file. The
    alpha channel of a TIFF is dropped instead of multiplied in. The arguments are mmcv's; a
    ``color_type`` other than ``'color'`` or a decoder other than OpenCV uses mmcv's own loader.

    Raises:
        ValueError: If the file is not an 8-bit image, or cannot be decoded.
    """

    def transform(self, results: dict[str, Any]) -> Optional[dict]:
        """Add ``img``, ``img_shape`` and ``ori_shape``."""
        plain = self.color_type == 'color' and self.imdecode_backend == 'cv2'
        if not plain or self.file_client_args is not None:
            return super().transform(results)
        try:
            image = read_color(results['img_path'], backend_args=self.backend_args)
        except (OSError, ValueError):
            if self.ignore_empty:
                return None
            raise
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load an image of any depth and number of channels into ``img``.

    8-bit images are not changed. All others become float32 and are scaled to 0..255 by ``value /
    max_value * 255``, so that ``mean`` and ``std`` of the preprocessor have the same unit for every
    depth. The preprocessor needs one mean and one std per channel. mmcv's ``Pad`` takes at most
    four channels; pad in the preprocessor instead.

    Args:
        channels: C that the network expects; a grey image is repeated to 3 channels if this is 3.
            ``None`` takes the channels of the file.
        max_value: The value that becomes 255. ``None`` takes 255 for 8 bits and 65535 for 16 bits;
            floating-point images need a value. Use 4095 for 12 bits stored in 16.
        min_value: The value that becomes 0, of a window such as -160 to 240 in a CT: what lies
            outside is cut off at 0 and 255. ``None`` leaves 0 at 0 and cuts nothing off.
        backend_args: Arguments of mmengine's file backend.

    Shape:
        ``img`` is ``(H, W, C)``, uint8 or float32.

    Raises:
        ValueError: If the image cannot be decoded, the number of channels differs, ``max_value``
            is needed, or not above ``min_value``.
    """

    def __init__(
        self,
        *,
        channels: Optional[int] = None,
        max_value: Optional[float] = None,
        min_value: Optional[float] = None,
        backend_args: Optional[dict] = None,
    ) -> None:
        if max_value is None and min_value is not None:
            raise ValueError(f'min_value {min_value} begins a window: give its max_value, too')
        if max_value is not None and max_value <= (min_value or 0):
            raise ValueError(f'max_value must be above {min_value or 0}, got {max_value}')
        self.channels = channels
        self.max_value = max_value
        self.min_value = min_value
        self.backend_args = backend_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``img``, ``img_shape`` and ``ori_shape``."""
        path = results['img_path']
        image = self.convert(read_image(path, backend_args=self.backend_args), path)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def convert(self, image: np.ndarray, path: str) -> np.ndarray:
        """Convert an image to the expected channels and scale.

        Args:
            image: ``(H, W, C)``.
            path: Its file, for messages.

        Raises:
            UnfitImageError: If the channels differ, or ``max_value`` is needed.
        """
        if self.channels == 3 and image.shape[2] == 1:
            image = np.repeat(image, 3, axis=2)
        if self.channels is not None and image.shape[2] != self.channels:
            raise UnfitImageError(
                f'{path}: the image has {image.shape[2]} channels, LoadImage was told to expect '
                f'{self.channels}: set channels (and in_channels of the backbone) to '
                f'{image.shape[2]}, or convert the file'
            )
        return self._scaled(image, path)

    def _scaled(self, image: np.ndarray, path: str) -> np.ndarray:
        if image.dtype == np.uint8 and self.max_value is None:
            return image
        largest = self.max_value or _DTYPE_MAX.get(image.dtype.name)
        if largest is None:
            raise UnfitImageError(
                f'{path}: values of type {image.dtype} have no largest value of '
                'their own: set max_value of LoadImage to the one that is to become 255'
            )
        if self.min_value is not None:
            scale = np.float32(255.0 / (largest - self.min_value))
            return ((image.astype(np.float32) - np.float32(self.min_value)) * scale).clip(0, 255)
        return image.astype(np.float32) * np.float32(255.0 / largest)
