"""Masks as the content of a file: PNG or, where they lie on earth, GeoTIFF.

Shape letters: H row, W column.
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from .geotiff import Tag, write_tiff


def encode_mask(
    label: np.ndarray, palette: Sequence[Sequence[int]], tags: Sequence[Tag] = ()
) -> tuple[str, bytes]:
    """Encode class indices as PNG or, where they lie on earth, as GeoTIFF.

    Args:
        label: ``(H, W)``, uint8 or uint16.
        palette: RGB color of each class; it is stored for display, up to 256 classes.
        tags: From :func:`.geotiff.tags_of`.

    Returns:
        The suffix of the file, and its content.
    """
    buffer = io.BytesIO()
    if tags:
        write_tiff(buffer, [label], label.shape, label.dtype, palette=palette, tags=tags)
        return '.tif', buffer.getvalue()
    image = Image.fromarray(label)
    if label.dtype == np.uint8:
        image.putpalette(bytes(np.asarray(palette, np.uint8).ravel()))
    image.save(buffer, format='PNG')
    return '.png', buffer.getvalue()
