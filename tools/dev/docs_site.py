"""Hooks of ``make docs``: what the site shows beside ``docs/``, and where its links lead.

README, CHANGELOG, CONTRIBUTING and the cards of the papers become pages, and so does a reference of
each package's exports, which are read from its ``__init__.py`` without an import. Links between
Markdown files of the repository are those that work in a checkout; here they are turned to the
pages of the site. A file that is linked and is no page is copied into the site.

mkdocs.yml names this file; nothing else runs it.
"""

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from docs_refs import pointed_at, with_links

ROOT = Path(__file__).resolve().parents[2]
DOCS = 'docs/'
# file of the repository -> page of the site, beside the cards
OUTSIDE = {
    'README.md': 'index.md',
    'CHANGELOG.md': 'changelog.md',
    'CONTRIBUTING.md': 'contributing.md',
}
# page of the reference -> its heading, and the packages whose exports it lists
REFERENCE = {
    'python': ('From Python', ['mmseg_ext.apis', 'mmseg_ext']),
    'models': (
        'Networks and layers',
        [f'mmseg_ext.models.{kind}' for kind in (
            'backbones', 'necks', 'decode_heads', 'segmentors', 'layers')],
    ),
    'losses': ('Losses', ['mmseg_ext.models.losses']),
    'metrics': ('Metrics', ['mmseg_ext.evaluation']),
    'datasets': ('Data sets and transforms', ['mmseg_ext.datasets']),
    'engine': ('Training loop', ['mmseg_ext.engine']),
}  # fmt: skip
LINK = re.compile(r'(\]\()((?!https?:|mailto:|#)[^)\s]+)(\))')
FENCE = re.compile(r'^( *```.*?^ *```)', re.MULTILINE | re.DOTALL)


def cards() -> dict[str, str]:
    """The card of each paper, and its page."""
    found = sorted((ROOT / 'configs').glob('*/README.md'))
    return {path.relative_to(ROOT).as_posix(): f'papers/{path.parent.name}.md' for path in found}


@cache
def pages_outside() -> dict[str, str]:
    """Every page that does not lie in ``docs/``, by its file."""
    return {**OUTSIDE, **cards()}


def page_of(file: str) -> str:
    """Where a file of the repository lies on the site: a page, or a copy below ``files/``."""
    if file in pages_outside():
        return pages_outside()[file]
    return file.removeprefix(DOCS) if file.startswith(DOCS) else f'files/{file}'


def file_of(page: str) -> str:
    """The file of the repository that a page was made of."""
    return {page: file for file, page in pages_outside().items()}.get(page, DOCS + page)


def target_of(link: str, file: str) -> str:
    """The file of the repository that a link of another one names."""
    path = PurePosixPath(file).parent / link.partition('#')[0]
    return os.path.normpath(path).replace(os.sep, '/')


def links(text: str) -> Iterator[str]:
    """The relative links of a Markdown text, those in blocks of code left out."""
    for part in FENCE.split(text):
        if not FENCE.match(part):
            yield from (found[2] for found in LINK.finditer(part))


def turn_links(text: str, file: str) -> str:
    """A Markdown text whose links lead to pages of the site.

    Args:
        text: Of a file of the repository.
        file: Its path from the root of the repository.
    """
    here = PurePosixPath(page_of(file)).parent

    def turn(found: re.Match) -> str:
        _, mark, anchor = found[2].partition('#')
        page = os.path.relpath(page_of(target_of(found[2], file)), here).replace(os.sep, '/')
        return f'{found[1]}{page}{mark}{anchor}{found[3]}'

    parts = FENCE.split(text)
    return ''.join(part if FENCE.match(part) else LINK.sub(turn, part) for part in parts)


def linked_files() -> list[str]:
    """Files that pages link and that lie outside of ``docs/``, and are no pages themselves."""
    docs = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / DOCS).rglob('*.md')))
    found = set()
    for file in (*pages_outside(), *docs):
        found |= {target_of(link, file) for link in links((ROOT / file).read_text())}
    return sorted(file for file in found if page_of(file).startswith('files/'))


# --- the reference --------------------------------------------------------------------------------


def exports(package: str) -> dict[str, str]:
    """What a package exports, by the module that defines it.

    Args:
        package: Dotted name. Its ``__init__.py`` calls ``door`` of ``core/exports.py``, or imports
            what it exports.

    Raises:
        ValueError: If nothing is found: the reference would be empty.
    """
    file = ROOT / package.replace('.', '/') / '__init__.py'
    tree = ast.parse(file.read_text())
    found = dict(_behind_doors(tree)) or dict(_imported(tree))
    if not found:
        raise ValueError(f'{file} exports nothing that the reference could list')
    return {name: f'{package}.{module}' for name, module in sorted(found.items())}


def _behind_doors(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Name and module of each export of ``door(__name__, module='names', **{'a.b': 'names'})``."""
    calls = (n for n in ast.walk(tree) if isinstance(n, ast.Call))
    for call in (n for n in calls if getattr(n.func, 'id', '') == 'door'):
        for keyword in call.keywords:
            value = ast.literal_eval(keyword.value)
            for module, names in (value if keyword.arg is None else {keyword.arg: value}).items():
                yield from ((name, module) for name in names.split())


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The same of ``from .module import name``, a module of its own being an export, too."""
    for node in (n for n in tree.body if isinstance(n, ast.ImportFrom) and n.level == 1):
        for alias in node.names:
            yield (alias.name, node.module or alias.name)


def first_line(package: str) -> str:
    """What a package's docstring says first."""
    file = ROOT / package.replace('.', '/') / '__init__.py'
    return (ast.get_docstring(ast.parse(file.read_text())) or '').split('\n')[0]


def rooms() -> list[str]:
    """The rooms of ``apis``, which have a page each."""
    found = sorted((ROOT / 'mmseg_ext/apis').glob('*/__init__.py'))
    return [f'mmseg_ext.apis.{path.parent.name}' for path in found]


def full_names(package: str) -> dict[str, str]:
    """Module and name of each export of a package, by the name; a module's is its own."""
    found = exports(package).items()
    return {n: module if module == f'{package}.{n}' else f'{module}.{n}' for n, module in found}


@cache
def contents() -> dict[str, list[tuple[str, list[str]]]]:
    """For each page of the reference its sections: a package, and the full names of its exports."""
    pages = {f'reference/{name}.md': packages for name, (_, packages) in REFERENCE.items()}
    for room in rooms():
        pages[f'reference/apis/{room.rpartition(".")[2]}.md'] = [room]
    return {
        page: [(package, list(full_names(package).values())) for package in packages]
        for page, packages in pages.items()
    }


@cache
def places() -> dict[str, str]:
    """The page that describes something, by its full name.

    What several packages export is described where it comes first; what docstrings point at and
    nothing exports, at the end of the page that has the first of them.
    """
    found: dict[str, str] = {}
    for page, sections in contents().items():
        for name in (name for _, names in sections for name in names):
            found.setdefault(name, page)
    waiting = list(found)
    while waiting:
        first = waiting.pop(0)
        new = [name for name in pointed_at(first) if name not in found]
        found |= dict.fromkeys(new, found[first])
        waiting += new
    return found


def entry(whole: str) -> list[str]:
    """The lines that have mkdocstrings describe something."""
    name = whole.rpartition('.')[2]
    return [
        f'::: {whole}',
        '    options:',
        f'      heading: {name}',
        f'      toc_label: {name}',
        '',
    ]


def reference_page(heading: str, page: str) -> str:
    """A page that has mkdocstrings describe each export, or links where it is described."""
    lines, described = [f'# {heading}', ''], set()
    for package, names in contents()[page]:
        own = [n for n in names if places()[n] == page and n not in described]
        links = [f'[{n.rpartition(".")[2]}][{n}]' for n in names if n not in own]
        lines += [f'## {package}', '', first_line(package), '']
        lines += [f'Described elsewhere: {", ".join(links)}.', ''] if links else []
        lines += [line for name in own for line in entry(name)]
        described |= {*own}
    others = [name for name, where in places().items() if where == page and name not in described]
    if others:
        lines += ['## What these refer to', '']
        lines += [line for name in others for line in entry(name)]
    return '\n'.join(lines)


@cache
def reference_pages() -> dict[str, str]:
    """The text of each page of the reference."""
    headings = {f'reference/{name}.md': heading for name, (heading, _) in REFERENCE.items()}
    return {
        page: reference_page(headings.get(page) or f'apis.{Path(page).stem}', page)
        for page in contents()
    }


# --- hooks of mkdocs ------------------------------------------------------------------------------


def on_config(config: Any) -> Any:
    """Anchors as on GitHub; papers and reference in the navigation."""
    from pymdownx.slugs import slugify

    config.mdx_configs.setdefault('toc', {})['slugify'] = slugify(case='lower')
    own = [p for p in reference_pages() if p.count('/') == 1]
    inner = [p for p in reference_pages() if p.count('/') == 2]
    sections = dict(Papers=list(cards().values()), Reference=[*own, {'Rooms of apis': inner}])
    config.nav = [{name: [*entries, *sections.get(name, [])]} if isinstance(entries, list)
                  else {name: entries}
                  for item in config.nav for name, entries in item.items()]  # fmt: skip
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that do not lie in ``docs/``, and the files that pages link."""
    from mkdocs.structure.files import File

    for file, page in pages_outside().items():
        files.append(File.generated(config, page, content=(ROOT / file).read_text()))
    for page, text in reference_pages().items():
        files.append(File.generated(config, page, content=text))
    for file in linked_files():
        files.append(File.generated(config, page_of(file), abs_src_path=str(ROOT / file)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the links of a page."""
    if page.file.src_uri.startswith('reference/'):
        return markdown
    return turn_links(markdown, file_of(page.file.src_uri))


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Make links of the marks of Sphinx in what docstrings say."""
    addresses = {name: f'{where.removesuffix(".md")}.html' for name, where in places().items()}
    return with_links(html, page.file.url, addresses).replace('::</p>', ':</p>')
