"""How much of an image a training sample shows, at which scale, and how much padding it has.

Measured, not read off the settings: the row's own steps run on training images whose mask is
replaced by a map of column or row numbers, which every geometric step moves as it moves masks.
Shape letters: H row, W column.
"""

from typing import Any, NamedTuple, Optional

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmseg.registry import DATASETS

from ....core.labels import evenly
from .masks import parts_of

_FIRST = 256  # number of column 0: what padding writes, 0 or 255, is below
DRAWS = 64


class Draw(NamedTuple):
    """One sample.

    Args:
        size: H and W of the image.
        share: Share of the image that the sample shows.
        scale: Pixels of the sample for each pixel of the image, along rows and along columns.
        padding: Share of the sample that is padding.
        out: H and W of the sample.
    """

    size: tuple[int, int]
    share: float
    scale: tuple[float, float]
    padding: float
    out: tuple[int, int]


def measure(cfg: Config, preprocessor: dict, *, seed: int = 0, draws: int = DRAWS) -> list[Draw]:
    """Draw samples of evenly spaced training images and measure them.

    Args:
        cfg: From ``load_config``.
        preprocessor: Settings of the data preprocessor, which pads to its ``size``.
        seed: Seed of the augmentation.
        draws: Number of samples.

    Raises:
        ValueError: If no step of the pipeline loads labels, or a step cannot move such a map.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = DATASETS.build(parts_of(cfg.train_dataloader.dataset)[0])
    places = evenly(range(len(dataset)), draws)
    found = []
    for number in range(draws):
        along = [
            _run(dataset, places[number % len(places)], axis, seed + number) for axis in (0, 1)
        ]
        found.append(_draw(along, preprocessor))
    return found


def _run(dataset: Any, place: int, axis: int, seed: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Run the steps with a map of row or column numbers as mask; return it and the image's size."""
    set_random_seed(seed)
    results, size = dataset.get_data_info(place), None
    for step in dataset.pipeline.transforms:
        if hasattr(step, 'meta_keys'):  # it packs
            break
        results = step(results)
        if results is None:
            raise ValueError(f'{type(step).__name__} of the training pipeline gave no sample')
        if size is None and 'gt_seg_map' in results:
            size = results['gt_seg_map'].shape[:2]
            results['gt_seg_map'] = _numbers(size, axis)
    if size is None:
        raise ValueError('no step of the training pipeline loads labels')
    return np.asarray(results['gt_seg_map']), size


def _numbers(size: tuple[int, int], axis: int) -> np.ndarray:
    numbers = (_FIRST + np.arange(size[axis])).astype(np.uint16)
    numbers = numbers[:, None] if axis == 0 else numbers[None]
    return np.ascontiguousarray(np.broadcast_to(numbers, size))


def _draw(along: list, preprocessor: dict) -> Draw:
    size = along[0][1]
    maps = [numbers.astype(np.int64) - _FIRST for numbers, _ in along]
    inside = np.logical_and(*((m >= 0) & (m < size[axis]) for axis, m in enumerate(maps)))
    spans = [_span(m, inside, axis, size[axis]) for axis, m in enumerate(maps)]
    height, width = _padded(inside.shape, preprocessor)
    shares, scales = zip(*spans)
    padding = 1 - inside.sum() / (height * width)
    return Draw(size, shares[0] * shares[1], (scales[0], scales[1]), padding, (height, width))


def _padded(shape: tuple[int, ...], preprocessor: dict) -> tuple[int, int]:
    """Return the size to which the preprocessor pads a sample."""
    least, step = preprocessor.get('size') or (0, 0), preprocessor.get('size_divisor') or 1
    height, width = (-(-max(pair) // step) * step for pair in zip(shape, least))
    return height, width


def _span(numbers: np.ndarray, inside: np.ndarray, axis: int, length: int) -> tuple[float, float]:
    """Return the share of an axis that is shown, and its scale."""
    shown = numbers[inside]
    count = int(inside.any(axis=1 - axis).sum())
    if not len(shown):
        return 0.0, 0.0
    steps = int(shown.max() - shown.min())
    if steps == 0 or count < 2:
        return count / length, 1.0
    scale = (count - 1) / steps
    return min(1.0, count / scale / length), scale


def spread(values: list[float]) -> Optional[tuple[float, float, float]]:
    """Return smallest, mean and largest value."""
    return (min(values), float(np.mean(values)), max(values)) if values else None
