"""Configs of semi-supervised runs, and the plain segmentor within, which is tested."""

from typing import Any

from mmengine.config import Config

_WRAPPER = 'SemiSegmentor'


def is_semi(model: Any) -> bool:
    """Whether the config of a model is a semi-supervised one."""
    kind = model.get('type') if isinstance(model, dict) else None
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    return name.rpartition('.')[2] == _WRAPPER


def plain_model(model: Any) -> Any:
    """The segmentor's own config, also within test-time augmentation; others stay as they are."""
    if is_semi(model):
        inner = type(model)(model['segmentor'])
        if model.get('data_preprocessor') is not None:
            inner['data_preprocessor'] = model['data_preprocessor']
        return inner
    if isinstance(model, dict) and is_semi(model.get('module')):
        return type(model)({**model, 'module': plain_model(model['module'])})
    return model


def use_plain(cfg: Config) -> None:
    """Let a config's model be the plain segmentor, for all but the training."""
    if 'model' in cfg:
        cfg.model = plain_model(cfg.model)
