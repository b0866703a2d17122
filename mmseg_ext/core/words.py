"""What is said to a user: one line for an error, the name that was meant, how a tool is called."""

import re
import sys
from pathlib import Path

from . import refusals

USER_ERRORS = (ValueError, KeyError, OSError, ImportError)
_LONG = 1000  # no name is longer


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


def command(tool: str) -> str:
    """How a tool is called, as the running one was: ``python tools/NAME.py`` or the command."""
    name = Path(sys.argv[0]).name
    return f'mmseg-ext-{tool.replace("_", "-")}' if name.startswith('mmseg-ext') else (
        f'python tools/{tool}.py'
    )  # fmt: skip
