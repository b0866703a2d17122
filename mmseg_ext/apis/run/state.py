"""How far a run has come, as its folder says. Nothing is written here."""

from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from ...core.checkpoints import read_checkpoint
from ...core.files import read_json
from .checkpoints import find_resumable


def is_trained(folder: Path, cfg: Config) -> bool:
    """Whether the last checkpoint of the schedule is there, whole, and its validation done."""
    loop: Any = cfg.train_cfg
    length = loop.get('max_iters')
    name = f'epoch_{loop.get("max_epochs")}.pth' if length is None else f'iter_{length}.pth'
    if not (folder / name).is_file():
        return False
    found = find_resumable(folder)
    if found.path is None or found.path.name != name:
        return False
    due = cfg.get('val_cfg') and loop.get('val_begin', 1) <= (length or loop.get('max_epochs'))
    return not due or _validated(found.path) == found.iteration


def is_half_trained(folder: Path, cfg: Config) -> bool:
    """Whether a training has begun and has iterations left; a test of it is no result yet."""
    loop: Any = cfg.get('train_cfg') or {}
    found = find_resumable(folder)
    if found.path is None or 'max_iters' not in loop:
        return False  # the weights were deleted to save space, or it counts epochs
    return found.iteration < loop['max_iters']


def _validated(path: Path) -> Optional[int]:
    """Iteration of the last validation that was done when a checkpoint was written."""
    try:
        return read_checkpoint(path)['message_hub']['runtime_info'].get('validated')
    except (KeyError, AttributeError):  # of an older version
        return None


def tested_with(folder: Path) -> Optional[str]:
    """Name of the checkpoint that a run was tested with, ``None`` if its test is not done.

    It is written last, so that all is there; a damaged file is a test to be done again.
    """
    try:
        return read_json(folder / 'results.json').get('checkpoint')
    except (FileNotFoundError, ValueError, AttributeError):
        return None
