"""Ensemble of several models: the mean of their probabilities.

Unlike averaging weights, it only requires that the models have the same classes.
Shape letters: K class, H row, W column.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from ...core.files import PathLike
from ...core.probabilities import as_probabilities
from ...models.segmentors.averaged import set_probabilities
from ..config.metrics import metrics_of
from ..run.folder import RunFolder
from ..run.image_names import name_images
from ..run.load import load_model
from ..run.outcome.examples import test_dataset
from .found import find_images
from .output import predict_to_folder
from .predictor import Failure


class AveragedModel(nn.Module):
    """Segmentors whose probabilities are averaged; predicts like one of them.

    ``seg_logits`` of its samples is the mean probability. ``pred_sem_seg`` is the most probable
    class or, for models with a single output channel, whether it exceeds their mean threshold.

    Args:
        models: Models from :func:`load_model` on one device, with the same classes.

    Raises:
        ValueError: If there is no model or their classes differ.
    """

    def __init__(self, models: Sequence[Any]) -> None:
        super().__init__()
        if not models:
            raise ValueError('averaging needs at least one model')
        classes = [list(model.dataset_meta['classes']) for model in models]
        if any(names != classes[0] for names in classes):
            raise ValueError(f'only models of the same classes can be averaged, got {classes}')
        self.models = nn.ModuleList(models)
        self.cfg = models[0].cfg
        self.dataset_meta = models[0].dataset_meta

    def test_step(self, data: dict[str, Any]) -> list[Any]:
        """Predict one batch.

        Args:
            data: ``inputs`` and ``data_samples``, as from a test pipeline.

        Returns:
            The data samples with ``seg_logits`` and ``pred_sem_seg``.
        """
        # Each model changes the samples and preprocesses the inputs, so each gets a copy.
        models: Any = self.models
        batches = [model.test_step(copy.deepcopy(data)) for model in models]
        return [self._mean(list(samples)) for samples in zip(*batches)]

    def _mean(self, samples: list[Any]) -> Any:
        probs = [as_probabilities(sample.seg_logits.data) for sample in samples]
        single = len(samples[0].seg_logits.data) == 1
        mean_KHW = torch.stack(probs).mean(dim=0)
        return set_probabilities(samples[0], mean_KHW, self._threshold() if single else None)

    def _threshold(self) -> float:
        models: Any = self.models
        return sum(model.decode_head.threshold for model in models) / len(models)


def load_average(
    config: PathLike,
    checkpoints: Sequence[PathLike],
    *,
    device: str = 'auto',
    cfg_options: Optional[dict] = None,
    dataset: Optional[PathLike] = None,
) -> AveragedModel:
    """Load several checkpoints of one config.

    Args:
        config: Config file, or ``package::path``.
        checkpoints: Checkpoint file of each model.
        device: ``'auto'`` takes CUDA if there is one.
        cfg_options: Settings that override the config's.
        dataset: Data set file to which the config is adapted, as in training.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a checkpoint is of another model.
    """
    models = [
        load_model(
            config, path, device=device, cfg_options=copy.deepcopy(cfg_options), dataset=dataset
        )
        for path in checkpoints
    ]
    return AveragedModel(models).eval()


def score_average(model: AveragedModel, cfg: Config, folder: PathLike) -> dict:
    """Score averaged models on the test data of a config.

    Args:
        model: The models.
        cfg: Config with data and metrics.
        folder: Folder for ``results.json`` and ``per_image.npz``.

    Returns:
        The scores of the metrics, in per cent.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    metrics = copy.deepcopy(metrics_of(cfg))
    for metric in metrics:
        metric.update(RunFolder(folder).result_files(metric))
    loader = Runner.build_dataloader(copy.deepcopy(cfg.test_dataloader))
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = loader.dataset.metainfo
    name_images(evaluator.metrics, loader.dataset)
    with torch.inference_mode():
        for data in loader:
            evaluator.process(data_samples=model.test_step(data), data_batch=data)
    return evaluator.evaluate(len(loader.dataset))


def run_average(
    model: AveragedModel,
    cfg: Config,
    folder: PathLike,
    *,
    inputs: Sequence[PathLike] = (),
    seen: Sequence[PathLike] = (),
    prob: bool = False,
    source: Optional[dict] = None,
) -> list[Failure]:
    """Predict images with averaged models; score them unless a model was trained on one of them.

    Args:
        model: The models.
        cfg: The config before any fold was selected.
        folder: Folder for masks, overlays, probabilities and, with a score, ``results.json``.
        inputs: Image files or folders. Without any, the config's test images are predicted and
            scored.
        seen: Training images of the models; if one of them is predicted, there is no score.
        prob: Also write probabilities.
        source: Information to store in the list of predictions.

    Returns:
        The images that could not be predicted.

    Raises:
        FileNotFoundError: If an input does not exist.
        ValueError: If a folder holds no image.
    """
    if inputs:
        return predict_to_folder(model, find_images(inputs), folder, prob=prob, source=source)
    dataset = test_dataset(cfg)
    images = [Path(dataset.get_data_info(i)['img_path']) for i in range(len(dataset))]
    failures = predict_to_folder(model, images, folder, prob=prob, source=source)
    known = {Path(path).resolve() for path in seen}
    shared = sum(path.resolve() in known for path in images)
    if shared:
        print(
            f'{shared} of the {len(images)} test images are in the folds, so that some of the '
            'models were trained on them: predicted, not scored'
        )
    else:
        score_average(model, cfg, folder)
    return failures
