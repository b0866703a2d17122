"""How a run ends that is asked to: at once, or at its next step if it trains.

A terminal asks by SIGINT, or SIGHUP when it closes, a scheduler by SIGTERM, or beforehand by a
signal of the job's choice (SIGUSR1, SIGUSR2). The exit status is the shell's, 128 and the signal's
number: 143 for SIGTERM, 130 for SIGINT, 129 for SIGHUP, 138 for SIGUSR1, 140 for SIGUSR2.
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

# One request may come twice: from the terminal or the scheduler, and from the parent or torchrun.
REPEATED_S = 1.0

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_LIBC = ctypes.CDLL(None) if sys.platform.startswith('linux') else None


class Stopped(SystemExit):
    """The process was asked to end.

    Args:
        number: Of the signal.
        advice: What was kept and how to go on.
        kept: Whether the run has kept something that it can go on from.
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
    """The signal that a child's exit status tells of, ``None`` if it ended otherwise."""
    number = -status if status < 0 else status - 128
    return number if number in SIGNALS else None


class _Requests:
    """What this process was asked, and whether it answers at once."""

    def __init__(self) -> None:
        self.handled = False
        self.reset()

    def reset(self) -> None:
        """Forget what was asked."""
        self.waits = False
        self.number: Optional[int] = None
        self.at = 0.0
        self.tell: list[Callable[[int, bool], None]] = []

    def receive(self, number: int, frame: Any = None) -> None:
        """Answer a signal: now, or, while a step runs, when it has ended."""
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
    """End this process by :class:`Stopped` when it is asked to.

    A signal that was ignored before stays so, as ``nohup`` wants it. Does nothing within itself,
    and in any thread but the first, where Python sets no handlers.
    """
    if _requests.handled or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: old for number, old in before.items() if old != signal.SIG_IGN}
    _requests.reset()
    _requests.handled = True
    if 'TORCHELASTIC_RUN_ID' in os.environ:  # a killed torchrun leaves its processes behind
        die_with_parent()
    for number in before:
        signal.signal(number, _requests.receive)
    try:
        yield
    finally:
        _requests.handled = False
        for number, old in before.items():
            signal.signal(number, old)


def wait_for_step(waits: bool = True) -> None:
    """Say whether signals wait for the end of a step, which then asks :func:`requested`."""
    _requests.waits = waits


def requested() -> Optional[int]:
    """The signal that asked this process to end, ``None`` if there was none."""
    return _requests.number


@contextlib.contextmanager
def told(tell: Callable[[int, bool], None]) -> Iterator[None]:
    """Pass requests on and wait, for a child, say; then end.

    Args:
        tell: Called with the signal, and whether it is a second request, which ends at once.

    Raises:
        Stopped: At the end of the block, if there was a request.
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
    """Let the kernel send this process a signal when its parent is gone; on Linux only."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_DEATH_SIGNAL, int(number))


def _shield_worker(_: Any) -> None:
    """In a worker of a data loader: only its parent ends it, which still needs it for a step."""
    target = getattr(multiprocessing.current_process(), '_target', None)
    if _requests.handled and str(getattr(target, '__module__', '')).startswith('torch.utils.data'):
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        die_with_parent(signal.SIGKILL)


if hasattr(os, 'fork'):
    multiprocessing.util.register_after_fork(_requests, _shield_worker)


def end_workers() -> None:
    """End the workers of data loaders that are left."""
    left = multiprocessing.active_children()
    if left and hasattr(signal, 'SIGCHLD'):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would call it a failure
    for child in left:
        child.kill()
        child.join()


atexit.register(end_workers)
