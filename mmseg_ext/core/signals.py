"""End a process that is asked to stop by a signal: at once or, if it trains, after its step.

A terminal sends SIGINT on Ctrl-C and SIGHUP when it closes. A scheduler sends SIGTERM, and some
time before that a signal that the job has chosen (SIGUSR1 or SIGUSR2). The exit status is 128 plus
the signal's number, as in a shell: 143 for SIGTERM, 130 for SIGINT, 129 for SIGHUP, 138 for
SIGUSR1, 140 for SIGUSR2.
"""

import atexit
import contextlib
import ctypes
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional

_NAMES = ('SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2')
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))

# The terminal or the scheduler signals all processes, and the parent or torchrun passes the signal
# on: the same request may come twice. A signal within this time counts as the same request.
REPEATED_S = 1.0

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_LIBC = ctypes.CDLL(None) if sys.platform.startswith('linux') else None


class Stopped(SystemExit):
    """The process was asked to end.

    Args:
        number: Number of the signal.
        advice: Tells the user what was saved and how to go on.
        kept: Whether the run saved something that it can be resumed from.
    """

    def __init__(self, number: int, advice: str = '', *, kept: bool = False) -> None:
        super().__init__(128 + number)
        self.number = number
        self.advice = advice
        self.kept = kept

    def __str__(self) -> str:
        name = signal.Signals(self.number).name
        return f'stopped by {name}{": " if self.advice else ""}{self.advice}'


def signal_of(status: int) -> Optional[int]:
    """The signal that ended a child, by its exit status; ``None`` if it ended otherwise."""
    number = -status if status < 0 else status - 128
    return number if number in SIGNALS else None


class _Requests:
    """The last request to end this process, and whether the answer waits for the step's end."""

    def __init__(self) -> None:
        self.handled = False
        self.reset()

    def reset(self) -> None:
        """Forget earlier requests."""
        self.waits = False
        self.number: Optional[int] = None
        self.at = 0.0
        self.tell: list[Callable[[int, bool], None]] = []

    def receive(self, number: int, frame: Any = None) -> None:
        """Note a signal and pass it on; end now, unless the process waits for the end of a step."""
        repeated = self.number is not None
        if repeated and time.monotonic() - self.at < REPEATED_S:
            return
        self.number, self.at = number, time.monotonic()
        for tell in self.tell:
            tell(number, repeated)
        if repeated or not self.waits:
            raise Stopped(number)


_requests = _Requests()


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Raise :class:`Stopped` in this process when a signal asks it to end.

    Signals that were ignored before stay ignored, because ``nohup`` relies on that. A nested call
    does nothing, nor does a call outside the main thread, where Python cannot set handlers.
    """
    if _requests.handled or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: old for number, old in before.items() if old != signal.SIG_IGN}
    _requests.reset()
    _requests.handled = True
    if 'TORCHELASTIC_RUN_ID' in os.environ:  # else a killed torchrun leaves its processes behind
        die_with_parent()
    for number in before:
        signal.signal(number, _requests.receive)
    try:
        yield
    finally:
        _requests.handled = False
        _requests.reset()  # what asked this block to end asks no later one
        for number, old in before.items():
            signal.signal(number, old)


def wait_for_step(waits: bool = True) -> None:
    """Set whether signals wait for the end of a step; the caller then asks :func:`requested`."""
    _requests.waits = waits


def requested() -> Optional[int]:
    """The signal that asked this process to end, ``None`` if there was none."""
    return _requests.number


@contextlib.contextmanager
def told(tell: Callable[[int, bool], None]) -> Iterator[None]:
    """Pass signals on, for example to a child process, and end only after the block.

    Args:
        tell: Called with the signal, and with whether it is a repeated request. A repeated request
            ends this process at once.

    Raises:
        Stopped: At the end of the block, if a signal asked for the end.
    """
    before, _requests.waits = _requests.waits, True
    _requests.tell.append(tell)
    try:
        yield
    finally:
        _requests.tell.remove(tell)
        _requests.waits = before
    if _requests.number is not None:
        raise Stopped(_requests.number)


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Let the kernel send this process a signal when its parent dies; works on Linux only."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_DEATH_SIGNAL, int(number))


def _shield_worker(_: Any) -> None:
    """In a data loader's worker, block signals: the parent needs the worker to finish its step.

    The worker is killed when its parent dies. Other forked processes are left as they are.
    """
    target = getattr(multiprocessing.current_process(), '_target', None)
    if _requests.handled and str(getattr(target, '__module__', '')).startswith('torch.utils.data'):
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        die_with_parent(signal.SIGKILL)


if hasattr(os, 'fork'):
    multiprocessing.util.register_after_fork(_requests, _shield_worker)


def end_workers() -> None:
    """Kill the child processes that are left, such as the workers of data loaders."""
    left = multiprocessing.active_children()
    if left and hasattr(signal, 'SIGCHLD'):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would report a failure
    for child in left:
        child.kill()
        child.join()


atexit.register(end_workers)
