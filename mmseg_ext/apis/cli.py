"""How a tool ends: one line for a user's mistake, a traceback for ours."""

import argparse
import os
import re
import sys
import warnings
from typing import Any, Callable, Optional, Sequence

from mmengine.config import DictAction

USER_ERRORS = (
    ValueError,
    KeyError,
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    PermissionError,
    ImportError,
)

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
        wrong = [value for value in values if not re.match(r'[^=\s]+=', value)]
        if wrong:
            raise ValueError(f'{self.option_strings[0]} {wrong[0]!r} is not key=value')
        super().__call__(parser, namespace, values, *args, **kwargs)


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
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if 'Original Traceback' in text:
        lines = [line for line in text.strip().splitlines() if line and not line.startswith(' ')]
        text = re.sub(r'^[\w.]*(Error|Exception): ', '', lines[-1])
    return ' '.join(text.split()) or type(error).__name__


def run_tool(main: Callable[[], Optional[int]]) -> None:
    """Run a tool's ``main`` and exit with its status.

    The exit status is 1 after a user's mistake. ``MMSEG_EXT_DEBUG=1`` shows its traceback.

    Args:
        main: Returns the exit status, ``None`` for 0.
    """
    for message in _UPSTREAM_NOISE:
        warnings.filterwarnings('ignore', message=message, category=UserWarning)
    try:
        sys.exit(main() or 0)
    except USER_ERRORS as error:
        if os.environ.get('MMSEG_EXT_DEBUG') == '1':
            raise
        print(f'error: {message_of(error)}  (MMSEG_EXT_DEBUG=1 shows where)', file=sys.stderr)
        sys.exit(1)
