"""Choose the threshold of a two-class problem on validation images, never on those of the test."""

from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ...evaluation import DetailMetric
from ...evaluation.thresholds import best_threshold


def threshold_of_val(runner: Runner, cfg: Config) -> tuple[Optional[float], str]:
    """Choose the threshold of the highest Dice on the validation images.

    Args:
        runner: After its test, with the weights that were tested.
        cfg: Its config.

    Returns:
        The threshold, or ``None`` and the reason why there is none.
    """
    if not cfg.get('val_dataloader'):
        return None, 'the config has no val_dataloader'
    try:
        loader = Runner.build_dataloader(cfg.val_dataloader)
    except (OSError, ValueError) as error:
        return None, f'the validation images cannot be read: {error}'
    shared = len(_paths(loader.dataset) & _paths(runner.test_dataloader.dataset))
    if shared:
        return None, f'{shared} of the validation images are test images'
    metric = DetailMetric(curves_only=True)
    metric.dataset_meta = loader.dataset.metainfo
    model: Any = runner.model
    with torch.no_grad():
        for batch in loader:
            metric.process(batch, [sample.to_dict() for sample in model.test_step(batch)])
    metric.evaluate(len(loader.dataset))
    chosen = best_threshold(metric.counts['scores'])
    why = '' if chosen is not None else 'no validation image has a pixel of the class'
    return chosen, why


def _paths(dataset: Any) -> set[str]:
    infos = (dataset.get_data_info(place) for place in range(len(dataset)))
    return {str(Path(info['img_path']).resolve()) for info in infos}
