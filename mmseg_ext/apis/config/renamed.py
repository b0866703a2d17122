"""Types that have another name today, and configs that runs recorded under the old one."""

from typing import Any

from mmengine.config import Config

RENAMED = {
    'RepoAugment': 'LetterboxAugment',
    'RepoLrHook': 'FlatCosineLrHook',
    'UNetValid': 'UnpaddedUNet',
    'ValidSegHead': 'UnpaddedSegHead',
}


def renew_types(cfg: Config) -> None:
    """Write today's names of types into a config, at any depth.

    A run of an earlier version keeps its config in its folder and in its checkpoints; what the
    types do is the same.

    Args:
        cfg: Config, changed in place.
    """
    _renew(cfg._cfg_dict)


def _renew(value: Any) -> None:
    if isinstance(value, dict):
        kind = value.get('type')
        if isinstance(kind, str) and kind in RENAMED:
            value['type'] = RENAMED[kind]
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            _renew(item)
