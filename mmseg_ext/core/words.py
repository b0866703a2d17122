"""Words for the user: an error in one line, did-you-mean hints, how to call a tool."""

import difflib
import math
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from numbers import Real
from pathlib import Path

from . import refusals

USER_ERRORS = (ValueError, KeyError, OSError, ImportError)
_LONG = 1000  # letters; longer words of a message are shortened, no name is that long
_WORD = 100  # letters of a name that are compared; the time grows with their square
_OFFERED = 2  # names that a hint offers at most


def message_of(error: BaseException) -> str:
    """Say in one line what went wrong.

    A data loader's worker passes its error on as text that includes the traceback. Of such a text
    the last line is used.
    """
    error = refusals.as_refusal(error)
    if isinstance(error, OSError) and error.errno is not None:
        return ' '.join(refusals.describe(error).split())
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if 'Original Traceback' in text:
        lines = [line for line in text.strip().splitlines() if line and not line.startswith(' ')]
        text = re.sub(r'^[\w.]*(Error|Exception): ', '', lines[-1])
    # a message may repeat a word from a file, which may be of any length
    words = [word if len(word) < _LONG else f'{word[:100]}...{word[-50:]}' for word in text.split()]
    return ' '.join(words) or type(error).__name__


def nearest(word: object, known: Iterable[str], *, likeness: float = 0.6) -> list[str]:
    """Find the known names that are most similar to a misspelt one, the best first.

    Upper and lower case are the same.

    Args:
        word: The misspelt name.
        known: The names that exist.
        likeness: Smallest similarity that counts, from 0 to 1 (the same name).
    """
    spelt = {name.lower(): name for name in reversed(list(known))}
    close = difflib.get_close_matches(str(word)[:_WORD].lower(), spelt, n=_OFFERED, cutoff=likeness)
    return [spelt[name] for name in close]


def did_you_mean(names: Iterable[object]) -> str:
    """Ask ``'did you mean depth or width?'``; empty without names."""
    text = ' or '.join(map(str, names))
    return text and f'did you mean {text}?'


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Say that a name does not exist, which one may have been meant, and which ones exist.

    Args:
        what: Kind of the thing, for ``'no WHAT NAME'``.
        name: The name that was given.
        known: The names that exist, in the order in which to list them.
    """
    known = list(known)
    hint = did_you_mean(nearest(name, known, likeness=0.4))
    return f'no {what} {name!r}: {hint and hint + " "}there are {", ".join(map(repr, known))}'


def check_choice(setting: str, value: object, choices: Collection[object]) -> None:
    """Refuse a value that is not among the choices of a setting.

    Raises:
        ValueError: If it is not among them; the message names the choices.
    """
    if value not in list(choices):
        *most, last = choices
        listed = f'{", ".join(map(repr, most))} or ' if most else ''
        raise ValueError(f'{setting} must be {listed}{last!r}, got {value!r}')


def check_number(setting: str, value: object) -> None:
    """Refuse a value that is no finite number; True and False are none, either.

    Raises:
        ValueError: If it is not one.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f'{setting} must be a number, got {value!r}')


def count_names(what: str, names: Sequence[str]) -> str:
    """Write how many names there are, and the first one as an example."""
    return f'{len(names)} {what}' + (f' (such as {names[0]})' if names else '')


def command(tool: str) -> str:
    """Write how to call a tool, in the way the running one was called: as a script or a command."""
    name = Path(sys.argv[0]).name
    return f'mmseg-ext-{tool.replace("_", "-")}' if name.startswith('mmseg-ext') else (
        f'python tools/{tool}.py'
    )  # fmt: skip
