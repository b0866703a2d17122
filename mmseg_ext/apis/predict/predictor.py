"""Predict images with a trained model and write what people look at.

Images go through the pipeline of the config's test loader, so they are prepared as in testing, and
one that would not fit into memory is predicted window by window. Differs from
``mmseg.apis.inference_model`` in that, and in that a bad image is reported and the others go on.
Shape letters: H row, W column, K class.
"""

import errno
import io
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log
from PIL import Image

from ...core.files import PathLike, output_names, write_bytes, write_json
from ...core.labels import background_of
from ...core.probabilities import as_probabilities
from ...datasets.folder import IMAGE_SUFFIXES
from ...env import first_line
from ..config.pipelines import test_steps
from ..draw.pixels import encode, overlay, to_display
from ..run.listing import LISTING
from ..run.load import load_model
from .memory import Memory, check_readable
from .windows import predict_windows

__all__ = [
    'Failure',
    'Prediction',
    'find_images',
    'load_model',
    'predict',
    'predict_to_folder',
]

SUFFIXES = tuple(sorted({*IMAGE_SUFFIXES, '.ppm'}))
_EVERY_S = 5.0  # the list of what is done is written so often, and at the end
# What the file system says of one name; all else, such as a full disk, concerns every image.
_OF_ONE_NAME = (
    errno.ENAMETOOLONG,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EINVAL,
    errno.EILSEQ,
)


@dataclass(frozen=True)
class Prediction:
    """What a model says about one image.

    Args:
        path: The image file.
        picture: The image as read, ``(H, W, 3)`` uint8 RGB.
        label: ``(H, W)``, class index of each pixel, uint8 or, from 257 classes on, uint16.
        prob: ``(K, H, W)``, probability of each class, float16; ``None`` if not asked for.
        uncertainty: ``(H, W)`` float32, of models that give one (``MonteCarloEncoderDecoder``).
    """

    path: Path
    picture: np.ndarray
    label: np.ndarray
    prob: Optional[np.ndarray] = None
    uncertainty: Optional[np.ndarray] = None


@dataclass(frozen=True)
class Failure:
    """An image that could not be predicted, and why; the reason names the file."""

    path: Path
    reason: str


def find_images(inputs: Iterable[PathLike]) -> list[Path]:
    """List image files: each input is a file, or a folder that is searched to its bottom.

    A file that was named is taken whatever its suffix; a folder gives those of ``SUFFIXES``, in
    order, and the log names what else there is. Hidden files are left out.

    Raises:
        FileNotFoundError: If an input does not exist.
        ValueError: If a folder holds no image.
    """
    found: dict[Path, Path] = {}  # one file may be named in several ways
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
    """Count files by their endings and name the first ones."""
    endings = Counter(path.suffix.lower() or 'no ending' for path in paths)
    counts = ', '.join(f'{count} {ending}' for ending, count in endings.most_common(limit))
    more = ', ...' if len(paths) > limit else ''
    return f'{counts} ({", ".join(str(path) for path in paths[:limit])}{more})'


def build_pipeline(cfg: Config) -> Compose:
    """Build the pipeline of a config's test without its steps that read labels."""
    return Compose(test_steps(cfg))


def predict(
    model: Any, images: Iterable[PathLike], *, keep_prob: bool = False
) -> Iterator[Union[Prediction, Failure]]:
    """Predict images one by one.

    Args:
        model: From :func:`load_model`.
        images: Image files of any size.
        keep_prob: Also return the probabilities, K times the memory of the labels.

    Yields:
        One prediction or failure for each image, in order.
    """
    pipeline, memory = build_pipeline(model.cfg), Memory(model)
    for path in map(Path, images):
        try:
            picture, data = _read(pipeline, path)
        except Exception as error:  # whatever a decoder raises, the file is to blame
            reason = first_line(error)
            named = '' if str(path) in reason else f'{path} cannot be read as an image: '
            yield Failure(path, f'{named}{reason}')
            continue
        result: Union[Prediction, Failure]
        try:
            with torch.inference_mode():
                result = _predict_one(model, memory, path, picture, data, keep_prob)
        except Exception as error:  # out of memory, or too small for the network
            if os.environ.get('MMSEG_EXT_DEBUG') == '1':
                raise
            height, width = picture.shape[:2]
            result = Failure(
                path, f'{path} ({width}x{height}) cannot be predicted: {first_line(error)}'
            )
        yield result


def _predict_one(
    model: Any,
    memory: Memory,
    path: Path,
    picture: np.ndarray,
    data: dict,
    keep_prob: bool,
) -> Prediction:
    """Predict one image at once or, where that would not fit into memory, in windows."""
    inputs, sample = data['inputs'], data['data_samples']
    plan = memory.plan(inputs, sample.metainfo, keep_prob=keep_prob)
    if plan is None:
        sample = model.test_step(dict(inputs=[inputs], data_samples=[sample]))[0]
        return _collect(path, picture, sample, keep_prob)
    height, width = picture.shape[:2]
    print_log(f'{path} ({width}x{height}): {plan}', 'current', logging.WARNING)
    label, uncertainty = predict_windows(model, inputs, sample, plan)
    return Prediction(path, picture, label, None, uncertainty)


def _read(pipeline: Compose, path: Path) -> tuple[np.ndarray, dict]:
    """Run the pipeline, keeping the picture as its first step, the loader, read it."""
    if not path.is_file():  # reading a pipe would wait for ever
        raise ValueError('it is no regular file')
    check_readable(path)
    # what mmseg's data sets say of a sample without labels
    results: dict = dict(img_path=str(path), seg_fields=[], reduce_zero_label=False)
    loader, *others = pipeline.transforms
    results = loader(results)
    picture = to_display(results['img'])
    for step in others:
        results = step(results)
    return picture, results


def _collect(path: Path, picture: np.ndarray, sample: Any, keep_prob: bool) -> Prediction:
    logits = sample.seg_logits.data
    label = sample.pred_sem_seg.data[0].to(torch.int64).cpu().numpy()
    if label.shape != picture.shape[:2]:
        raise ValueError(
            f'its prediction is {label.shape[1]}x{label.shape[0]}: the test pipeline changes the '
            'size without recording it'
        )
    if logits.isnan().any():
        raise ValueError('the model answers with NaN')
    label = label.astype(np.uint8 if max(len(logits), 2) <= 256 else np.uint16)
    prob = as_probabilities(logits).cpu().numpy().astype(np.float16) if keep_prob else None
    uncertainty = None
    if 'uncertainty' in sample:
        uncertainty = sample.uncertainty.data[0].float().cpu().numpy()
    return Prediction(path, picture, label, prob, uncertainty)


def write_prediction(
    prediction: Prediction, out: PathLike, name: PathLike, *, meta: dict
) -> dict[str, Any]:
    """Write index mask, overlay and, if there are any, probabilities and uncertainty.

    The picture of the uncertainty is black at 0 and white at its largest value in this image,
    which the list holds; the file beside it has the values.

    Args:
        prediction: What to write.
        out: Folder; the files go to ``masks``, ``overlays`` and ``prob`` in it.
        name: Path of the output below these, without a suffix.
        meta: ``classes`` and ``palette``.

    Returns:
        The paths below ``out`` by kind, with ``image``, the absolute path of the image.
    """
    out, classes, palette = Path(out), meta['classes'], meta['palette']
    entry = dict(
        image=str(prediction.path.absolute()),
        mask=f'masks/{name}.png',
        overlay=f'overlays/{name}.png',
    )
    write_bytes(out / entry['mask'], _encode_mask(prediction.label, palette))
    clear = background_of(classes)
    painted = overlay(prediction.picture, prediction.label, palette, clear=clear)
    write_bytes(out / entry['overlay'], encode(painted))
    if prediction.prob is not None:
        entry['prob'] = f'prob/{name}.npz'
        buffer = io.BytesIO()
        np.savez_compressed(buffer, prob=prediction.prob, classes=np.array(classes))
        write_bytes(out / entry['prob'], buffer.getvalue())
    if prediction.uncertainty is not None:
        entry.update(_write_uncertainty(prediction.uncertainty, out, name))
    return entry


def _write_uncertainty(values: np.ndarray, out: Path, name: PathLike) -> dict[str, Any]:
    highest = float(values.max(initial=0))
    grey = np.round(255 * values / (highest or 1)).astype(np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, uncertainty=values)
    file = f'uncertainty/{name}.npz'
    write_bytes(out / file, buffer.getvalue())
    write_bytes(out / f'uncertainty/{name}.png', encode(np.repeat(grey[..., None], 3, 2)))
    return dict(uncertainty=file, highest_uncertainty=highest)


def _encode_mask(label: np.ndarray, palette: Sequence[Sequence[int]]) -> bytes:
    """Encode class indices as PNG: with a palette, so that a viewer shows colors, up to 256."""
    image = Image.fromarray(label)
    if label.dtype == np.uint8:
        image.putpalette(bytes(np.asarray(palette, np.uint8).ravel()))
    buffer = io.BytesIO()
    image.save(buffer, format='PNG')
    return buffer.getvalue()


def predict_to_folder(
    model: Any,
    images: Sequence[Path],
    out: PathLike,
    *,
    prob: bool = False,
    source: Optional[dict] = None,
) -> list[Failure]:
    """Predict images into a folder, with a progress bar, and list them in ``predictions.json``.

    The list says what is done and what failed, also of a run that was stopped.

    Example::

        failures = apis.predict_to_folder(model, [Path('photo.jpg')], 'predictions')

    Args:
        model: From :func:`load_model`.
        images: From :func:`find_images`.
        out: Folder for masks, overlays, probabilities and the list.
        prob: Write probabilities, too.
        source: Anything worth keeping in the list, such as config and checkpoint.

    Returns:
        The images that failed; all others are written.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    from tqdm import tqdm

    listing = _Listing(Path(out), dict(source or {}, **model.dataset_meta))
    results = predict(model, images, keep_prob=prob)
    named = zip(output_names(images), results)
    with listing, tqdm(named, total=len(images), desc='predict', unit='image') as bar:
        for name, result in bar:
            if isinstance(result, Prediction):
                result = _written(result, out, name, model.dataset_meta)
            listing.add(result)
            if listing.failures:
                bar.set_postfix(failed=len(listing.failures))
    return listing.failures


def _written(prediction: Prediction, out: PathLike, name: Path, meta: dict) -> Union[dict, Failure]:
    """Write a prediction; where its name is no name for a file, it failed, and the others go on."""
    try:
        return write_prediction(prediction, out, name, meta=meta)
    except OSError as error:
        if error.errno not in _OF_ONE_NAME:
            raise
        path = prediction.path
        return Failure(path, f'{path} cannot be written below {out}: {error.strerror}')


class _Listing:
    """``predictions.json``: written at the start, every few seconds, and whenever the run ends."""

    def __init__(self, out: Path, about: dict) -> None:
        self.path, self.about = out / LISTING, about
        self.entries: list[dict] = []
        self.failures: list[Failure] = []
        self._written = 0.0

    def __enter__(self) -> '_Listing':
        self._write()
        return self

    def __exit__(self, *_: Any) -> None:
        self._write()

    def add(self, result: Union[dict, Failure]) -> None:
        """Add what was written of an image, or why nothing was."""
        if isinstance(result, Failure):
            self.failures.append(result)
        else:
            self.entries.append(result)
        if time.monotonic() - self._written > _EVERY_S:
            self._write()

    def _write(self) -> None:
        failed = [
            dict(image=str(failure.path.absolute()), reason=failure.reason)
            for failure in self.failures
        ]
        write_json(self.path, dict(self.about, images=self.entries, failed=failed))
        self._written = time.monotonic()
