"""Benchmark of learning with few labels against the work that cannot be spared; see ``few_labels``.

Shape letters: N point, D feature, H row, W column.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from ...models.segmentors.passes import in_mode, logits_of
from ...models.segmentors.semi import SemiSegmentor
from ...models.segmentors.semi_inputs import Unlabelled
from ..config.pipelines import test_steps
from ..config.written import configs_folder
from ..labels.exchange import LabelNames, Predicted
from ..labels.k_centre import k_centre
from ..labels.label_studio import make_task, write_tasks
from ..labels.pool import ScorePool
from ..run.config import load_config
from .timing import Case, compare, register, training_loss

_ROW = 'survey/unimatch_deeplabv3plus_mobilenetv2_camvid180_eighth.py'
_MASKS = 20  # exported in one timed call
_CLASSES = ('background', 'road', 'building', 'car')


@register
def few_labels(
    repeats: int,
    *,
    configs: Sequence[str] = (),
    size: int = 192,
    batch: int = 4,
    points: tuple[int, int, int] = (10_000, 256, 1_000),
    mask: int = 1000,
) -> Iterator[Case]:
    """Compare steps, scores, k-centre and export with their passes, plain loops and PNG files.

    Args:
        repeats: Timed calls of each side.
        configs: Semi-supervised configs; without any, UniMatch's row on CamVid.
        size: Height and width of images for steps and scores.
        batch: Labelled images of a step, and unlabelled ones; images that are scored.
        points: N, D and how many centers are taken.
        mask: Height and width of exported masks.
    """
    for path in configs or [str(configs_folder() / _ROW)]:
        network = _semi(path)
        yield dict(
            case=f'training step of {Path(path).stem}, {batch} + {batch} images, {size}x{size}',
            reference='its forward and backward passes one by one',
            **compare(*_steps(network, size, batch), repeats=repeats),
        )
        with tempfile.TemporaryDirectory() as folder:
            yield dict(
                case=f'entropy of {batch} images, {size}x{size}, with features',
                reference='reading and forward passes',
                **compare(*_scores(network, path, Path(folder), size, batch), repeats=repeats),
            )
    yield _centres(points, repeats)
    with tempfile.TemporaryDirectory() as folder:
        yield dict(
            case=f'Label Studio tasks of {_MASKS} masks, {mask}x{mask}',
            reference='the same masks as PNG files',
            **compare(*_exports(Path(folder), mask), repeats=repeats),
        )


def _semi(path: str) -> SemiSegmentor:
    cfg = load_config(path)
    init_default_scope(cfg.default_scope)
    network = MODELS.build(cfg.model)
    if not isinstance(network, SemiSegmentor):
        raise ValueError(f'the benchmark few_labels times SemiSegmentor, which {path} does not use')
    return network


def _steps(
    network: SemiSegmentor, size: int, batch: int
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    labelled = training_loss(network.student, size, batch, amp=False)
    views = [torch.randn(batch, 3, size, size) for _ in range(1 + len(network.strong_weights))]
    ignore = torch.zeros(batch, size, size, dtype=torch.bool)
    images = Unlabelled(views[0], tuple(views[1:]), ignore, None)
    network.threshold = 0.0  # every pixel counts, as late in a training

    def step() -> None:
        network.zero_grad()
        network.train()
        loss = labelled() + network.parse_losses(network.unlabelled_loss(images))[0]
        loss.backward()
        network.update_teacher()

    def passes() -> None:
        network.zero_grad()
        labelled().backward()
        with torch.no_grad(), in_mode(network.tested, training=False):
            logits_of(network.tested, images.weak)
        logits_of(network.student, torch.cat(images.strong)).mean().backward()
        if network.feature_weight:
            logits_of(network.student, images.weak).mean().backward()

    return step, passes


def _scores(
    network: SemiSegmentor, path: str, folder: Path, size: int, batch: int
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    names = {str(index): str(folder / f'{index}.png') for index in range(batch)}
    for file in names.values():
        pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
        Image.fromarray(pixels).save(file)
    model = network.tested.eval()
    model.data_preprocessor = network.data_preprocessor
    model.cfg = load_config(path)  # type: ignore[assignment]
    classes = [str(number) for number in range(model.num_classes)]
    model.dataset_meta = dict(classes=classes)  # type: ignore[assignment]
    pipeline = Compose(test_steps(model.cfg))

    @torch.inference_mode()
    def forward() -> None:
        for file in names.values():
            data = pipeline(dict(img_path=file, seg_fields=[], reduce_zero_label=False))
            model.test_step(dict(inputs=[data['inputs']], data_samples=[data['data_samples']]))

    return lambda: ScorePool(model)(names), forward


def _centres(points: tuple[int, int, int], repeats: int) -> Case:
    number, width, count = points
    features = np.random.default_rng(0).normal(size=(number, width))
    first = features[:1]
    equal = np.array_equal(
        k_centre(features, first, min(count, 50)), _plain_centres(features, first, min(count, 50))
    )
    return dict(
        case=f'{count} centers of {number}x{width} features',
        reference='all distances to each new center',
        equal_choice=equal,
        **compare(
            lambda: k_centre(features, first, count),
            lambda: _plain_centres(features, first, count),
            repeats=repeats,
        ),
    )


def _plain_centres(features_ND: np.ndarray, first_1D: np.ndarray, count: int) -> np.ndarray:
    chosen: list[int] = []
    nearest = ((features_ND - first_1D) ** 2).sum(1)
    for _ in range(count):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((features_ND - features_ND[chosen[-1]]) ** 2).sum(1))
    return np.array(chosen)


def _exports(folder: Path, size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    palette = tuple((index * 60, 90, 200) for index in range(len(_CLASSES)))
    names = LabelNames(_CLASSES, palette)
    masks = [_blobs(seed, size) for seed in range(_MASKS)]

    def tasks() -> None:
        images = (Predicted(f'{i}.png', m.shape, m, 0.5) for i, m in enumerate(masks))
        write_tasks(folder / 'tasks.json', (make_task(image, names) for image in images))

    def files() -> None:
        for index, label in enumerate(masks):
            Image.fromarray(label).save(folder / f'{index}.png')

    return tasks, files


def _blobs(seed: int, size: int) -> np.ndarray:
    """A mask with curved borders, ``(H, W)``."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size
    label = np.zeros((size, size), np.uint8)
    for index in range(12):
        row, column, radius = random.random(3)
        inside = (rows - row) ** 2 + (columns - column) ** 2 < (radius / 4) ** 2
        label[inside] = 1 + index % (len(_CLASSES) - 1)
    return label
