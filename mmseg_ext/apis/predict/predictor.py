"""Predict images with a trained model.

Images go through the pipeline of the config's test loader, as in testing. An image that would not
fit into memory is predicted window by window.
Differs from ``mmseg.apis.inference_model`` in both, and a bad image is reported without stopping
the others.
Shape letters: H row, W column, K class.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.logging import print_log

from ...core.probabilities import as_probabilities
from ...env import first_line
from ..draw.pixels import to_display
from ..run.quick import quick
from .areas import Area, areas_of
from .arrays import AnyImage, load_array, path_of
from .groups import in_groups
from .large import LargeImage, Preparation, as_loaded, build_pipeline, find_large, sample_of
from .memory import Memory, check_readable
from .refinement import Setting, refine, refined_labels
from .strips import MAPS, joined, predict_windows
from .windows import Windows, label_type

CRF_NEEDS = 'a dense CRF refines an image as a whole'


@dataclass(frozen=True)
class Prediction:
    """The prediction of a model for one image.

    Args:
        path: The image file; of an image in memory, ``image N`` after its place in the list.
        picture: The image as read, ``(H, W, 3)`` uint8 RGB.
        label: Class index of each pixel, ``(H, W)``, uint8 or, above 255 classes, uint16.
        prob: Probability of each class, ``(K, H, W)`` float16; ``None`` if not requested.
        maps: What else the model says of each pixel, ``(H, W)`` float32: ``uncertainty`` of a
            ``MonteCarloEncoderDecoder``; ``entropy`` and ``bald`` of :class:`.DropoutPasses`.
        classes: Names of the classes, in the order of their indices.
    """

    path: Path
    picture: np.ndarray
    label: np.ndarray
    prob: Optional[np.ndarray] = None
    maps: dict[str, np.ndarray] = field(default_factory=dict)
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


class _Ready(NamedTuple):
    """An image that is prepared, and its windows if it does not fit into memory at once."""

    path: Path
    picture: np.ndarray
    data: dict
    windows: Optional[Windows]


def predict(
    model: Any, images: Iterable[AnyImage], *, keep_prob: bool = False, **options: Any
) -> Iterator[Union[Prediction, Failure]]:
    """Predict images one by one.

    Args:
        model: From :func:`load_model`.
        images: Image files of any size, or images in memory, see :func:`.arrays.load_array`.
        keep_prob: Also return probabilities, which need much more memory than labels.
        options: ``batch``, ``crf`` and ``memory`` of :func:`predict_each`.

    Yields:
        One prediction or failure for each image, in order.
    """
    for result in predict_each(model, images, keep_prob=keep_prob, **options):
        yield in_memory(result) if isinstance(result, LargeImage) else result


def predict_each(
    model: Any,
    images: Iterable[AnyImage],
    *,
    keep_prob: bool = False,
    batch: int = 1,
    crf: Optional[Setting] = None,
    memory: Optional[Memory] = None,
) -> Iterator[Union[Prediction, LargeImage, Failure]]:
    """As :func:`predict`, but hand over large images to be predicted strip by strip.

    Args:
        model: From :func:`load_model`.
        images: As there.
        keep_prob: As there.
        batch: How many images of one size go through the network together. As nothing is padded,
            results are those of single images, up to rounding in the last bits.
        crf: Arguments of a ``DenseCRF`` that refines the probabilities, as ``tools/crf.py`` does;
            an image that only fits in windows is a failure then.
        memory: Of the model, from an earlier call: it knows what the sizes seen there need.
    """
    if batch < 1:
        raise ValueError(f'batch must be 1 or more, got {batch}')
    memory = Memory(
        model,
        keep_prob=keep_prob or crf is not None,
        whole=CRF_NEEDS if crf else '',
        known=memory,
    )
    run = _Run(model, memory, keep_prob, crf)
    return in_groups(run.prepared(images), batch, key=run.kind, answer=run.answers, room=run.room)


class _Run:
    """One model, and how it is asked for predictions."""

    def __init__(self, model: Any, memory: Memory, keep_prob: bool, crf: Optional[Setting]) -> None:
        self.model, self.memory, self.keep_prob, self.crf = model, memory, keep_prob, crf
        self.pipeline = build_pipeline(model.cfg)
        self._told: Any = None

    def prepared(self, images: Iterable[AnyImage]) -> Iterator[Union[_Ready, LargeImage, Failure]]:
        """Read images; what cannot be read is a failure."""
        for number, image in enumerate(images):
            path = path_of(image, number)
            try:
                yield self._prepared(image, path)
            except Exception as error:  # decoders raise many types, all caused by the file
                reason = first_line(error)
                named = '' if str(path) in reason else f'{path} cannot be read as an image: '
                yield Failure(path, f'{named}{reason}')

    def _prepared(self, image: AnyImage, path: Path) -> Union[_Ready, LargeImage, Failure]:
        if isinstance(image, (str, Path)):
            large = find_large(self.model, self.memory, self.pipeline, path)
            if large is not None:
                _tell(path, large.size, large.windows)
                return large
        picture, data = _read(self.pipeline, image, path)
        try:
            plan = self.memory.plan(data['inputs'], data['data_samples'].metainfo)
        except ValueError as error:
            return failed(path, picture.shape, error)
        return _Ready(path, picture, data, plan)

    @staticmethod
    def kind(item: Any) -> Optional[tuple]:
        """Return what images must share to go through the network together; ``None``: alone."""
        if not isinstance(item, _Ready) or item.windows is not None:
            return None
        inputs = item.data['inputs']
        return tuple(inputs.shape), inputs.dtype

    def room(self, item: Any, most: int) -> int:
        """Return how many such images fit into memory together."""
        sample = item.data['data_samples']
        return self.memory.largest_batch(item.data['inputs'], sample.ori_shape[:2], most)

    def answers(self, items: list[Any]) -> list[Union[Prediction, LargeImage, Failure]]:
        """Predict images of one kind; if one of them stops all, each goes alone."""
        if not isinstance(items[0], _Ready):
            return items
        try:
            with torch.inference_mode():
                return self._together(items)
        except Exception as error:  # out of memory, or too small for the network
            if len(items) == 1:
                return [failed(items[0].path, items[0].picture.shape, error)]
        return [self.answers([item])[0] for item in items]

    def _together(self, items: list[_Ready]) -> list[Any]:
        first = items[0]
        if first.windows is not None:
            return [self._in_windows(first, first.windows)]
        inputs = [item.data['inputs'] for item in items]
        samples = [item.data['data_samples'].clone() for item in items]
        with quick(self.model, labels=self.labels_suffice):
            results = self.model.test_step(dict(inputs=inputs, data_samples=samples))
        return [self._collected(item, result) for item, result in zip(items, results)]

    @property
    def labels_suffice(self) -> bool:
        """Whether nothing is made of the probabilities."""
        return not self.keep_prob and self.crf is None

    def _in_windows(self, item: _Ready, windows: Windows) -> Prediction:
        if (item.picture.shape, windows.size) != self._told:  # once for all frames of a video
            _tell(item.path, item.picture.shape, windows)
            self._told = item.picture.shape, windows.size
        inputs, sample = item.data['inputs'], item.data['data_samples']
        strip = predict_windows(self.model, inputs, sample, windows, keep_prob=self.keep_prob)
        names = classes_of(self.model)
        return Prediction(item.path, item.picture, strip.label, strip.prob, strip.maps, names)

    def _collected(self, item: _Ready, sample: Any) -> Prediction:
        wants = not self.labels_suffice
        one = _collect(item.path, item.picture, sample, wants, classes_of(self.model))
        if self.crf is None or one.prob is None:
            return one
        prob = refine(one.prob.astype(np.float32), one.picture, self.crf)
        kept = prob.astype(np.float16) if self.keep_prob else None
        return Prediction(one.path, one.picture, refined_labels(prob), kept, one.maps, one.classes)


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
        if large.keep_prob:
            Memory(large.model, keep_prob=True).check_joined(large.size)
        strips = list(large.strips())
    except Exception as error:
        return failed(large.path, large.size, error)
    whole = joined([strip.result for strip in strips])
    picture = np.concatenate([strip.picture for strip in strips])
    names = classes_of(large.model)
    return Prediction(large.path, picture, whole.label, whole.prob, whole.maps, names)


def _tell(path: Path, size: Sequence[int], windows: Windows) -> None:
    line = f'{path} ({size[1]}x{size[0]}): {windows}'
    print_log(line, 'current', logging.WARNING)


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
        results = _stepped(step, results, path, picture)
    return picture, results


def _stepped(step: Any, results: dict, path: Path, picture: np.ndarray) -> dict:
    """Take one step of the pipeline.

    Raises:
        ValueError: If it cannot be taken with this image, naming both.
    """
    try:
        return step(results)
    except Exception as error:  # steps raise many types
        height, width = picture.shape[:2]
        name = type(step).__name__
        raise ValueError(
            f'{path} ({width}x{height}) cannot be prepared by {name} of the test pipeline, which '
            f'gives "{first_line(error)}": bring it nearer to the size of the others'
        ) from error


def _collect(
    path: Path, picture: np.ndarray, sample: Any, keep_prob: bool, classes: tuple[str, ...]
) -> Prediction:
    logits = sample.seg_logits.data if 'seg_logits' in sample else None  # labels alone
    label = sample.pred_sem_seg.data[0].to(torch.int64).cpu().numpy()
    if label.shape != picture.shape[:2]:
        raise ValueError(
            f'its prediction is {label.shape[1]}x{label.shape[0]}: the test pipeline changes the '
            'size without recording it'
        )
    if logits is not None and logits.isnan().any():
        raise ValueError('the model answers with NaN')
    label = label.astype(label_type(max(len(classes) if logits is None else len(logits), 2)))
    kept = as_probabilities(logits).cpu().numpy() if logits is not None and keep_prob else None
    prob = None if kept is None else kept.astype(np.float16)
    names = [name for name in MAPS if name in sample]
    maps = {name: sample.get(name).data[0].float().cpu().numpy() for name in names}
    return Prediction(path, picture, label, prob, maps, classes)
