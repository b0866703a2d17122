"""The config of a checkpoint's training, read from its text without running it.

mmengine saves this text in each checkpoint and in the work folder. Text that contains anything but
literals and ``dict(...)`` is not used.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from ...core.files import PathLike
from .renamed import renew_types


def own_config(
    content: dict, checkpoint: PathLike, config: PathLike
) -> Optional[tuple[str, Config]]:
    """Find the config of the training that wrote a checkpoint.

    Args:
        content: Content of the checkpoint.
        checkpoint: File of the checkpoint; its folder may contain the config too.
        config: The config that the user gave; a file of its name is tried first.

    Returns:
        The place where it was found, and the config; ``None`` if there is none.
    """
    for place, text in _texts(content, Path(checkpoint), Path(str(config).split('::')[-1]).stem):
        settings = read_settings(text)
        if settings and isinstance(settings.get('model'), dict):
            cfg = Config(settings)
            renew_types(cfg)
            return place, cfg
    return None


def _texts(content: dict, checkpoint: Path, stem: str) -> Iterator[tuple[str, str]]:
    meta = content.get('meta')
    known = meta if isinstance(meta, dict) else {}
    for key in ('cfg', 'cfg_text'):
        if isinstance(known.get(key), str):
            yield f'kept in {checkpoint}', known[key]
    beside = [checkpoint.with_name(f'{stem}.py'), *sorted(checkpoint.parent.glob('*.py'))]
    for path in beside:
        if path.is_file():
            yield str(path), path.read_text(encoding='utf-8', errors='replace')


def read_settings(text: str) -> Optional[dict]:
    """Read assignments of literals and ``dict(...)``; return ``None`` for any other code."""
    try:
        tree = ast.parse(text)
        return dict(_assignment(node) for node in tree.body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _assignment(node: ast.stmt) -> tuple[str, Any]:
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        raise ValueError('no assignment to a name')
    return node.targets[0].id, _value(node.value)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        return _called(node)
    if isinstance(node, ast.Dict):
        return {_value(_given(k)): _value(v) for k, v in zip(node.keys, node.values)}
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_value(item) for item in node.elts]
        return tuple(values) if isinstance(node, ast.Tuple) else values
    return ast.literal_eval(node)


def _called(node: ast.Call) -> dict:
    """Return the value of ``dict(a=1)``, or of ``dict({0: 1})`` with keys that are not names."""
    if not isinstance(node.func, ast.Name) or node.func.id != 'dict' or len(node.args) > 1:
        raise ValueError('a call of something else than dict')
    first = dict(_value(node.args[0])) if node.args else {}
    return {**first, **{_name(pair.arg): _value(pair.value) for pair in node.keywords}}


def _name(name: Optional[str]) -> str:
    if name is None:
        raise ValueError('** in a call of dict')
    return name


def _given(key: Optional[ast.expr]) -> ast.expr:
    if key is None:
        raise ValueError('** in a dict')
    return key
