"""Record of the user's data in a work folder, so that two data sets do not share it."""

import ast
import hashlib
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from .file import DataFile
from .pairing import pair_files

_KEY = 'user_data'  # variable in the config that a run saves in its folder
_COMPARED = dict(classes='classes', images='images', masks='values in its masks')


def record_data(cfg: Config, data: DataFile) -> None:
    """Record the user's data in the config, and so in its copy in the work folder."""
    stems = {
        part: [pair.stem for pair in pair_files(data, part).pairs] for part in ('train', 'val')
    }
    cfg[_KEY] = dict(
        name=data.name,
        file=str(data.path.resolve()),
        classes=list(data.classes),
        images=_digest([*stems['train'], *stems['val']]),
        train_images=_digest(stems['train']),
        masks=_digest([repr((data.color_masks, data.mask_threshold, sorted(data.values.items())))]),
    )


def _digest(lines: list[str]) -> str:
    return hashlib.sha256('\n'.join(lines).encode(errors='surrogateescape')).hexdigest()


def check_same_data(cfg: Config) -> None:
    """Refuse a work folder of a run on another data set.

    A data set is the same if its file has the same path, even with other content, or if its
    classes, its images and the values of its masks are equal. Whether a training may go on with
    another content is decided from its checkpoint.

    Args:
        cfg: Complete config of a run that is about to start or resume.

    Raises:
        ValueError: If the folder belongs to another data set.
    """
    own = cfg.get(_KEY)
    before = _recorded(Path(cfg.work_dir, Path(cfg.filename or 'config.py').name))
    if own is None or before is None or before.get('file') == own['file']:
        return
    if _differing(before, own):
        raise ValueError(
            f'{cfg.work_dir} holds a run on {before.get("file")}, which is called '
            f'{before.get("name")}, too, and has other {_differing(before, own)}: give another '
            f'name in {own["file"]}, or another --work-dir'
        )


def _differing(before: dict[str, Any], own: dict[str, Any]) -> str:
    """Name the first difference; empty without any. Older versions recorded no masks."""
    known = {'masks': own['masks'], **before}
    differing = [key for key in _COMPARED if known.get(key) != own[key]]
    return _COMPARED[differing[0]] if differing else ''


def _recorded(path: Path) -> Optional[dict[str, Any]]:
    """Read the data record of a config in a work folder without executing the config."""
    try:
        tree = ast.parse(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, SyntaxError):
        return None
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == _KEY:
            return _literal(node.value)
    return None


def _literal(value: ast.expr) -> Optional[dict[str, Any]]:
    try:
        if isinstance(value, ast.Call):  # mmengine writes dict(name='...')
            return {k.arg: ast.literal_eval(k.value) for k in value.keywords if k.arg}
        return dict(ast.literal_eval(value))
    except (ValueError, TypeError):
        return None
