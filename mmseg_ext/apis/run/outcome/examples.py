"""Load the test set of a run and its label maps, as the test sees them.

Shape letters: H row, W column.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS

from ...config.pipelines import label_loader


def test_dataset(cfg: Config) -> Any:
    """Build the data set of the config's test, without its pipeline."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return DATASETS.build(dict(cfg.test_dataloader.dataset, pipeline=[]))


def load_truth(cfg: Config, images: Sequence[str]) -> dict[str, np.ndarray]:
    """Load the label maps of test images as the test sees them: class indices, 255 for ignored.

    Returns:
        Image path to ``(H, W)`` label map, for the images that belong to the test set.
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
