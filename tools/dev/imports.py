"""What the package's modules import of each other, read from their syntax trees."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Union

ROOT = Path(__file__).resolve().parents[2] / 'mmseg_ext'


def files(root: Path = ROOT) -> list[Path]:
    """All modules; the links and copies in ``.mim`` are none."""
    return sorted(path for path in root.rglob('*.py') if '.mim' not in path.parts)


def module_of(path: Path, root: Path = ROOT) -> str:
    """The dotted name of a file."""
    parts = path.relative_to(root.parent).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def imports_of(path: Path, *, root: Path = ROOT, top_level_only: bool = False) -> Iterator[str]:
    """Absolute names of everything that a file imports, inside of functions, too.

    ``from .a import b`` is ``package.a.b``, be ``b`` a module or a name in one.
    """
    package = module_of(path, root).split('.')
    if path.name != '__init__.py':
        package = package[:-1]
    for node, top_level in import_nodes(path.read_text(encoding='utf-8')):
        if top_level_only and not top_level:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = '.'.join([*base, *([node.module] if node.module else [])])
            yield from (f'{stem}.{alias.name}' for alias in node.names)


@cache
def import_nodes(text: str) -> list[tuple[Union[ast.Import, ast.ImportFrom], bool]]:
    """Imports in the text of a file, and whether each stands at its top level."""
    tree = ast.parse(text)
    kinds = (ast.Import, ast.ImportFrom)
    return [(node, node in tree.body) for node in ast.walk(tree) if isinstance(node, kinds)]
