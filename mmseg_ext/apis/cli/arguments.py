"""Command lines: options may stand anywhere; ``--cfg-options`` reads values as mmengine does."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from mmengine.config import DictAction

from ...core.progress import be_quiet

_SEEDS = 2**32  # numpy takes smaller ones
_BLANK = '\x1f'  # stands for a space that mmengine would drop


class Options(DictAction):
    """mmengine's ``--cfg-options key=value`` with an error message for any other form."""

    def __call__(self, parser: Any, namespace: Any, values: Any, *args: Any, **kwargs: Any) -> None:
        """Read the values.

        Raises:
            ValueError: If one is not key=value.
        """
        wrong = [value for value in values if not _is_setting(value)]
        if wrong:
            raise ValueError(f'{self.option_strings[0]} {wrong[0]!r} is not key=value')
        super().__call__(parser, namespace, values, *args, **kwargs)

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        """Read a value as mmengine does, but keep its spaces.

        Raises:
            ValueError: If it is a list with unbalanced brackets, or contains a dict.
        """
        text = val.strip()
        if ',' in text or text[:1] in ('(', '['):  # a list, in which spaces have no meaning
            text = re.sub(r'\s*,\s*|(?<=[\[(])\s+|\s+(?=[\])])', lambda m: m[0].strip(), text)
        try:
            value = DictAction._parse_iterable(text.replace(' ', _BLANK))
        except AssertionError as error:
            raise ValueError(f'{val!r} has brackets that do not fit each other') from error
        except RecursionError as error:  # a comma in neither list nor tuple
            raise ValueError(
                f'{val!r} holds more than lists and values: set a dict key by key, such as '
                'param_scheduler.0.power=2, or in a config file'
            ) from error
        return _with_blanks(value)


def _with_blanks(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_with_blanks(part) for part in value)
    return value.replace(_BLANK, ' ') if isinstance(value, str) else value


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
