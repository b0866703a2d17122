"""What is said to a user: one line for an error, the name that was meant, how a tool is called."""

import difflib
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from . import refusals

USER_ERRORS = (ValueError, KeyError, OSError, ImportError)
_LONG = 1000  # no name is longer
_WORD = 100  # letters of a name that are compared, which takes time by their square
_OFFERED = 2  # names


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


def nearest(word: object, known: Iterable[str], *, likeness: float = 0.6) -> list[str]:
    """Names that are most like a misspelt one, the best first; upper and lower case count alike.

    Args:
        word: What was given.
        known: What there is.
        likeness: From 0 to 1, for the same name; what is less alike is left out.
    """
    spelt = {name.lower(): name for name in reversed(list(known))}
    close = difflib.get_close_matches(str(word)[:_WORD].lower(), spelt, n=_OFFERED, cutoff=likeness)
    return [spelt[name] for name in close]


def did_you_mean(names: Iterable[object]) -> str:
    """``'did you mean depth or width?'``, or nothing without names."""
    text = ' or '.join(map(str, names))
    return text and f'did you mean {text}?'


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Say that there is no such name, which one may have been meant, and what there is.

    Args:
        what: Kind of the thing, as in ``'no WHAT NAME'``.
        name: What was given.
        known: What there is, in the order in which it is listed.
    """
    known = list(known)
    hint = did_you_mean(nearest(name, known, likeness=0.4))
    return f'no {what} {name!r}: {hint and hint + " "}there are {", ".join(map(repr, known))}'


def check_choice(setting: str, value: object, choices: Collection[object]) -> None:
    """Refuse a value that is none of those that a setting can have.

    Raises:
        ValueError: Naming them.
    """
    if value not in list(choices):
        *most, last = choices
        listed = f'{", ".join(map(repr, most))} or ' if most else ''
        raise ValueError(f'{setting} must be {listed}{last!r}, got {value!r}')


def count_names(what: str, names: Sequence[str]) -> str:
    """Write how many names there are, and the first of them."""
    return f'{len(names)} {what}' + (f' (such as {names[0]})' if names else '')


def command(tool: str) -> str:
    """How a tool is called, as the running one was: ``python tools/NAME.py`` or the command."""
    name = Path(sys.argv[0]).name
    return f'mmseg-ext-{tool.replace("_", "-")}' if name.startswith('mmseg-ext') else (
        f'python tools/{tool}.py'
    )  # fmt: skip
