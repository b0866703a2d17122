"""Load a trained model for predicting.

Differs from ``mmseg.apis.init_model``: checkpoints are read with ``weights_only=True``, and a
checkpoint of another model is refused instead of being loaded in part.
"""

import logging
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from ...core.files import PathLike
from ...core.labels import voc_palette
from ...core.semi_weights import weights_of_network
from ..config.classes import class_metas, known_classes
from ..config.own import own_config
from ..config.packages import check_packages
from ..config.pipelines import test_steps
from ..config.semi import use_plain
from ..config.untrained import untrained
from .checkpoints import check_classes, check_weights, read_checkpoint, weights_of
from .config import explained, load_config, override
from .folder import RunFolder
from .network.settings import check_settings


def choose_device(name: str = 'auto') -> torch.device:
    """Return the device of a name such as ``'auto'``, ``'cpu'``, ``'cuda'`` or ``'cuda:1'``.

    Raises:
        ValueError: If this machine has no such device, or the name is not a device name.
    """
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f'--device {name} cannot be used here ({error}); use --device cpu'
        ) from error
    return device


def class_names(
    cfg: Config, checkpoint: dict, num_classes: int
) -> tuple[list[str], list[list[int]]]:
    """Return class names and RGB colors, from the checkpoint or the config, or made-up ones."""
    known = (checkpoint.get('meta') or {}).get('dataset_meta')
    for meta in [known if isinstance(known, dict) else {}, *class_metas(cfg)]:
        names = list(meta.get('classes') or ())
        if len(names) == num_classes:
            colors = meta.get('palette')
            known = _are_colors(colors, num_classes)
            colors = [list(map(int, color)) for color in colors or ()] if known else []
            return list(map(str, names)), colors or voc_palette(num_classes)
    return [f'class {index}' for index in range(num_classes)], voc_palette(num_classes)


def _are_colors(values: Any, count: int) -> bool:
    if not isinstance(values, (list, tuple)) or len(values) != count:
        return False
    colors = [color for color in values if isinstance(color, (list, tuple)) and len(color) == 3]
    parts = [part for color in colors for part in color]
    return len(colors) == count and all(isinstance(p, int) and 0 <= p <= 255 for p in parts)


def load_model(
    config: PathLike,
    checkpoint: PathLike,
    *,
    device: str = 'auto',
    cfg_options: Optional[dict] = None,
    dataset: Optional[PathLike] = None,
) -> nn.Module:
    """Build the model of a config and load trained weights into it.

    If the config does not fit the checkpoint, for example because the row was trained on data with
    other classes, the config that the checkpoint was trained with is used instead, with a warning.

    Example::

        model = apis.load_model('configs/mfp/mfp_mobilenetv2_camvid.py', 'best.pth')

    Args:
        config: Config file, or ``package::path``.
        checkpoint: Checkpoint file that a training of this model wrote.
        device: ``'auto'`` takes CUDA if there is one.
        cfg_options: Settings that override those of the config, by dotted key.
        dataset: File that describes the user's data, if the model was trained on them. The config
            is changed as in training, and no other config is tried.

    Returns:
        The model in evaluation mode. It has the attributes ``cfg`` and ``dataset_meta``, as after
        mmseg's ``init_model``.

    Raises:
        FileNotFoundError: If the config or the checkpoint does not exist.
        ValueError: If the checkpoint belongs to another model or other classes, or cannot be read.
    """
    place = choose_device(device)
    cfg = load_config(config, options=cfg_options, dataset=dataset)
    content = read_checkpoint(checkpoint)
    try:
        model = _build(cfg, content, checkpoint)
    except ValueError as error:
        found = None if dataset is not None else own_config(content, checkpoint, config)
        if found is None:
            raise
        where, cfg = found
        try:
            override(cfg, cfg_options)
            model = _build(cfg, content, checkpoint)
        except ValueError:
            raise error from None
        print_log(
            f'{config} does not fit {checkpoint}: the config that it was trained with is taken '
            f'instead ({where})',
            'current',
            logging.WARNING,
        )
    return model.to(place).eval()


def _build(cfg: Config, content: dict, checkpoint: PathLike) -> nn.Module:
    """Build a model, check that the checkpoint has its weights and classes, and load it."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    use_plain(cfg)
    cfg.model.train_cfg = None
    cfg.model.pretrained = None
    check_packages(cfg.model)
    check_classes(content.get('meta'), known_classes(cfg), checkpoint)
    with explained(cfg, 'its model cannot be built'):
        model = MODELS.build(untrained(cfg.model))
    state = weights_of_network(weights_of(content, checkpoint), checkpoint)
    check_weights(model, checkpoint, complete=True, state=state)
    check_settings(cfg.model, content.get('meta'), checkpoint)
    model.load_state_dict(state, strict=False)
    num_classes = max(2, model.num_classes)  # a single logit separates two classes
    names, colors = class_names(cfg, content, num_classes)
    model.dataset_meta = dict(classes=names, palette=colors)
    # mmseg's inference functions read from this variable how to prepare an image
    cfg.test_pipeline = test_steps(cfg)
    model.cfg = cfg
    return model


def load_tested(work_dir: PathLike) -> tuple[nn.Module, Path]:
    """Load the network of a tested run.

    Example::

        model, checkpoint = apis.load_tested('work_dirs/mfp_mobilenetv2_camvid')

    Args:
        work_dir: Folder of the run.

    Returns:
        The model, as from :func:`load_model`, and the checkpoint that was tested.

    Raises:
        FileNotFoundError: If the run was not tested, or the checkpoint was deleted.
        ValueError: If the work folder contains no config, or the checkpoint belongs to another
            model.
    """
    folder = RunFolder(work_dir)
    results = folder.results()
    cfg = folder.tested_config(results.config)
    if cfg is None:
        raise ValueError(f'{work_dir} holds no config: its network cannot be built')
    checkpoint = RunFolder.of(cfg, work_dir).weights / str(results.checkpoint)
    return load_model(cfg.filename, checkpoint), checkpoint
