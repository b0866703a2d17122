"""Benchmark of how the time and memory of a network grow; see ``growth``.

Shape letters: N image, K class, H row, W column.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..config.written import configs_folder
from ..run.config import load_config
from ..run.network.build import build
from ..run.network.live_bytes import LiveBytes
from ..run.quick import quick
from .fit import exponent, last_exponent
from .forms import _inputs, _predict
from .timing import Case, register

_DEFAULT = ('mfp/mfp_mobilenetv2_camvid.py', 'fmsi/deeplabv3plus_mobilenetv2_camvid.py')
CLASSES = (2, 21, 171)
BATCHES = (1, 2, 4, 8)
SMALLEST = 128
_ALIKE = 256  # height and width where the batch or the classes change
Point = tuple[int, dict[str, int]]  # size on the axis, and what it sets


@register
def growth(repeats: int, *, configs: Sequence[str] = (), size: int = 1024) -> Iterator[Case]:
    """Measure the labels of a network against pixels, images at once and classes.

    The network is in its fast form, as a test with ``--fast`` is. Memory counts all tensors that
    operators return, at the most, without weights.

    Args:
        repeats: Timed calls of each size, of which the median counts.
        configs: Networks; without any, one of MFP and DeepLabv3+.
        size: Largest height and width; each smaller one is half of it, down to 128.
    """
    if size < 2 * SMALLEST:
        raise ValueError(f'growth needs --size {2 * SMALLEST} or more, got {size}')
    sides = [size]
    while sides[0] // 2 >= SMALLEST:
        sides.insert(0, sides[0] // 2)
    axes: dict[str, list[Point]] = {
        'pixels': [(side * side, dict(side=side)) for side in sides],
        'images at once': [(batch, dict(batch=batch)) for batch in BATCHES],
        'classes': [(classes, dict(classes=classes)) for classes in CLASSES],
    }
    for path in configs or [str(configs_folder() / name) for name in _DEFAULT]:
        for axis, points in axes.items():
            measured = [_measure(path, repeats, **settings) for _, settings in points]
            yield grown(f'labels of {Path(path).name}', axis, [at for at, _ in points], measured)


def grown(name: str, axis: str, sizes: Sequence[int], measured: Sequence[dict]) -> Case:
    """A case of growth.

    Args:
        name: What was measured.
        axis: What ``sizes`` count.
        sizes: In ascending order.
        measured: ``seconds`` and ``bytes`` of each size.
    """
    case: Case = dict(case=name, axis=axis, sizes=list(sizes))
    for key in ('seconds', 'bytes'):
        costs = [point[key] for point in measured]
        fits = min(costs) > 0 and len(costs) > 1
        case[key] = costs
        case[f'{key}_exponent'] = exponent(sizes, costs) if fits else None
        case[f'{key}_last_exponent'] = last_exponent(sizes, costs) if fits else None
    return case


def _measure(
    path: str, repeats: int, *, side: int = _ALIKE, batch: int = 1, classes: int = 0
) -> dict[str, Any]:
    cfg = load_config(path)
    if classes:
        _set_classes(cfg, classes)
    network: Any = build(cfg).eval()
    with quick(network, labels=True, fast=True):
        predict = _predict(network, _inputs(network, (), side, batch))
        predict()
        with LiveBytes() as held:
            predict()
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            predict()
            seconds.append(time.perf_counter() - start)
    return dict(seconds=float(torch.tensor(seconds).median()), bytes=held.peak)


def _set_classes(cfg: Config, classes: int) -> None:
    heads = [cfg.model.get('decode_head'), cfg.model.get('auxiliary_head')]
    for head in heads:
        for one in head if isinstance(head, (list, tuple)) else [head]:
            if one is not None:
                one.num_classes = classes
                losses = one.get('loss_decode')
                for loss in losses if isinstance(losses, (list, tuple)) else [losses]:
                    (loss or {}).pop('class_weight', None)
