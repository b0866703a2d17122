"""The commands and the Python in README, docs and cards, as a reader would copy them."""

import ast
import re
import shlex
from functools import cache
from typing import NamedTuple

from .paths import ROOT

PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    *sorted(ROOT.glob('docs/**/*.md')),
    *sorted(ROOT.glob('configs/*/README.md')),
]
_BLOCK = re.compile(r'^( *)```(\w*)\n(.*?)^ *```', re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r'`((?:python|bash|make|pip|mim|mmseg-ext-[\w-]+) [^`]+)`')
_SHELL = ('sh', 'bash', '')
# <!-- not run: why --> before a block; <!-- not run (a part; another): why --> anywhere on a page,
# of the commands that hold one of the parts
_NOT_RUN = re.compile(
    r'(?<!`)<!-- not run(?: \(([^)]+)\))?: (.+?) -->(?:\s*\n(?= *```))?', re.DOTALL
)
# in front of a program: VARIABLE=value
_SETTING = re.compile(r'[A-Z_]+=\S*')


class Block(NamedTuple):
    """A block of code: its page, its language and its text without the page's indentation."""

    page: str
    language: str
    text: str


@cache
def blocks() -> tuple[Block, ...]:
    """Every fenced block of every page, in order."""
    return tuple(
        Block(page.relative_to(ROOT).as_posix(), language, re.sub(f'(?m)^{indent}', '', text))
        for page in PAGES
        for indent, language, text in _BLOCK.findall(page.read_text())
    )


def lines_of(text: str) -> list[str]:
    """The commands of a block, each on one line and without its comment; a script is one."""
    if text.startswith('#!'):
        return [text]
    joined = re.sub(r'\\\n\s*', '', text).splitlines()
    bare = (re.split(r'(?:^|\s)#', line)[0].strip() for line in joined)
    return [line for line in bare if line and not line.startswith(('$ ', '>'))]


@cache
def commands() -> tuple[tuple[str, str], ...]:
    """Page and command: those of blocks, and those in backticks that name an argument."""
    found = []
    for page in PAGES:
        name, text = page.relative_to(ROOT).as_posix(), page.read_text()
        for block in _BLOCK.finditer(text):
            if block[2] in _SHELL:
                found += [(name, line) for line in lines_of(block[3])]
        rest = _BLOCK.sub('', text)
        found += [(name, line.replace('\n', ' ')) for line in _INLINE.findall(rest)]
    return tuple(dict.fromkeys(found))


class Command(NamedTuple):
    """A command of a page, and why it is not run; one that is run has no reason."""

    page: str
    text: str
    reason: str


def marks(text: str) -> dict[str, str]:
    """The reasons of a page by the part of a command that they name."""
    found = (m for m in _NOT_RUN.finditer(text) if m[1])
    return {
        part.strip(): ' '.join(m[2].split())
        for m in found
        for part in ' '.join(m[1].split()).split(';')
    }


def _marked_blocks(text: str) -> dict[int, str]:
    """The reasons of blocks by where they begin."""
    return {m.end(): ' '.join(m[2].split()) for m in _NOT_RUN.finditer(text) if not m[1]}


@cache
def marked_commands() -> tuple[Command, ...]:
    """Every command of :func:`commands`, in the same order, with the reason that its page gives."""
    found = []
    for page in PAGES:
        name, text = page.relative_to(ROOT).as_posix(), page.read_text()
        inside, parts = {}, marks(text)
        for start, reason in _marked_blocks(text).items():
            block = _BLOCK.match(text, start)
            if block is None:
                raise ValueError(f'{name}: "not run: {reason}" stands before no block of code')
            inside |= dict.fromkeys(lines_of(block[3]), reason)
        for _, line in (given for given in commands() if given[0] == name):
            named = [reason for part, reason in parts.items() if part in ' '.join(line.split())]
            found.append(Command(name, line, inside.get(line) or (named or [''])[0]))
    return tuple(found)


def programs(command: str) -> list[list[str]]:
    """The words of each program of a command: around pipes, without redirections and settings."""
    parts = re.split(r'\||&&|;|&$|\s&\s', command)
    found = []
    for part in parts:
        words = shlex.split(re.split(r'[<>](?!/)', part)[0]) if part.strip() else []
        while words and _SETTING.fullmatch(words[0]):
            words = words[1:]
        found.append(words)
    return [words for words in found if words]


def snippet_tree(text: str) -> ast.Module:
    """The syntax of a Python block; lines of a dict or a call are read as such."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.parse(f'{{{text}}}')
