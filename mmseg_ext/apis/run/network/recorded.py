"""The settings of converted weights as their file stores them: path in the model to plain value.

A converter writes them, and ``settings.py`` compares them with those of a config.
"""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from mmseg.registry import MODELS

from ..checkpoints import read_checkpoint
from .facts import plain_value

Settings = dict[str, Any]

IMAGES = 'data_preprocessor'
_NOT_RECORDED = ('init', 'pretrain', 'loss', 'sampler')  # these concern training only


def settings_of(model: Mapping[str, Any], images: Optional[Mapping[str, Any]] = None) -> Settings:
    """Return the settings of a model's parts, defaults included: path to plain value.

    Args:
        model: Configs of the parts, and plain settings of the model itself.
        images: ``mean``, ``std`` and ``bgr_to_rgb`` of the preprocessor; ``None`` if unknown.
    """
    given = {**model, IMAGES: dict(images)} if images is not None else dict(model)
    return {
        path: value
        for name, part in given.items()
        for path, value in flatten(effective(part), name)
        if not any(word.startswith(_NOT_RECORDED) for word in path.split('.'))
    }


def effective(part: Any) -> Any:
    """Return a part's config, completed with the defaults of its class."""
    if not isinstance(part, Mapping) or 'type' not in part:
        return part
    return {**_defaults(MODELS.get(part['type'])), **part}


def _defaults(kind: Any) -> dict[str, Any]:
    """Return the defaults of a class's arguments, not of ``**kwargs``, which the class may fix."""
    if kind is None:  # its package is not installed
        return {}
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def flatten(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the plain values inside a setting, each with its path."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flatten(inner, f'{path}.{key}')
    else:
        plain = _recordable(value)
        if plain is not None or value is None:
            yield path, plain


def _recordable(value: Any) -> Any:
    """Return a plain value, or a dict or list of these; ``None`` for any other value."""
    if isinstance(value, Mapping):
        return {str(key): _recordable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_recordable(inner) for inner in value]
    return plain_value(value)


def read_meta(checkpoint: Any) -> Any:
    """Return the meta data of a checkpoint file; empty for an address, or if there is none."""
    if not Path(str(checkpoint)).is_file():
        return {}
    return read_checkpoint(checkpoint).get('meta') or {}


def settings_in(meta: Any) -> Settings:
    """Return the settings that a converter wrote into a checkpoint's meta data; may be empty."""
    came = meta.get('converted_from') if isinstance(meta, Mapping) else None
    return dict(came.get('settings') or {}) if isinstance(came, Mapping) else {}


def nested_settings(flat: Settings) -> dict[str, Any]:
    """Turn settings by path into nested configs."""
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *folders, leaf = path.split('.')
        place = nested
        for folder in folders:
            place = place.setdefault(folder, {})
        place[leaf] = value
    return nested
