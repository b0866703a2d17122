"""How a tool ends: one line for a user's mistake, a traceback for ours."""

import argparse
import contextlib
import io
import logging
import os
import re
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence, Set

from mmengine.config import DictAction

from ...core import refusals, signals

_BLANK = '\x1f'  # stands for a blank where mmengine would drop it
_LONG = 1000  # no name is longer
USER_ERRORS = (ValueError, KeyError, OSError, ImportError)

# What mmseg says of its own calls, or of sizes that the papers fix: nothing that a user can change.
_UPSTREAM_NOISE = (
    '``build_loss`` would be deprecated soon',
    'The draw is False, it means',
    'When align_corners=True, the output would more aligned',
    'For binary segmentation, we suggest using',
)


class Options(DictAction):
    """``--cfg-options key=value``: mmengine's, with a word on what is not of that form."""

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
        """Read a value as mmengine does, which would take all blanks out of it.

        Raises:
            ValueError: If it is a list whose brackets do not fit, or holds a dict.
        """
        text = val.strip()
        if ',' in text or text[:1] in ('(', '['):  # a list: blanks only lay it out
            text = re.sub(r'\s*,\s*|(?<=[\[(])\s+|\s+(?=[\])])', lambda m: m[0].strip(), text)
        try:
            value = DictAction._parse_iterable(text.replace(' ', _BLANK))
        except AssertionError as error:
            raise ValueError(f'{val!r} has brackets that do not fit each other') from error
        except RecursionError as error:  # over a comma inside of what is neither list nor tuple
            raise ValueError(
                f'{val!r} holds more than lists and values: set a dict key by key, such as '
                'param_scheduler.0.power=2, or in a config file'
            ) from error
        return _with_blanks(value)


def _with_blanks(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_with_blanks(part) for part in value)
    return value.replace(_BLANK, ' ') if isinstance(value, str) else value


def command(tool: str) -> str:
    """How a tool is called, as the running one was: ``python tools/NAME.py`` or the command."""
    name = Path(sys.argv[0]).name
    return f'mmseg-ext-{tool.replace("_", "-")}' if name.startswith('mmseg-ext') else (
        f'python tools/{tool}.py'
    )  # fmt: skip


def parse_args(
    parser: argparse.ArgumentParser, words: Optional[Sequence[str]] = None
) -> argparse.Namespace:
    """Parse a command line whose options may stand before, between and behind its positionals.

    Plain argparse takes an optional positional, such as a checkpoint, only right behind the others.
    A file behind ``--cfg-options key=value`` is a positional, too.

    Args:
        parser: Without subcommands.
        words: Default: those of the process.
    """
    words = sys.argv[1:] if words is None else list(words)
    return parser.parse_intermixed_args(_files_first(words))


def _files_first(words: Sequence[str]) -> List[str]:
    """Move files that stand behind ``--cfg-options key=value`` before it: it would swallow them."""
    kept: List[str] = []
    files: List[str] = []
    setting = False  # whether words are settings, of which there was one
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
    """Read ``--cfg-options`` that were kept as typed, to hand them on, as the tools read them.

    Raises:
        ValueError: If one is not key=value.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=Options)
    return parser.parse_args(['--cfg-options', *options]).cfg_options if options else {}


def message_of(error: BaseException) -> str:
    """One line that says what went wrong.

    A data loader's worker hands on its error as text, traceback included: the last line counts.
    """
    error = refusals.as_refusal(error)
    if isinstance(error, OSError) and error.errno is not None:
        return ' '.join(refusals.describe(error).split())
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if 'Original Traceback' in text:
        lines = [line for line in text.strip().splitlines() if line and not line.startswith(' ')]
        text = re.sub(r'^[\w.]*(Error|Exception): ', '', lines[-1])
    # a file may hold a word of any length, and its message repeats it
    words = [word if len(word) < _LONG else f'{word[:100]}...{word[-50:]}' for word in text.split()]
    return ' '.join(words) or type(error).__name__


def run_tool(main: Callable[[], Optional[int]]) -> None:
    """Run a tool's ``main`` and exit with its status.

    The exit status is 1 after a user's mistake and after what the system refuses, such as a write
    to a full disk, and 128 and the signal's number after a signal, see :mod:`~.core.signals`.
    ``MMSEG_EXT_DEBUG=1`` shows the traceback.

    Args:
        main: Returns the exit status, ``None`` for 0.
    """
    for message in _UPSTREAM_NOISE:
        warnings.filterwarnings('ignore', message=message, category=UserWarning)
    for stream in (sys.stdout, sys.stderr):  # names of files may be bytes that are no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    logging.Handler.handleError = _log_error  # type: ignore[assignment,method-assign]
    try:
        with signals.handled():
            status = _run(main)
    except signals.Stopped as stopped:
        _say(str(stopped) if _is_first() else '')
        status = stopped.code  # type: ignore[assignment]
    signals.end_workers()
    _flush_output()
    sys.exit(status)


def _run(main: Callable[[], Optional[int]]) -> int:
    try:
        return main() or 0
    except BrokenPipeError:  # the reader of our output, such as head, has enough
        return 128 + 13
    except (*USER_ERRORS, RuntimeError) as caught:
        error = refusals.as_refusal(caught)
        ours = not isinstance(error, USER_ERRORS) or refusals.is_mistake(error)
        if ours or os.environ.get('MMSEG_EXT_DEBUG') == '1':
            raise
        _say(f'error: {message_of(error)}  (MMSEG_EXT_DEBUG=1 shows where)')
        return 1


def _is_first() -> bool:
    """Whether this is the first of several processes, or the only one."""
    return os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')) == '0'


def _say(text: str) -> None:
    if text:
        with contextlib.suppress(OSError):  # nobody reads it
            print(text, file=sys.stderr, flush=True)


def _flush_output() -> None:
    """Let the interpreter end without a complaint when nobody takes its output any more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_logs_lost: Set[str] = set()


def _log_error(handler: logging.Handler, record: logging.LogRecord) -> None:
    """Say once that a log cannot be written, which ends no training."""
    error = sys.exc_info()[1]
    name = getattr(handler, 'baseFilename', '')
    if not isinstance(error, OSError):
        traceback.print_exc()
    elif name not in _logs_lost:
        _logs_lost.add(name)
        _say(f'warning: the log is not written any more: {name}: {message_of(error)}')
