"""Measure the calibration of a run whose test did not measure it.

The numbers are those of ``tools/test.py --calibration``. No other score is computed again.
"""

from dataclasses import replace
from typing import Any

import torch
from mmengine.runner import Runner

from ...core.files import PathLike
from ...evaluation.calibration_metric import CalibrationMetric
from ..run.folder import RunFolder
from ..run.image_names import name_images


def ensure_calibration(work_dir: PathLike) -> bool:
    """Measure the calibration of a run's tested checkpoint, unless its files are there.

    Args:
        work_dir: Folder of a tested run. ``calibration`` is added to its ``results.json``, and
            ``per_image_calibration.npz`` is written.

    Returns:
        Whether the calibration was measured now.

    Raises:
        FileNotFoundError: If the run was not tested, or its checkpoint or data are missing.
        ValueError: If the work folder holds no config, or the checkpoint is of another model.
    """
    folder = RunFolder(work_dir)
    results = folder.results()
    if results.calibration and folder.calibration_file.is_file():
        return False
    from ..run.load import load_tested  # a run that has its calibration needs no network

    model: Any = load_tested(work_dir)[0]
    loader = Runner.build_dataloader(model.cfg.test_dataloader)
    metric = CalibrationMetric(per_image_file=str(folder.calibration_file))
    metric.dataset_meta = loader.dataset.metainfo
    name_images([metric], loader.dataset)
    with torch.no_grad():
        for batch in loader:
            samples = [sample.to_dict() for sample in model.test_step(batch)]
            metric.process(batch, samples)
    metric.evaluate(len(loader.dataset))
    replace(results, calibration=metric.calibration).write(folder.results_file())
    return True
