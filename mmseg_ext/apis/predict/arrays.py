"""Images that are in memory: arrays and PIL images become what the loader makes of a file.

Shape letters: H row, W column, C channel.
"""

from pathlib import Path
from typing import Any, Union

import numpy as np
from PIL import Image, ImageOps

from ...core.files import PathLike
from ...core.reading import refuse_not_finite
from .large import Preparation

AnyImage = Union[PathLike, np.ndarray, Image.Image]
_AS_THEY_ARE = ('L', 'RGB', 'I', 'F', 'I;16', 'I;16B', 'I;16L')  # modes; others become RGB


def path_of(image: AnyImage, number: int) -> Path:
    """Return the path of an image; one in memory is called after its place, from 0.

    Raises:
        TypeError: If it is no image of any kind.
    """
    if isinstance(image, (str, Path)):
        return Path(image)
    if isinstance(image, (np.ndarray, Image.Image)):
        return Path(f'image {number}')
    raise TypeError(
        'an image is a path, an array (H, W, C) or a PIL image, not of type '
        f'{type(image).__name__}: {str(image)[:60]!r}'
    )


def load_array(image: Union[np.ndarray, Image.Image], prepare: Preparation, name: str) -> Any:
    """Make of an image in memory what the loader of a pipeline makes of a file, ``(H, W, C)``.

    Args:
        image: Of a model that reads color, RGB or grey: ``(H, W, 3)`` or ``(H, W)``, uint8. Of one
            that reads channels (``LoadImage``), ``(H, W, C)`` of a type that its files have; three
            channels are RGB, others are in the order in which ``LoadImage`` reads the files. A PIL
            image is turned upright.
        prepare: The pipeline.
        name: What errors call the image.

    Raises:
        ValueError: If the model takes no such array; the message says which it takes.
    """
    if not prepare.reads_as_we_do():
        raise ValueError(
            f'the model reads images by {type(prepare.loader).__name__}, which takes files only: '
            'give a path'
        )
    array = _as_array(image)
    if array.ndim not in (2, 3) or not array.size:
        raise ValueError(f'an image has the shape (H, W) or (H, W, C), this is {array.shape}')
    array = array[..., None] if array.ndim == 2 else array
    if prepare.color:
        array = _as_color(array)
    if array.dtype.kind == 'f':
        refuse_not_finite(name, array)
    if array.shape[2] == 3:
        array = array[..., ::-1]  # loaders give blue first
    # a copy, as steps of the pipeline may write into it
    return prepare.load(np.array(array, order='C'), Path(name))


def _as_array(image: Union[np.ndarray, Image.Image]) -> np.ndarray:
    if isinstance(image, np.ndarray):
        return image
    upright = ImageOps.exif_transpose(image)
    return np.asarray(upright if upright.mode in _AS_THEY_ARE else upright.convert('RGB'))


def _as_color(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8 or array.shape[2] not in (1, 3):
        raise ValueError(
            'the model reads 8-bit color: give RGB (H, W, 3) or grey (H, W), uint8 from 0 to 255, '
            f'not {array.shape} of {array.dtype}'
        )
    return np.broadcast_to(array, (*array.shape[:2], 3))
