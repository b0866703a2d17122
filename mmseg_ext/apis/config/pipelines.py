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


def tta_steps(cfg: Config) -> list[dict]:
    """Return the steps of test-time augmentation; the last is ``TestTimeAug``.

    They are the config's ``tta_pipeline``. Without one, the test's steps follow on an image and its
    mirror image, and a log line says so.
    """
    if cfg.get('tta_pipeline'):
        return list(cfg.tta_pipeline)
    print_log(
        'the config has no tta_pipeline: test-time augmentation is the image and its mirror image',
        'current',
        logging.WARNING,
    )
    loaded = pipeline_of((cfg.get('test_dataloader') or {}).get('dataset'))
    loader, *others = loaded or list(cfg.test_pipeline)
    flips = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]
    return [loader, dict(type='TestTimeAug', transforms=[flips, *[[step] for step in others]])]


def _without_labels(steps: list) -> list[dict]:
    return [step for step in steps if not reads_labels(step)]


def unlabelled_tta_steps(cfg: Config) -> tuple[list[dict], list[list[dict]]]:
    """Return :func:`tta_steps` without those that read labels.

    Returns:
        The steps before ``TestTimeAug``, and the alternatives of each of its own steps.

    Raises:
        ValueError: If the last step is another.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    *before, last = tta_steps(cfg)
    if last['type'] != 'TestTimeAug':
        raise ValueError(f'the last step of tta_pipeline is {last["type"]}: it must be TestTimeAug')
    kept = [_without_labels(list(alternatives)) for alternatives in last['transforms']]
    return _without_labels(before), [alternatives for alternatives in kept if alternatives]


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
