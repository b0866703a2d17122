"""Configs that start from the run of another config: ``load_from='work_dirs/<config>/<file>'``.

On a user's data, the names of both runs end with the name of the data set.
"""

import re
from pathlib import Path
from typing import NamedTuple, Optional

from mmengine.config import Config

from ...core.files import PathLike
from .data import UserData
from .iterations import length_of

_START = re.compile(r'work_dirs/([^/]+)/([^/]+)')


class Start(NamedTuple):
    """The run of another config, and its checkpoint that a config starts from."""

    config: str
    file: str


def run_name(config: PathLike, dataset: str) -> str:
    """Return the name of a config's run on a user's data, for its work folder."""
    return f'{Path(str(config).split("::")[-1]).stem}-{dataset}'


def row_start(cfg: Config, dataset: Optional[str] = None) -> Optional[Start]:
    """Return the run that a config starts from; ``None`` if it starts from something else.

    Args:
        cfg: A complete config.
        dataset: Name of the user's data, if the config was changed for them.
    """
    found = _START.fullmatch(str(cfg.get('load_from') or ''))
    return None if found is None else Start(found[1].removesuffix(f'-{dataset}'), found[2])


def redirect_start(cfg: Config, data: UserData) -> str:
    """Let a config that starts from another config's run take that run on the same data.

    Args:
        cfg: Config, changed in place. Its ``train_images`` must still be the original number, from
            which the length of the other run is computed.
        data: The user's data.

    Returns:
        A message for the user.
    """
    start = row_start(cfg)
    if start is None:
        given = cfg.get('load_from')
        return f'start: {given}, which may know other classes' if given else ''
    file, own = start.file, cfg.get('train_images')
    iteration = re.fullmatch(r'iter_(\d+)\.pth', file)
    if iteration and own:  # the last iteration of that run, which depends on the data too
        file = f'iter_{length_of(int(iteration[1]), own, data)}.pth'
    cfg.load_from = f'work_dirs/{start.config}-{data.file.name}/{file}'
    return f'start: {cfg.load_from}'
