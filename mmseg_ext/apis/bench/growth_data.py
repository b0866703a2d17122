"""Benchmark of how the work on a data set grows with its images; see ``growth_data``."""

import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from ...datasets.kfold import split_folds
from ...evaluation.seg_metric import SegMetric
from ..userdata.checks.check import check_data
from ..userdata.read import read_data_file
from ..userdata.weights import count_split
from .growth import grown
from .timing import Case, register

_READ_ALL = 10_000  # most images that are read; beyond, files are only listed
_SIDE = 32  # pixels
_CLASSES = 21
_TEXT = """name: made
classes: [background, road, car]
train: {images: images, masks: masks}
val: {images: few_images, masks: few_masks}
"""


@register
def growth_data(repeats: int, *, count: int = 1_000_000) -> Iterator[Case]:
    """Measure lists, folds, class counts, the check and the scores of a test against images.

    Images and masks are made, of 32x32 pixels; from the 10,000th on files are hard links to earlier
    ones. Folds and the data set's own start take all of them, class counts, the check and the
    scores up to 10,000. Memory is the peak of Python's and numpy's allocations, in a second call;
    that of folds is without the names that they are given.

    Args:
        repeats: Timed calls, of which the fastest counts.
        count: Most images; each smaller size is a tenth, down to 100.
    """
    if count < 1000:
        raise ValueError(f'growth_data needs --count 1000 or more, got {count}')
    sizes = [count]
    while sizes[0] >= 1000:
        sizes.insert(0, sizes[0] // 10)
    steps = (
        ('start of the data set', _listed, count),
        ('5 folds', _folds, count),
        ('5 folds by groups and classes', _grouped_folds, min(count, 10 * _READ_ALL)),
        ('class counts', _counts, _READ_ALL),
        ('the check of all files', check_data, _READ_ALL),
        ('scores and intervals of a test', _scores, _READ_ALL),
    )
    with tempfile.TemporaryDirectory() as folder:
        files = [_make(Path(folder, str(size)), size) for size in sizes]
        for name, step, most in steps:
            chosen = [place for place, size in enumerate(sizes) if size <= most]
            step(files[0])  # what is imported at first
            measured = [_measure(step, files[place], repeats) for place in chosen]
            yield grown(name, 'images', [sizes[place] for place in chosen], measured)


def _measure(step: Callable[[Path], Any], file: Path, repeats: int) -> dict:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step(file)
        seconds.append(time.perf_counter() - start)
    tracemalloc.start()
    try:
        step(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return dict(seconds=min(seconds), bytes=peak)


def _make(folder: Path, number: int) -> Path:
    """Write images and masks, and return the file that describes them."""
    random = np.random.default_rng(0)
    for prefix, size in (('', number), ('few_', 10)):
        for kind, top, channels in (('images', 256, 3), ('masks', 3, 1)):
            home = folder / f'{prefix}{kind}'
            home.mkdir(parents=True)
            for index in range(size):
                path = home / f'{index:07d}.png'
                if index < _READ_ALL:
                    coarse = random.integers(0, top, (4, 4, channels), np.uint8)
                    pixels = coarse.repeat(_SIDE // 4, 0).repeat(_SIDE // 4, 1)
                    path.write_bytes(cv2.imencode('.png', pixels)[1].tobytes())
                else:
                    os.link(home / f'{index % _READ_ALL:07d}.png', path)  # as quick as a file
    file = folder / 'made.yml'
    file.write_text(_TEXT)
    return file


def _dataset(file: Path, pipeline: Sequence[dict] = ()) -> dict:
    return read_data_file(file).dataset_config('train', pipeline)


def _listed(file: Path) -> Any:
    init_default_scope('mmseg')
    return DATASETS.build(_dataset(file))


@lru_cache(maxsize=1)
def _ids(file: Path) -> list[str]:
    return [f'{index:07d}' for index in range(int(file.parent.name))]


@lru_cache(maxsize=1)
def _groups(file: Path) -> tuple[list[str], list[bool]]:
    """Groups of ten images, and labels."""
    return [name[:-1] for name in _ids(file)], [int(name) % 7 == 0 for name in _ids(file)]


def _folds(file: Path) -> Any:
    return split_folds(_ids(file), num_folds=5)


def _grouped_folds(file: Path) -> Any:
    groups, labels = _groups(file)
    return split_folds(_ids(file), num_folds=5, groups=groups, labels=labels)


def _scores(file: Path) -> dict:
    """What a test does besides predicting: count each image, and write scores and tables."""
    count = int(file.parent.name)
    metric = SegMetric(
        per_image_file=str(file.with_name('counts.npz')),
        table_file=str(file.with_name('images.csv')),
    )
    metric.dataset_meta = dict(classes=[f'class{index}' for index in range(_CLASSES)])
    random = torch.Generator().manual_seed(0)
    for index in range(count):
        labels = torch.randint(_CLASSES, (2, 1, _SIDE, _SIDE), generator=random)
        fields = dict(pred_sem_seg=dict(data=labels[0]), gt_sem_seg=dict(data=labels[1]))
        metric.process(None, [dict(fields, img_path=f'{index:07d}.png')])
    return metric.evaluate(count)


def _counts(file: Path) -> Any:
    dataset = _dataset(file, [dict(type='LoadLabels')])
    return count_split(Config(dict(train_dataloader=dict(dataset=dataset))))
