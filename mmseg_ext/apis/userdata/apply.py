"""Let any config train and test on the data of a user's file (see ``file.py``).

The rules of ``rules.py`` change the settings that depend on the data. Loaders, crop, iterations and
start have a file of their own each. The log lists all changes. The network, the optimiser, the
augmentation and the number of epochs stay those of the config.
"""

import copy
from typing import Any, Optional

from mmengine.config import Config
from mmengine.logging import print_log

from ...core.files import PathLike
from ..config.metrics import add_facts, metrics_of
from ..config.semi import join_unlabelled, needs_unlabelled, take_apart
from .changes import Case
from .channels import use_channels
from .crop import use_crop
from .data import read_user_data
from .file import DataFile
from .iterations import use_iterations
from .loaders import pipelines_of, steps_of, use_loaders
from .record import record_data
from .rules import METRIC, Note, follow, follow_model
from .starts import redirect_start
from .unlabelled import unlabelled_dataset
from .volumes.record import group_voxels


def apply_dataset(cfg: Config, path: PathLike, options: Optional[dict] = None) -> DataFile:
    """Change a config so that it trains and tests on the user's data. Writes nothing.

    Classes, ignored label, loaders, crop, losses, metrics and iterations follow the data. Up to 100
    masks of each split are read. A loss or transform that names classes and has no rule is left
    alone, with a warning.

    Args:
        cfg: A complete config; changed in place. Apply the user's options afterwards.
        path: The data set file.
        options: Options that the user will set afterwards; the log reports these values instead.

    Returns:
        The content of the file; its ``name`` must become part of the name of the run.

    Raises:
        FileNotFoundError: If the file, a folder, a list or a mask is absent.
        ValueError: If the file contradicts itself or the masks, a split is empty, or it names no
            unlabelled images where the config learns from some.
    """
    data = read_user_data(path)
    file = data.file
    for key in cfg:  # test_dataloader and val_dataloader may be one dict, but both are changed
        cfg[key] = copy.deepcopy(cfg[key])
    semi = take_apart(cfg)
    joins = needs_unlabelled(semi)
    unlabelled = unlabelled_dataset(file, ()) if joins else {}  # before anything is told
    loaded = use_loaders(cfg, data)
    of_model = follow_model(cfg.model, Case(data))
    classes = _use_classes(cfg, file)
    crop, cropped = use_crop(cfg, data)
    channels = use_channels(cfg, file)
    of_steps = _use_steps(cfg, Case(data, crop=crop))
    start = redirect_start(cfg, data)  # before the number of images of the row is overwritten
    length = use_iterations(cfg, data, options or {})
    of_metrics = _use_metrics(cfg, Case(data))
    record_data(cfg, file)
    if semi is not None:
        join_unlabelled(cfg, unlabelled, {**semi, **_of_model(options or {})})
    said = map(Note, filter(None, (classes, channels, cropped, start, length)))
    for text, level in dict.fromkeys([Note(loaded), *of_model, *of_steps, *said, *of_metrics]):
        print_log(f'{file.name}: {text}', 'current', level)
    return file


def _of_model(options: dict) -> dict:
    """Options that are arguments of the model: how many views are drawn follows from them."""
    names = {key: key.removeprefix('model.') for key in options if key.startswith('model.')}
    return {name: options[key] for key, name in names.items() if '.' not in name}


def _use_classes(cfg: Config, file: DataFile) -> str:
    """Set number of classes and ignored label at the top of the config."""
    cfg.merge_from_dict(dict(num_classes=len(file.classes), ignore_index=file.ignore_index))
    if 'metainfo' in cfg:  # names the row's classes; nothing reads it any more
        cfg.metainfo = file.dataset_config('train')['metainfo']
    names = ', '.join(file.classes)
    return f'{len(file.classes)} classes ({names}), ignored label {file.ignore_index}'


def _use_steps(cfg: Config, case: Case) -> list[Note]:
    """Adapt the steps of all pipelines to classes and crop."""
    steps = [step for pipeline in pipelines_of(cfg) for step in steps_of(pipeline)]
    return [note for step in steps for note in follow(step, case, 'a pipeline')]


def _use_metrics(cfg: Config, case: Case) -> list[Note]:
    """Name the data set in the results, and drop settings for the row's images or classes."""
    notes = []
    facts: dict[str, Any] = dict(dataset=dict(name=case.data.file.name))
    voxels = group_voxels(case.data.file)
    facts.update(dict(voxel_mm3=voxels) if voxels else {})
    for part in ('val', 'test'):
        for metric in metrics_of(cfg, part):
            notes += follow(metric, case, f'{part}_evaluator', place=METRIC)
        add_facts(metrics_of(cfg, part), facts)
    return notes
