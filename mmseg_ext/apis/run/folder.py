"""Read what training, testing and predicting leave in a work folder.

``results.json`` comes from testing, ``<config>.py`` from training, ``predictions/`` from predicting
into it. Shape letters: H row, W column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS

from ...core.files import PathLike, read_json
from ...core.reading import read_mask
from ..config.pipelines import label_loader
from ..draw.pixels import read_rgb
from .listing import read_predictions
from .old_results import renew_intervals
from .results_check import check_results

# What ``results.json`` says of how a run came about.
RUN_FACTS = (
    'config',
    'init',
    'converted',
    'seed',
    'iterations',
    'commit',
    'dirty',
    'hardware',
    'torch',
    'date',
)


@dataclass(frozen=True)
class Example:
    """One test image with its prediction, and its labels if they were found."""

    name: str
    image: np.ndarray
    label: np.ndarray
    truth: Optional[np.ndarray]


def constant_miou(confusion: Sequence[Sequence[int]]) -> Optional[float]:
    """Compute the mIoU of predicting the most frequent class everywhere, on the same pixels.

    That class has the share of its pixels for IoU; each other class that occurs has 0.
    """
    labelled = np.asarray(confusion, np.int64).sum(axis=1)
    if not labelled.sum():
        return None
    return float(labelled.max() / labelled.sum() / np.count_nonzero(labelled))


def converted_note(converted: Optional[dict]) -> Optional[str]:
    """Say whose weights a run used, ``None`` if it was ours from the start.

    Args:
        converted: The fact of that name in ``results.json``.
    """
    if converted is None:
        return None
    return f'{converted["file"]} of {converted["origin"]}, training not reproduced'


def read_results(work_dir: PathLike) -> dict:
    """Read ``results.json``; older intervals are computed again where the counts are kept.

    Raises:
        FileNotFoundError: If the run was not tested.
        ValueError: If the file lacks what a report needs.
    """
    path = Path(work_dir) / 'results.json'
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} does not exist; test the run first: '
            f'python tools/test.py CONFIG CHECKPOINT --work-dir {work_dir}'
        )
    results = read_json(path)
    check_results(results, path)
    return renew_intervals(results, work_dir)


def find_config(work_dir: PathLike, results: dict) -> Optional[Config]:
    """Load the config that the training left in its work folder, if it is there."""
    stem = Path(str(results.get('config') or '')).stem
    candidates = [Path(work_dir) / f'{stem}.py', *sorted(Path(work_dir).glob('*.py'))]
    for path in candidates:
        if path.is_file():
            return Config.fromfile(path)
    return None


def test_dataset(cfg: Config) -> Any:
    """Build the data set of the config's test, without its pipeline."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return DATASETS.build(dict(cfg.test_dataloader.dataset, pipeline=[]))


def load_truth(cfg: Config, images: Sequence[str]) -> dict[str, np.ndarray]:
    """Load the labels of test images as the test sees them: mapped, 255 where ignored.

    Returns:
        Image path to ``(H, W)`` labels, for those images that belong to the test set.
    """
    dataset = test_dataset(cfg)
    load = TRANSFORMS.build(label_loader(cfg.test_dataloader.dataset.pipeline))
    wanted = {str(Path(image).absolute()): image for image in images}
    truths = {}
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        image = wanted.get(str(Path(info['img_path']).absolute()))
        if image is not None:
            truths[image] = np.asarray(load(info)['gt_seg_map'])
    return truths


def read_examples(
    work_dir: PathLike, cfg: Optional[Config], limit: int = 6
) -> tuple[list[Example], list[list[int]]]:
    """Read the first predictions of a work folder with their images and labels.

    Returns:
        The examples and the palette; both empty if nothing was predicted.
    """
    listing = Path(work_dir) / 'predictions' / 'predictions.json'
    if not listing.is_file():
        return [], []
    content = read_predictions(listing)
    entries = [entry for entry in content['images'] if Path(entry['image']).is_file()][:limit]
    truths: dict[str, np.ndarray] = {}
    if cfg is not None:
        try:
            truths = load_truth(cfg, [entry['image'] for entry in entries])
        except (OSError, ValueError):  # the data have moved: the pictures are worth showing still
            truths = {}
    examples = []
    for entry in entries:
        label = read_mask(str(listing.parent / entry['mask']))
        image = read_rgb(entry['image'])
        truth = truths.get(entry['image'])
        if image.shape[:2] == label.shape:
            name = Path(entry['image']).stem
            examples.append(Example(name, image, label, truth))
    return examples, content['palette']


def describe_dataset(results: dict, cfg: Optional[Config]) -> dict[str, Any]:
    """Say what a run was tested on: ``name``, ``split`` and ``num_images``, ``None`` if unknown.

    The results come first; what they do not say is read off the config.
    """
    said = dict(results.get('dataset') or {})
    dataset = cfg.test_dataloader.dataset if cfg is not None else {}
    prefix = dataset.get('data_prefix') or {}
    split = Path(dataset.get('ann_file') or prefix.get('img_path') or '').stem
    return dict(
        name=said.get('name') or dataset.get('type'),
        split=said.get('split') or split or None,
        num_images=said.get('num_images') or results.get('num_images'),
    )


def training_config(work_dir: PathLike, results: dict) -> Optional[Config]:
    """Load the config of the training; that of a later test may lack its options."""
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    for path in reversed([log.with_name('config.py') for log in logs]):
        if path.is_file():
            return Config.fromfile(path)
    return find_config(work_dir, results)
