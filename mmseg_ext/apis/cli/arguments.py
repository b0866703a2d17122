"""Command lines: options may stand anywhere; ``--cfg-options`` reads values as mmengine does.

mmengine's own ``DictAction`` would import torch, which takes seconds before the first error is
told. :class:`Options` reads what it reads, and differs from it in blanks, which it keeps, and in
errors, which it tells in one line.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

from ...core.progress import be_quiet

_SEEDS = 2**32  # numpy takes smaller ones
_WORDS = {'true': True, 'false': False}
_BRACKETS: dict[tuple[str, str], Callable] = {('(', ')'): tuple, ('[', ']'): list}


class Options(argparse.Action):
    """``--cfg-options key=value``: numbers, True, False, None, texts, and lists of them."""

    def __call__(self, parser: Any, namespace: Any, values: Any, *args: Any, **kwargs: Any) -> None:
        """Read the values; those of the same option given before stay, unless named again.

        Raises:
            ValueError: If one is not key=value, or its value cannot be read.
        """
        wrong = [value for value in values if not _is_setting(value)]
        if wrong:
            raise ValueError(f'{self.option_strings[0]} {wrong[0]!r} is not key=value')
        pairs = (value.split('=', maxsplit=1) for value in values)
        read = {key: read_value(text) for key, text in pairs}
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest, None) or {}), **read})


def read_value(text: str) -> Any:
    """Read a value as mmengine does, but keep its blanks.

    Raises:
        ValueError: If it is a list with unbalanced brackets, or contains a dict.
    """
    tidy = text.strip()
    if ',' in tidy or tidy[:1] in ('(', '['):  # a list, in which blanks have no meaning
        tidy = re.sub(r'\s*,\s*|(?<=[\[(])\s+|\s+(?=[\])])', lambda m: m[0].strip(), tidy)
    try:
        return _read(tidy)
    except _UnbalancedError:
        raise ValueError(f'{text!r} has brackets that do not fit each other') from None
    except (_MoreThanListsError, RecursionError):
        raise ValueError(
            f'{text!r} holds more than lists and values: set a dict key by key, such as '
            'param_scheduler.0.power=2, or in a config file'
        ) from None


class _UnbalancedError(ValueError):
    """As many brackets are not opened as are closed."""


class _MoreThanListsError(ValueError):
    """Something in it is neither a list nor a value."""


def _read(text: str) -> Any:
    text = text.strip('\'"')
    kind = _BRACKETS.get((text[:1], text[-1:]))
    if kind is not None:
        return kind(_read(part) for part in _parts(text[1:-1]))
    if ',' not in text:
        return _number_or_word(text)
    parts = _parts(text)
    if parts == [text]:  # its commas are in brackets behind a name, as in dict(a=1, b=2)
        raise _MoreThanListsError
    return [_read(part) for part in parts]


def _number_or_word(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None if text == 'None' else _WORDS.get(text.lower(), text)


def _parts(text: str) -> list[str]:
    """Cut a text at the commas outside of brackets; a comma at the end begins no part."""
    if any(text.count(opening) != text.count(closing) for opening, closing in _BRACKETS):
        raise _UnbalancedError
    parts, begin = [], 0
    for place, char in enumerate(text):
        before = text[begin:place]
        if char == ',' and all(before.count(a) == before.count(b) for a, b in _BRACKETS):
            parts.append(before)
            begin = place + 1
    return [*parts, text[begin:]] if begin < len(text) else parts


def parse_args(
    parser: argparse.ArgumentParser, words: Optional[Sequence[str]] = None
) -> argparse.Namespace:
    """Parse a command line with options before, between and after its positionals.

    Plain argparse accepts an optional positional, such as a checkpoint, only directly after the
    others. Here a file after ``--cfg-options key=value`` is a positional too.

    Every tool gets ``--quiet`` here.

    Args:
        parser: A parser without subcommands.
        words: Arguments; default: those of the process.

    Raises:
        SystemExit: If they are wrong, or a seed is one that no generator takes.
    """
    words = sys.argv[1:] if words is None else list(words)
    _add_quiet(parser)
    return _heeded(parser, parser.parse_intermixed_args(_files_first(words)))


def parse_commands(
    parser: argparse.ArgumentParser, commands: argparse._SubParsersAction
) -> argparse.Namespace:
    """Parse the command line of a tool with subcommands, each of which gets ``--quiet``.

    Args:
        parser: The tool's parser.
        commands: What its ``add_subparsers`` returned.

    Raises:
        SystemExit: If the arguments are wrong, or a seed is one that no generator takes.
    """
    for command in commands.choices.values():
        _add_quiet(command)
    return _heeded(parser, parser.parse_args())


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--quiet', action='store_true', help='show results, warnings and errors only, no progress'
    )


def _heeded(parser: argparse.ArgumentParser, args: argparse.Namespace) -> argparse.Namespace:
    if args.quiet:
        be_quiet()
    del args.quiet  # done; tools hand the rest on as arguments
    _check_seeds(parser, args)
    return args


def _check_seeds(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    single, several = getattr(args, 'seed', None), getattr(args, 'seeds', None)
    for name, seeds in (('--seed', [single]), ('--seeds', several or [])):
        for seed in seeds:
            if seed is not None and not 0 <= seed < _SEEDS:
                parser.error(f'{name} must be a number from 0 to {_SEEDS - 1}, got {seed}')


def _files_first(words: Sequence[str]) -> list[str]:
    """Move files after ``--cfg-options key=value`` before it, as it would take them as values."""
    kept: list[str] = []
    files: list[str] = []
    setting = False  # whether the words are settings
    start = False
    for word in words:
        if word == '--' or word.startswith('-'):
            start, setting = word == '--cfg-options', False
        elif start and _is_setting(word):
            setting = True
        elif setting and Path(word).exists():
            files.append(word)
            continue
        kept.append(word)
    place = kept.index('--cfg-options') if files else 0
    return [*kept[:place], *files, *kept[place:]]


def _is_setting(word: str) -> bool:
    return re.match(r'[^=\s]+=', word) is not None


def parse_options(options: Sequence[str]) -> dict:
    """Parse ``--cfg-options`` that were kept as typed.

    Raises:
        ValueError: If one is not key=value.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=Options)
    return parser.parse_args(['--cfg-options', *options]).cfg_options if options else {}
