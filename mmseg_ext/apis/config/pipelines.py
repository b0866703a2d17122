"""The pipeline steps that prepare an image for a model: those of the test data loader.

``test_pipeline`` at the top of a config is only a variable; it is unused if a config sets its data
loaders in another way.
"""

import logging
from typing import Any, Optional

from mmcv.transforms import LoadAnnotations
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS

from ...core.labels import LOADERS
from ...datasets.loading import LoadLabels

_NAMED = (*LOADERS, 'LoadBiomedicalAnnotation', 'LoadDepthAnnotation')


def pipeline_of(dataset: Any) -> Optional[list]:
    """Return the pipeline of a data set's config, also if it is wrapped or concatenated.

    Args:
        dataset: Data set config of a loader; of concatenated ones, the first counts.
    """
    if not isinstance(dataset, dict):
        return None
    if dataset.get('pipeline'):
        return list(dataset['pipeline'])
    return pipeline_of(dataset.get('dataset') or (dataset.get('datasets') or [None])[0])


def test_steps(cfg: Config) -> list[dict]:
    """Return the steps that prepare a test image, without those that read labels.

    They come from ``test_dataloader`` or, without one, from ``test_pipeline``. If both exist and
    differ, a log line says which is used.

    Raises:
        ValueError: If the config has neither.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    loaded = pipeline_of((cfg.get('test_dataloader') or {}).get('dataset'))
    named = cfg.get('test_pipeline')
    if not loaded and not named:
        raise ValueError(
            f'{cfg.filename or "the config"} has no test_dataloader.dataset.pipeline: how an image '
            'is prepared is unknown'
        )
    if not loaded:
        return _without_labels(list(named))
    steps = _without_labels(loaded)
    if named and _without_labels(list(named)) != steps:
        print_log(
            'test_pipeline of the config differs from what its test_dataloader does: images are '
            'prepared as the loader does it, as in testing',
            'current',
            logging.WARNING,
        )
    return steps


def _without_labels(steps: list) -> list[dict]:
    return [step for step in steps if not reads_labels(step)]


def label_loader(steps: list) -> dict:
    """Return the first step of a pipeline that reads a mask; mmseg's own if there is none."""
    return next((s for s in steps if s['type'] in LOADERS), dict(type='LoadAnnotations'))


def reads_labels(step: dict) -> bool:
    """Tell whether a step reads a label file, which a new image does not have."""
    kind = step['type']
    if kind in _NAMED:
        return True
    found = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
    return isinstance(found, type) and issubclass(found, (LoadAnnotations, LoadLabels))
