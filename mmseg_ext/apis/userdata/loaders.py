"""Data loaders of a config for a user's data: pipelines stay, and labels are checked."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from ..config.pipelines import pipeline_of, reads_labels
from .data import UserData
from .file import PARTS
from .pairing import pair_files
from .scan import probe_images

_IMAGE_LOADER = 'LoadImageFromFile'


def use_loaders(cfg: Config, data: UserData) -> str:
    """Replace the data sets; each split keeps the config's pipeline with checked labels.

    The batch size is reduced if the data set is too small to fill a batch.

    Returns:
        A message for the user.

    Raises:
        ValueError: If a data set has no pipeline, or an image cannot be read.
    """
    for part in PARTS:
        loader = cfg.get(f'{part}_dataloader')
        if not loader:
            continue
        pipeline = pipeline_of(loader['dataset'])
        if pipeline is None:
            raise ValueError(f'{part}_dataloader.dataset has no pipeline that could be kept')
        for step in steps_of(pipeline):
            if reads_labels(step):
                _replace(step, type='LoadLabels')
        if any(kind_of(step) == _IMAGE_LOADER for step in steps_of(pipeline)):
            probe_images(data.file, part)
        loader['dataset'] = data.file.dataset_config(part, pipeline)
    _use_image_loading(cfg, data)
    train = cfg.train_dataloader
    endless = 'Infinite' in str((train.get('sampler') or {}).get('type'))
    if not endless and train.get('batch_size', 1) > data.num_train:
        train['batch_size'] = data.num_train
    cfg.dataset_type, cfg.data_root = 'FolderDataset', str(data.file.root)
    sizes = ', '.join(f'{part} {len(pair_files(data.file, part).pairs)}' for part in PARTS)
    tested = '' if 'test' in data.file.parts else ' (which is val)'
    return f'images: {sizes}{tested}; batch {train.get("batch_size", 1)}'


def _use_image_loading(cfg: Config, data: UserData) -> None:
    """Replace the config's loader by ``LoadImage`` for images that are not 8-bit color."""
    for pipeline in pipelines_of(cfg) if data.file.image_loading else []:
        for step in steps_of(pipeline):
            if kind_of(step) == _IMAGE_LOADER:
                _replace(step, type='LoadImage', **data.file.image_loading)


def _replace(step: dict, **settings: Any) -> None:
    """Replace a step by another one with the same file backend."""
    kept = {key: step[key] for key in ('backend_args',) if key in step}
    step.clear()
    step.update(**settings, **kept)


def kind_of(module: dict) -> str:
    """Return the type name of a module, also if it has a scope prefix or is the class itself."""
    kind = module['type']
    return kind.__name__ if isinstance(kind, type) else str(kind).split('.')[-1]


def steps_of(pipeline: Any) -> Iterator[dict]:
    """Yield every transform of a pipeline, including nested ones."""
    if isinstance(pipeline, (list, tuple)):
        for part in pipeline:
            yield from steps_of(part)
    elif isinstance(pipeline, dict) and 'type' in pipeline:
        yield pipeline
        yield from steps_of(pipeline.get('transforms'))


def pipelines_of(cfg: Config) -> list[Any]:
    """Return all pipelines of a config: of its loaders, and of variables named as pipelines."""
    loaders = [cfg.get(f'{part}_dataloader') for part in PARTS]
    found = [loader['dataset']['pipeline'] for loader in loaders if loader]
    return [*found, *(cfg[key] for key in cfg if str(key).endswith('_pipeline'))]
