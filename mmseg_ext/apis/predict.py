"""Predict images with a trained model and write what people look at.

Images go through the test pipeline of the config, so they are prepared as in testing; differs from
``mmseg.apis.inference_model`` in that a bad image is reported and the others go on.
Shape letters: H row, W column, K class.
"""

import io
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from PIL import Image

from mmseg_ext.core.files import write_bytes
from mmseg_ext.evaluation.probabilities import to_prob

from .load_model import load_model
from .pictures import encode, overlay, to_display

__all__ = [
    'Failure',
    'Prediction',
    'find_images',
    'load_model',
    'predict',
    'predict_to_folder',
    'to_prob',
]

SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
_LABEL_LOADERS = ('LoadAnnotations', 'LoadLabels')

PathLike = Union[str, Path]


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


def find_images(inputs: Iterable[PathLike]) -> List[Path]:
    """List image files: each input is a file, or a folder that is searched to its bottom.

    A file that was named is taken whatever its suffix; a folder gives those of ``SUFFIXES``, in
    order.

    Raises:
        FileNotFoundError: If an input does not exist.
        ValueError: If a folder holds no image.
    """
    found: Dict[Path, None] = {}  # a set that keeps the order
    for item in map(Path, inputs):
        if item.is_dir():
            inside = sorted(path for path in item.rglob('*') if path.suffix.lower() in SUFFIXES)
            if not inside:
                raise ValueError(f'folder {item} holds no image ({", ".join(SUFFIXES)})')
            found.update(dict.fromkeys(inside))
        elif item.exists():
            found[item] = None
        else:
            raise FileNotFoundError(f'input {item} does not exist')
    return list(found)


def build_pipeline(cfg: Config) -> Compose:
    """Build the test pipeline of a config without its steps that read labels."""
    steps = cfg.get('test_pipeline')
    if steps is None:
        steps = cfg.test_dataloader.dataset.pipeline
    return Compose([step for step in steps if step['type'] not in _LABEL_LOADERS])


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
    pipeline = build_pipeline(model.cfg)
    for path in map(Path, images):
        try:
            picture, data = _read(pipeline, path)
        except Exception as error:  # whatever a decoder raises, the file is to blame
            yield Failure(path, f'{path} cannot be read as an image: {_first_line(error)}')
            continue
        try:
            with torch.inference_mode():
                sample = model.test_step(
                    dict(inputs=[data['inputs']], data_samples=[data['data_samples']])
                )[0]
        except RuntimeError as error:  # out of memory, or too small for the network
            height, width = picture.shape[:2]
            yield Failure(
                path, f'{path} ({width}x{height}) cannot be predicted: {_first_line(error)}'
            )
            continue
        yield _collect(path, picture, sample, keep_prob)


def _read(pipeline: Compose, path: Path) -> Tuple[np.ndarray, dict]:
    """Run the pipeline, keeping the picture as its first step, the loader, read it."""
    results: dict = dict(img_path=str(path))
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
        raise RuntimeError(
            f'{path} is {picture.shape[:2]} and its prediction {label.shape}: the '
            'test pipeline changes the size without recording it'
        )
    label = label.astype(np.uint8 if max(len(logits), 2) <= 256 else np.uint16)
    prob = to_prob(logits).cpu().numpy().astype(np.float16) if keep_prob else None
    uncertainty = None
    if 'uncertainty' in sample:
        uncertainty = sample.uncertainty.data[0].float().cpu().numpy()
    return Prediction(path, picture, label, prob, uncertainty)


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


def output_names(images: Sequence[Path]) -> List[Path]:
    """Name the output of each image: its path below the folder they share, without the suffix.

    Where two would be the same (``a.jpg`` and ``a.png``), both keep the suffix.
    """
    if not images:
        return []
    root = os.path.commonpath([path.absolute().parent for path in images])
    inner = [Path(os.path.relpath(path.absolute(), root)) for path in images]
    bare = [path.with_suffix('') for path in inner]
    times = Counter(bare)
    return [name if times[name] == 1 else path for name, path in zip(bare, inner)]


def write_prediction(
    prediction: Prediction, out: PathLike, name: PathLike, *, meta: dict
) -> Dict[str, Any]:
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
    clear = classes.index('background') if 'background' in classes else None
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


def _write_uncertainty(values: np.ndarray, out: Path, name: PathLike) -> Dict[str, Any]:
    highest = float(values.max(initial=0))
    grey = np.round(255 * values / (highest or 1)).astype(np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, uncertainty=values)
    file = f'uncertainty/{name}.npz'
    write_bytes(out / file, buffer.getvalue())
    write_bytes(out / f'uncertainty/{name}.png', encode(np.repeat(grey[..., None], 3, 2)))
    return dict(uncertainty=file, highest_uncertainty=highest)


def _encode_mask(label: np.ndarray, palette: Sequence[Sequence[int]]) -> bytes:
    """Encode class indices as PNG: with a palette, so that a viewer shows colours, up to 256."""
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
) -> List[Failure]:
    """Predict images into a folder, with a progress bar, and list them in ``predictions.json``.

    Args:
        model: From :func:`load_model`.
        images: From :func:`find_images`.
        out: Folder for masks, overlays, probabilities and the list.
        prob: Write probabilities, too.
        source: Anything worth keeping in the list, such as config and checkpoint.

    Returns:
        The images that failed; all others are written.
    """
    from tqdm import tqdm

    failures, entries = [], []
    results = predict(model, images, keep_prob=prob)
    bar = tqdm(zip(output_names(images), results), total=len(images), desc='predict', unit='image')
    for name, result in bar:
        if isinstance(result, Failure):
            failures.append(result)
            bar.write(f'error: {result.reason}')
        else:
            entries.append(write_prediction(result, out, name, meta=model.dataset_meta))
    listing = dict(source or {}, **model.dataset_meta, images=entries)
    write_bytes(Path(out) / 'predictions.json', json.dumps(listing, indent=1).encode())
    return failures
