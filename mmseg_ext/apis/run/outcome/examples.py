"""Test images of a run with what it predicted and what is true, to be shown.

Shape letters: H row, W column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS

from ....core.masks import read_mask
from ...config.pipelines import label_loader
from ...draw.pixels import read_rgb
from ..folder import RunFolder
from .listing import read_predictions


@dataclass(frozen=True)
class Example:
    """One test image with its prediction, and its labels if they were found."""

    name: str
    image: np.ndarray
    label: np.ndarray
    truth: Optional[np.ndarray]


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
    folder: RunFolder, cfg: Optional[Config], limit: int = 6
) -> tuple[list[Example], list[list[int]]]:
    """Read the first predictions of a run with their images and labels.

    Args:
        folder: Of the run.
        cfg: Its config, which says where the labels are; without it there are none.
        limit: At most so many.

    Returns:
        The examples and the palette; both empty if nothing was predicted.
    """
    listing = folder.listing_file
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
