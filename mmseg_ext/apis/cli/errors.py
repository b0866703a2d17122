"""How a tool ends: one line for a user's mistake, a traceback for a bug of ours."""

import atexit
import contextlib
import gc
import io
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Optional

from ...core import refusals, signals
from ...core.deferred import once_loaded
from ...core.words import USER_ERRORS, message_of

# Warnings of mmseg about its own calls, or about sizes in the papers; no user can change them.
_UPSTREAM_NOISE = (
    '``build_loss`` would be deprecated soon',
    'The draw is False, it means',
    'When align_corners=True, the output would more aligned',
    'For binary segmentation, we suggest using',
)
_IMPORTED_AT_ONCE = 100_000  # objects between two looks for garbage, about 20 MB
_logs_lost: set[str] = set()


def run_tool(main: Callable[[], Optional[int]]) -> None:
    """Run a tool's ``main`` and exit with its status.

    The exit status is 1 after a user's mistake or an error of the system, such as a full disk.
    After a signal it is 128 plus the number of the signal, see :mod:`~.core.signals`.
    ``MMSEG_EXT_DEBUG=1`` shows the traceback.

    Args:
        main: Function that returns the exit status; ``None`` means 0.
    """
    for message in _UPSTREAM_NOISE:
        warnings.filterwarnings('ignore', message=message, category=UserWarning)
    for stream in (sys.stdout, sys.stderr):  # file names may be bytes that are not text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    logging.Handler.handleError = _log_error  # type: ignore[assignment,method-assign]
    _collect_once_loaded()
    try:
        with signals.handled():
            status = _run(main)
    except signals.Stopped as stopped:
        _say(str(stopped) if _is_first() else '')
        status = stopped.code  # type: ignore[assignment]
    signals.end_workers()
    _flush_output()
    _leave(status)


def _collect_once_loaded() -> None:
    """Look for garbage rarely while packages are imported, and never among what they are.

    An import makes half a million objects and no garbage: looking for it took half a second of the
    four that a training needs to begin, and 0.3 s again for each data set.
    """
    usual = gc.get_threshold()
    gc.set_threshold(_IMPORTED_AT_ONCE, *usual[1:])

    def begin() -> None:
        gc.freeze()
        gc.set_threshold(*usual)

    once_loaded(begin)


def _leave(status: int) -> None:
    """Exit; in a process of a group, without the interpreter's end.

    Threads of such a process, which torch started, abort it there now and then, after all is done:
    a training that was finished ended with status 134.
    """
    group = sys.modules.get('torch.distributed')
    if group is None or not group.is_available() or not group.is_initialized():
        sys.exit(status)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for those of Python, as at the end
    atexit._run_exitfuncs()
    _flush_output()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def _run(main: Callable[[], Optional[int]]) -> int:
    try:
        return main() or 0
    except BrokenPipeError:  # the reader of our output, such as head, has ended
        return 128 + 13
    except (*USER_ERRORS, RuntimeError) as caught:
        error = refusals.as_refusal(caught)
        ours = not isinstance(error, USER_ERRORS) or refusals.is_mistake(error)
        if ours or os.environ.get('MMSEG_EXT_DEBUG') == '1':
            raise
        _say(f'error: {message_of(error)}  (MMSEG_EXT_DEBUG=1 shows where)')
        return 1


def _is_first() -> bool:
    """Tell whether this is the first process of a distributed run, or the only one."""
    return os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0')) == '0'


def _say(text: str) -> None:
    if text:
        with contextlib.suppress(OSError):  # nobody reads the output
            print(text, file=sys.stderr, flush=True)


def _flush_output() -> None:
    """Flush the output, so that the interpreter ends without an error if nobody reads it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _log_error(handler: logging.Handler, record: logging.LogRecord) -> None:
    """Report once that a log cannot be written; the training goes on."""
    error = sys.exc_info()[1]
    name = getattr(handler, 'baseFilename', '')
    if not isinstance(error, OSError):
        traceback.print_exc()
    elif name not in _logs_lost:
        _logs_lost.add(name)
        _say(f'warning: the log is not written any more: {name}: {message_of(error)}')
