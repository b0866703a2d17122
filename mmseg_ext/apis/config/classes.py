"""Classes of a config's data, and the checks that network and losses have as many."""

from typing import Any, Optional

from mmengine.config import Config
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from torch import nn


def class_metas(cfg: Config, part: str = 'test') -> list[dict]:
    """Return the class information of a split; a setting in the config comes before the data set's.

    Args:
        cfg: A complete config.
        part: ``'train'``, ``'val'`` or ``'test'``.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = (cfg.get(f'{part}_dataloader') or {}).get('dataset') or {}
    while dataset.get('dataset') or dataset.get('datasets'):  # wrapped or concatenated
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    kind = dataset.get('type')
    found = DATASETS.get(kind) if isinstance(kind, str) else kind
    return [dict(dataset.get('metainfo') or {}), getattr(found, 'METAINFO', {})]


def known_classes(cfg: Config, part: str = 'test') -> Optional[list[str]]:
    """Return the class names of a split; ``None`` if the config does not have them."""
    for meta in class_metas(cfg, part):
        if meta.get('classes'):
            return list(meta['classes'])
    return None


def check_num_classes(model: Any, cfg: Config, part: str) -> None:
    """Refuse a network whose number of classes differs from the data.

    Args:
        model: Model built from ``cfg``.
        cfg: Config of model and data.
        part: The first split that is used.

    Raises:
        ValueError: If they differ; the message names the setting and both numbers.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    classes = known_classes(cfg, part)
    channels = getattr(model, 'out_channels', None)
    if classes is None or not isinstance(channels, int):
        return
    told = 2 if channels == 1 and _has_sigmoid(getattr(model, 'decode_head', None)) else channels
    if told != len(classes):
        names = ', '.join(map(str, classes[:30]))
        raise ValueError(
            f'model.decode_head.num_classes: the network tells {told} '
            f'class{"es" if told != 1 else ""} apart, and the {part} data have {len(classes)} '
            f'({names}): set num_classes={len(classes)}'
        )


def check_class_weights(model: nn.Module) -> None:
    """Refuse weights of classes that are more or fewer than a head's classes.

    Losses of mmseg that go through the classes one by one take the first of too many weights.

    Args:
        model: Network with heads that have losses.

    Raises:
        ValueError: If a loss has another number of them; the message names the setting.
    """
    for name, head in model.named_modules():
        classes = getattr(head, 'num_classes', None)
        for loss in _losses_of(head) if classes is not None else []:
            weights = getattr(loss, 'class_weight', None)
            if weights is None or len(weights) in (classes, getattr(head, 'out_channels', None)):
                continue
            raise ValueError(
                f'model.{name}.loss_decode.class_weight: {type(loss).__name__} has '
                f'{len(weights)} weights for {classes} classes: give one for each class'
            )


def _has_sigmoid(head: Any) -> bool:
    """Tell whether a head has one channel for two classes (sigmoid loss or threshold)."""
    plain = [loss for loss in _losses_of(head) if getattr(loss, 'use_sigmoid', None) is False]
    return not plain


def _losses_of(head: Any) -> list[Any]:
    losses = getattr(head, 'loss_decode', None)
    return list(losses) if isinstance(losses, nn.ModuleList) else [losses]
