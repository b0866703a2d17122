"""The prediction of an image file's bytes, as a dict that JSON holds.

Shape letters: H row, W column, K class.
"""

import base64
import gzip
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..draw.pixels import encode
from ..predict.areas import area_of, count_pixels
from ..predict.geotiff import tags_of
from ..predict.mask_file import encode_mask
from ..predict.predictor import Prediction
from ..use import Predictor
from .limits import Limits
from .problems import RequestError

_TYPES = {'.png': 'image/png', '.tif': 'image/tiff'}


class Question(NamedTuple):
    """What is asked of the model.

    Args:
        data: Bytes of an image file.
        details: Whether labels, confidences and the picture are wanted, too, as the page needs.
    """

    data: bytes
    details: bool = False


class Answerer:
    """Predict the bytes of image files; to be called in one thread only.

    The bytes lie in a folder of its own while they are read, under a name that no request chooses.

    Args:
        predictor: The model.
        limits: What is taken at most.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor, limits
        self._folder = tempfile.TemporaryDirectory(prefix='mmseg_ext_serve_')

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()

    def __call__(self, question: Question) -> dict[str, Any]:
        """Predict an image.

        Returns:
            An answer as :mod:`.openapi` describes it under ``Prediction``.

        Raises:
            RequestError: If it cannot be predicted.
        """
        start = time.perf_counter()
        header = self.limits.check_image(question.data)
        # Only files of this suffix are looked at for where on earth they lie.
        path = Path(self._folder.name, 'image.tif' if header.format == 'TIFF' else 'image')
        path.write_bytes(question.data)
        try:
            prediction = self._predict(path, question.details)
            answer = self._describe(prediction)
        finally:
            path.unlink()
        if question.details:
            answer.update(_details(prediction))
        answer['seconds'] = round(time.perf_counter() - start, 4)
        return answer

    def _predict(self, path: Path, details: bool) -> Prediction:
        if details:
            try:
                return self.predictor(path, keep_prob=True)
            except ValueError:  # too large to keep probabilities, or what is said below
                pass
        try:
            return self.predictor(path)
        except ValueError as error:
            raise RequestError(422, str(error).replace(str(path), 'the image')) from error

    def _describe(self, prediction: Prediction) -> dict[str, Any]:
        meta = self.predictor.model.dataset_meta
        classes, palette = meta['classes'], meta['palette']
        tags = tags_of(prediction.path)
        suffix, mask = encode_mask(prediction.label, palette, tags)
        height, width = prediction.label.shape
        return dict(
            width=width,
            height=height,
            classes=list(classes),
            palette=[[int(part) for part in color] for color in palette],
            mask=dict(type=_TYPES[suffix], base64=_text(mask)),
            **area_of(count_pixels(prediction.label, len(classes)), tags),
        )


def confidence_of(label: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """Return the probability of the predicted class, ``(H, W)`` float16.

    Args:
        label: Class of each pixel, ``(H, W)``.
        prob: Probability of each class, ``(K, H, W)`` float16.
    """
    return np.take_along_axis(prob, label[None].astype(np.int64), axis=0)[0]


def _details(prediction: Prediction) -> dict[str, Any]:
    confidence = None
    if prediction.prob is not None:
        confidence = _array(confidence_of(prediction.label, prediction.prob))
    picture = encode(prediction.picture, file_format='JPEG', quality=90)
    return dict(
        labels=_array(prediction.label),
        confidence=confidence,
        picture=dict(type='image/jpeg', base64=_text(picture)),
    )


def _array(values: np.ndarray) -> dict[str, str]:
    """Pack an array for JSON: rows from the top, little-endian, gzip, base64."""
    data = values.astype(values.dtype.newbyteorder('<')).tobytes()
    packed = gzip.compress(data, compresslevel=1, mtime=0)
    return dict(dtype=values.dtype.name, gzip_base64=_text(packed))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode('ascii')


def unpack(array: dict[str, str], shape: tuple[int, int]) -> np.ndarray:
    """Return the array ``(H, W)`` that an answer holds."""
    data = gzip.decompress(base64.b64decode(array['gzip_base64']))
    return np.frombuffer(data, np.dtype(array['dtype']).newbyteorder('<')).reshape(shape)
