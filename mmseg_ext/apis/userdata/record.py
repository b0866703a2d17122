"""Which user's data a work folder belongs to: two data sets of one name must not share it."""

import ast
import hashlib
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from .file import DataFile
from .pairing import pair_files

_KEY = 'user_data'  # the variable of the config that a run leaves in its folder


def record_data(cfg: Config, data: DataFile) -> None:
    """Let the config, and so the copy of it in the work folder, say whose data it trains on."""
    stems = [pair.stem for part in ('train', 'val') for pair in pair_files(data, part).pairs]
    digest = hashlib.sha256('\n'.join(stems).encode(errors='surrogateescape')).hexdigest()
    cfg[_KEY] = dict(
        name=data.name, file=str(data.path.resolve()), classes=list(data.classes), images=digest
    )


def check_same_data(cfg: Config) -> None:
    """Refuse a work folder in which another data set was trained on.

    The same file may have changed, and a file that moved is the same if its classes and images
    are; anything else is another data set.

    Args:
        cfg: Complete, of a run that is about to begin or to go on.

    Raises:
        ValueError: If the folder belongs to other data.
    """
    own = cfg.get(_KEY)
    before = _recorded(Path(cfg.work_dir, Path(cfg.filename or 'config.py').name))
    if own is None or before is None or before.get('file') == own['file']:
        return
    if any(before.get(key) != own[key] for key in ('classes', 'images')):
        raise ValueError(
            f'{cfg.work_dir} holds a run on {before.get("file")}, which is called '
            f'{before.get("name")}, too, and has other {_differing(before, own)}: give another '
            f'name in {own["file"]}, or another --work-dir'
        )


def _differing(before: dict[str, Any], own: dict[str, Any]) -> str:
    return 'classes' if before.get('classes') != own['classes'] else 'images'


def _recorded(path: Path) -> Optional[dict[str, Any]]:
    """What a config in a work folder says of its data; nothing in it is executed."""
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
