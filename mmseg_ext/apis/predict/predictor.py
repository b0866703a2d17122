"""Predict images with a trained model.

Images go through the pipeline of the config's test loader, as in testing. An image that would not
fit into memory is predicted window by window.
Differs from ``mmseg.apis.inference_model`` in both, and a bad image is reported without stopping
the others.
Shape letters: H row, W column, K class.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.logging import print_log

from ...core.files import PathLike
from ...core.probabilities import as_probabilities
from ...datasets.folder import IMAGE_SUFFIXES
from ...env import first_line
from ..draw.pixels import to_display
from ..run.load import load_model
from .areas import Area, areas_of
from .arrays import AnyImage, load_array, path_of
from .large import LargeImage, Preparation, as_loaded, build_pipeline, find_large, sample_of
from .memory import Memory, check_readable
from .windows import Windows, label_type, predict_windows

__all__ = [
    'Failure',
    'Prediction',
    'find_images',
    'load_model',
    'predict',
]

SUFFIXES = tuple(sorted({*IMAGE_SUFFIXES, '.ppm'}))


@dataclass(frozen=True)
class Prediction:
    """The prediction of a model for one image.

    Args:
        path: The image file; of an image in memory, ``image N`` after its place in the list.
        picture: The image as read, ``(H, W, 3)`` uint8 RGB.
        label: Class index of each pixel, ``(H, W)``, uint8 or, above 255 classes, uint16.
        prob: Probability of each class, ``(K, H, W)`` float16; ``None`` if not requested.
        uncertainty: ``(H, W)`` float32 from models that give one (``MonteCarloEncoderDecoder``).
        classes: Names of the classes, in the order of their indices.
    """

    path: Path
    picture: np.ndarray
    label: np.ndarray
    prob: Optional[np.ndarray] = None
    uncertainty: Optional[np.ndarray] = None
    classes: tuple[str, ...] = ()

    @property
    def areas(self) -> dict[str, Area]:
        """Pixels, share and, of a GeoTIFF in metres, square metres of each class."""
        return areas_of(self.label, self.path, self.classes)


@dataclass(frozen=True)
class Failure:
    """An image that could not be predicted, and the reason, which names the file."""

    path: Path
    reason: str


def find_images(inputs: Iterable[PathLike]) -> list[Path]:
    """List image files; each input is a file, or a folder to search with its subfolders.

    A named file may have any suffix. A folder gives the files with ``SUFFIXES``, sorted; the log
    names its other files. Hidden files are left out.

    Raises:
        FileNotFoundError: If an input does not exist.
        ValueError: If a folder holds no image.
    """
    found: dict[Path, Path] = {}  # a file may be named in several ways
    for item in map(Path, inputs):
        if item.is_dir():
            for path in _images_of(item):
                found.setdefault(path.absolute(), path)
        elif item.exists():
            found.setdefault(item.absolute(), item)
        else:
            raise FileNotFoundError(f'input {item} does not exist')
    return list(found.values())


def _images_of(folder: Path) -> list[Path]:
    inside = sorted(path for path in folder.rglob('*') if not path.is_dir())
    inside = [path for path in inside if not _is_hidden(path.relative_to(folder))]
    images = [path for path in inside if path.suffix.lower() in SUFFIXES and path.is_file()]
    others = [path for path in inside if path not in set(images)]
    known = ', '.join(SUFFIXES)
    if not images:
        left = f' but {_named(others)}' if others else ''
        raise ValueError(f'folder {folder} holds no image ({known}){left}')
    if others:
        print_log(
            f'left out of {folder}, no image ({known}): {_named(others)}',
            'current',
            logging.WARNING,
        )
    return images


def _is_hidden(inner: Path) -> bool:
    return any(part.startswith('.') for part in inner.parts) or inner.name == 'Thumbs.db'


def _named(paths: Sequence[Path], limit: int = 5) -> str:
    """Count files by ending and name the first ones."""
    endings = Counter(path.suffix.lower() or 'no ending' for path in paths)
    counts = ', '.join(f'{count} {ending}' for ending, count in endings.most_common(limit))
    more = ', ...' if len(paths) > limit else ''
    return f'{counts} ({", ".join(str(path) for path in paths[:limit])}{more})'


def predict(
    model: Any,
    images: Iterable[AnyImage],
    *,
    keep_prob: bool = False,
    memory: Optional[Memory] = None,
) -> Iterator[Union[Prediction, Failure]]:
    """Predict images one by one.

    Args:
        model: From :func:`load_model`.
        images: Image files of any size, or images in memory, see :func:`.arrays.load_array`.
        keep_prob: Also return probabilities, which need much more memory than labels.
        memory: Of the model, from an earlier call: it knows what the sizes seen there need.

    Yields:
        One prediction or failure for each image, in order.
    """
    for result in predict_each(model, images, keep_prob=keep_prob, memory=memory):
        yield in_memory(result) if isinstance(result, LargeImage) else result


def predict_each(
    model: Any,
    images: Iterable[AnyImage],
    *,
    keep_prob: bool = False,
    memory: Optional[Memory] = None,
) -> Iterator[Union[Prediction, LargeImage, Failure]]:
    """As :func:`predict`, but hand over large images to be predicted strip by strip."""
    pipeline, memory = build_pipeline(model.cfg), memory or Memory(model)
    for number, image in enumerate(images):
        path = path_of(image, number)
        try:
            large = None
            if not keep_prob and isinstance(image, (str, Path)):
                large = find_large(model, memory, pipeline, path)
            if large is None:
                picture, data = _read(pipeline, image, path)
        except Exception as error:  # decoders raise many types, all caused by the file
            reason = first_line(error)
            named = '' if str(path) in reason else f'{path} cannot be read as an image: '
            yield Failure(path, f'{named}{reason}')
            continue
        if large is not None:
            _tell(path, large.size, large.windows)
            yield large
            continue
        result: Union[Prediction, Failure]
        try:
            with torch.inference_mode():
                result = _predict_one(model, memory, path, picture, data, keep_prob)
        except Exception as error:  # out of memory, or too small for the network
            result = failed(path, picture.shape, error)
        yield result


def failed(path: Path, size: Sequence[int], error: Exception) -> Failure:
    """Make a failure of an error while an image of size H, W was predicted."""
    if os.environ.get('MMSEG_EXT_DEBUG') == '1':
        raise error
    height, width = size[:2]
    return Failure(path, f'{path} ({width}x{height}) cannot be predicted: {first_line(error)}')


def in_memory(large: LargeImage) -> Union[Prediction, Failure]:
    """Predict a large image, and keep it and its labels in memory."""
    try:
        check_readable(large.path)
        strips = list(large.strips())
    except Exception as error:
        return failed(large.path, large.size, error)
    label = np.concatenate([strip.result.label for strip in strips])
    picture = np.concatenate([strip.picture for strip in strips])
    uncertain = [s.result.uncertainty for s in strips if s.result.uncertainty is not None]
    uncertainty = np.concatenate(uncertain) if uncertain else None
    return Prediction(large.path, picture, label, None, uncertainty, classes_of(large.model))


def _tell(path: Path, size: Sequence[int], windows: Windows) -> None:
    line = f'{path} ({size[1]}x{size[0]}): {windows}'
    print_log(line, 'current', logging.WARNING)


def _predict_one(
    model: Any,
    memory: Memory,
    path: Path,
    picture: np.ndarray,
    data: dict,
    keep_prob: bool,
) -> Prediction:
    """Predict one image at once, or in windows if it would not fit into memory."""
    inputs, sample = data['inputs'], data['data_samples']
    plan = memory.plan(inputs, sample.metainfo, keep_prob=keep_prob)
    if plan is None:
        sample = model.test_step(dict(inputs=[inputs], data_samples=[sample]))[0]
        return _collect(path, picture, sample, keep_prob, classes_of(model))
    _tell(path, picture.shape, plan)
    label, uncertainty = predict_windows(model, inputs, sample, plan)
    return Prediction(path, picture, label, None, uncertainty, classes_of(model))


def classes_of(model: Any) -> tuple[str, ...]:
    """Return the names of the classes."""
    return tuple(model.dataset_meta['classes'])


def _read(pipeline: Compose, image: AnyImage, path: Path) -> tuple[np.ndarray, dict]:
    """Run the pipeline; also return the image as read by the loader, its first step."""
    loader, *others = pipeline.transforms
    if isinstance(image, (str, Path)):
        if not path.is_file():  # reading a pipe would never end
            raise ValueError('it is no regular file')
        check_readable(path)
        results = loader(sample_of(path))
    else:
        results = as_loaded(load_array(image, Preparation(pipeline), str(path)))
    picture = to_display(results['img'])
    for step in others:
        results = step(results)
    return picture, results


def _collect(
    path: Path, picture: np.ndarray, sample: Any, keep_prob: bool, classes: tuple[str, ...]
) -> Prediction:
    logits = sample.seg_logits.data
    label = sample.pred_sem_seg.data[0].to(torch.int64).cpu().numpy()
    if label.shape != picture.shape[:2]:
        raise ValueError(
            f'its prediction is {label.shape[1]}x{label.shape[0]}: the test pipeline changes the '
            'size without recording it'
        )
    if logits.isnan().any():
        raise ValueError('the model answers with NaN')
    label = label.astype(label_type(max(len(logits), 2)))
    prob = as_probabilities(logits).cpu().numpy().astype(np.float16) if keep_prob else None
    uncertainty = None
    if 'uncertainty' in sample:
        uncertainty = sample.uncertainty.data[0].float().cpu().numpy()
    return Prediction(path, picture, label, prob, uncertainty, classes)
