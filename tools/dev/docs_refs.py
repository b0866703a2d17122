"""What docstrings point at, for the reference of ``make docs``: where it is, and links to it.

A docstring names other code in Sphinx's way, by a role and a name in backticks. The name is one of
its own module, an import, a path with dots, or one of a module of the same folder. Nothing is
imported: names are found in the code.
"""

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Optional

ROOT = Path(__file__).resolve().parents[2]
ROLE = r':(?:class|func|meth|mod|attr):'
IN_CODE = re.compile(ROLE + r'`([^`]+)`')
# in a page that mkdocstrings made: what is described from here on, and what it points at
IN_PAGE = re.compile(r'id="(mmseg_ext\.[\w.]+)"|' + ROLE + r'<code>([^<]+)</code>')


@cache
def tree_of(module: str) -> Optional[ast.Module]:
    """The syntax of a module of this repository; ``None`` if it has none of this name."""
    path = ROOT / module.replace('.', '/')
    for file in (path.with_suffix('.py'), path / '__init__.py'):
        if file.is_file():
            return ast.parse(file.read_text())
    return None


def defined(module: str) -> dict[str, ast.AST]:
    """The functions and classes of a module, by name."""
    tree = tree_of(module)
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {n.name: n for n in tree.body if isinstance(n, kinds)} if tree else {}


def absolute(dotted: str, module: str) -> str:
    """A path that begins with dots, as an import in ``module`` would read it."""
    rest = dotted.lstrip('.')
    up = len(dotted) - len(rest) - (ROOT / module.replace('.', '/')).is_dir()
    parts = module.split('.')
    return '.'.join([*parts[: len(parts) - up], *filter(None, [rest])])


@cache
def imported(module: str) -> dict[str, str]:
    """What a module imports from this repository, by the name that it has there."""
    tree, found = tree_of(module), {}
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.ImportFrom) and node.level:
            home = absolute('.' * node.level + (node.module or ''), module)
            found |= {alias.asname or alias.name: f'{home}.{alias.name}' for alias in node.names}
    return found


@cache
def siblings(module: str) -> list[str]:
    """The modules of the folder that a module lies in."""
    home = module.rpartition('.')[0]
    return [f'{home}.{file.stem}' for file in sorted((ROOT / home.replace('.', '/')).glob('*.py'))]


def resolve(name: str, module: str) -> Optional[str]:
    """The full name of what a docstring of ``module`` calls ``name``.

    Returns:
        Module and name of a function or class that is public; ``None`` if it is no such thing, as a
        method, or code of others.
    """
    name = name.lstrip('~')
    if name.startswith('.'):
        name = absolute(name, module)
    elif name in defined(module):
        name = f'{module}.{name}'
    elif name in imported(module):
        name = imported(module)[name]
    elif '.' not in name:
        beside = [other for other in siblings(module) if name in defined(other)]
        name = f'{beside[0]}.{name}' if len(beside) == 1 else name
    home, _, last = name.rpartition('.')
    return name if last in defined(home) and not last.startswith('_') else None


def docstrings(node: ast.AST) -> Iterator[str]:
    """Those that the reference shows of a function or class."""
    yield ast.get_docstring(node) or ''
    for inner in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(inner, ast.FunctionDef) and (
            inner.name == '__call__' or not inner.name.startswith('_')
        ):
            yield ast.get_docstring(inner) or ''


def pointed_at(whole: str) -> list[str]:
    """Full names of the functions and classes that the docstrings of one point at, in order."""
    module, _, name = whole.rpartition('.')
    node = defined(module).get(name)
    words = [word for text in docstrings(node) for word in IN_CODE.findall(text)] if node else []
    found = (resolve(word, module) for word in words)
    return [other for other in dict.fromkeys(found) if other and other != whole]


def module_of(whole: str) -> str:
    """The module of something by its full name, a method, too; empty if there is none."""
    while whole and tree_of(whole) is None:
        whole = whole.rpartition('.')[0]
    return whole


def with_links(html: str, page: str, places: dict[str, str]) -> str:
    """A page of the reference, with a link in place of each mark of Sphinx.

    Args:
        html: What mkdocstrings made.
        page: Its address, such as ``reference/losses.html``.
        places: The address of the page that describes something, by the full name of that.
    """
    here, module = PurePosixPath(page).parent, ''

    def turn(found: re.Match) -> str:
        nonlocal module
        if found[1]:
            module = module_of(found[1])
            return found[0]
        shown = f'<code>{found[2].lstrip("~.").rpartition(".")[2]}</code>'
        whole = resolve(found[2], module) if module else None
        if whole not in places:
            return shown
        link = os.path.relpath(places[whole], here).replace(os.sep, '/')
        return f'<a href="{link}#{whole}">{shown}</a>'

    return IN_PAGE.sub(turn, html)
