"""Which module of the package a test file tests: by its imports, or by names as configs give."""

import ast
import importlib
from functools import cache, lru_cache
from pathlib import Path

from .paths import ROOT

PACKAGE = ROOT / 'mmseg_ext'
TESTS = ROOT / 'tests'


def name_of(path: Path) -> str:
    """Dotted name of a module's file, the package itself being empty."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


@cache
def modules() -> dict[str, Path]:
    """Every module that has functions or classes of its own, by name."""
    paths = sorted(p for p in PACKAGE.rglob('*.py') if '.mim' not in p.parts)
    return {name_of(path): path for path in paths if defined(path)}


@cache
def defined(path: Path) -> frozenset[str]:
    """Functions and classes of a file."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return frozenset(n.name for n in tree(path).body if isinstance(n, kinds))


@lru_cache(maxsize=1)
def tree(path: Path) -> ast.Module:
    """The syntax of a file; that of all files would be a million objects in each collection."""
    return ast.parse(path.read_text(encoding='utf-8'))


def own_test(module: str) -> Path:
    """The file that tests a module, if it is called after it."""
    path = PACKAGE / (module.replace('.', '/') + '.py')
    folder = path.parent.relative_to(PACKAGE)
    return TESTS / folder / f'test_{path.stem}.py'


@cache
def imported(path: Path) -> frozenset[str]:
    """Modules of ours that a file imports; what a package offers is of where it is defined."""
    found = set()
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = '.'.join([*base, *([node.module] if node.module else [])])
            if stem.startswith('mmseg_ext'):
                found |= {stem, *(_origin(stem, alias.name) for alias in node.names)}
    return frozenset(n.removeprefix('mmseg_ext.') for n in found if n.startswith('mmseg_ext.'))


def _origin(stem: str, name: str) -> str:
    thing = getattr(importlib.import_module(stem), name, None)
    return getattr(thing, '__module__', None) or f'{stem}.{name}'


@cache
def words(path: Path) -> frozenset[str]:
    """The texts in a file, among them the types of what it builds."""
    texts = (n.value for n in ast.walk(tree(path)) if isinstance(n, ast.Constant))
    return frozenset(text for text in texts if isinstance(text, str))


def names(test: Path, module: str) -> bool:
    """Whether a test builds a public class of a module by its type, or runs its file."""
    classes = {n for n in defined(modules()[module]) if n[0].isupper()}
    file = module.replace('.', '/') + '.py'
    return not classes.isdisjoint(words(test)) or any(w.endswith(file) for w in words(test))


def reaches(test: Path, module: str) -> bool:
    """Whether a test leads to a module: imports it, names it, or imports what is next to it.

    Next to it is what imports it, and what leads to it by imports inside of its own room.
    """
    if module in imported(test) or names(test, module):
        return True
    room = module.split('.')[: 2 if module.startswith(('apis.', 'models.')) else 1]
    near = {n: _imported_by(n) for n in imported(test)}
    pending = {n for n in near if n.split('.')[: len(room)] == room}
    seen: set[str] = set()
    while pending:
        seen.add(name := pending.pop())
        pending |= {n for n in _imported_by(name) if n.split('.')[: len(room)] == room} - seen
    return module in seen or any(module in found for found in near.values())


def _imported_by(module: str) -> frozenset[str]:
    path = PACKAGE / (module.replace('.', '/') + '.py')
    return imported(path) if path.is_file() else frozenset()
