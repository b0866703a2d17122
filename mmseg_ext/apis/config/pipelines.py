"""Which steps prepare an image for a model: those of the loader that the test reads.

``test_pipeline`` at the top of a config is but a variable, which a config that sets its loaders by
itself leaves behind.
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
    """The pipeline of a data set's config, also of one that others wrap or join.

    Args:
        dataset: Of a loader; of several that are joined, the first one counts.
    """
    if not isinstance(dataset, dict):
        return None
    if dataset.get('pipeline'):
        return list(dataset['pipeline'])
    return pipeline_of(dataset.get('dataset') or (dataset.get('datasets') or [None])[0])


def test_steps(cfg: Config) -> list[dict]:
    """Steps by which the test of a config prepares an image, without those that read labels.

    Those of ``test_dataloader`` count; ``test_pipeline`` does where there is no loader. Where both
    are there and differ, one line says which is taken.

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
    """The first step of a pipeline that reads a mask; mmseg's own if there is none."""
    return next((s for s in steps if s['type'] in LOADERS), dict(type='LoadAnnotations'))


def reads_labels(step: dict) -> bool:
    """Whether a step of a pipeline reads a file of labels, which a new image does not have."""
    kind = step['type']
    if kind in _NAMED:
        return True
    found = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
    return isinstance(found, type) and issubclass(found, (LoadAnnotations, LoadLabels))
