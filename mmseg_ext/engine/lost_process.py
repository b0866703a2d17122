"""What happens when one of several processes is stopped, gone or too slow: the others end, by name.

torch's processes wait for each other in every step. Each wait has a limit, ten minutes unless
``MMSEG_EXT_TIMEOUT`` (seconds) or the config's ``env_cfg.dist_cfg.timeout`` says otherwise; one
process may do alone, such as adding up scores, what takes no longer. At the limit, or when a
connection breaks, each process that is left signs a list that they share; who has not signed is
named, and asked to end where it runs on the same machine. Under NCCL, torch ends the process itself
at the limit.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Optional

from torch import distributed
from torch.distributed.distributed_c10d import _get_default_store

from ..core import signals

TIMEOUT_S = 600
VARIABLE = 'MMSEG_EXT_TIMEOUT'
_SIGNING_S = 3.0  # the processes notice a loss at about the same time
_SIGNS = (
    'timed out',
    'socket timeout',
    'wait timeout',
    'connection closed',
    'connection reset',
    'connection refused',
    'broken pipe',
    'remote process exited',
    'watchdog caught collective operation timeout',
)


class LostProcessError(TimeoutError):
    """Another process does not answer; the message says which and what to do."""


def waiting_time(dist_cfg: Optional[Mapping] = None) -> timedelta:
    """How long a process waits for the others.

    Args:
        dist_cfg: The config's ``env_cfg.dist_cfg``, with a ``timeout`` in seconds, maybe.

    Raises:
        ValueError: If it is no positive number of seconds.
    """
    wish: Any = os.environ.get(VARIABLE) or (dist_cfg or {}).get('timeout') or TIMEOUT_S
    try:
        seconds = float(wish)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 < seconds < 1e8:
        raise ValueError(
            f'{VARIABLE} (or env_cfg.dist_cfg.timeout): {wish!r} is no time in seconds'
        )
    return timedelta(seconds=seconds)


@contextlib.contextmanager
def named(limit: timedelta) -> Iterator[None]:
    """Name the process that is lost while the block runs.

    Args:
        limit: How long processes wait for each other.

    Raises:
        LostProcessError: In the first of the processes that are left.
        SystemExit: In the others, and where somebody else tells the reason: torchrun asked this
            process to end because another one failed.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        yield
        return
    places: list[str] = []
    try:
        places += _meet()
        yield
    except RuntimeError as error:
        if not _is_loss(error):
            raise
        _tell(places, limit, error)


def _is_loss(error: BaseException) -> bool:
    return any(sign in str(error).lower() for sign in _SIGNS)


def _key(what: str, rank: int) -> str:
    return f'mmseg_ext/{what}/{rank}'


def _meet() -> list[str]:
    """Say where this process is found, and learn it of all the others."""
    store, world = _get_default_store(), distributed.get_world_size()
    store.set(_key('place', distributed.get_rank()), f'{os.getpid()} {socket.gethostname()}')
    return [store.get(_key('place', rank)).decode() for rank in range(world)]


def _tell(places: list[str], limit: timedelta, error: RuntimeError) -> None:
    rank, missing = distributed.get_rank(), _missing()
    for lost in missing:
        _end(places[lost] if places else '')
    present = [r for r in range(distributed.get_world_size()) if r not in missing]
    if signals.requested() or rank != min(present, default=-1):
        raise SystemExit(1) from error
    raise LostProcessError(_message(missing, limit)) from error


def _message(missing: list[int], limit: timedelta) -> str:
    world, seconds = distributed.get_world_size(), f'{limit.total_seconds():g} s'
    what = f'the {world} processes lost each other'
    if missing:
        names = ' and '.join(map(str, missing))
        what = f'process {names} (of {world}, from 0) does not answer: it is stopped, gone or slow'
    return (
        f'{what}. Processes wait {seconds} for each other ({VARIABLE}); start again, with --resume '
        'for a training'
    )


def _missing() -> list[int]:
    """The processes that do not sign the list in time."""
    found: list[list[int]] = []
    # in a thread: a list that is kept by a stopped process answers no more, for ever
    thread = threading.Thread(target=_sign, args=(found,), daemon=True)
    thread.start()
    thread.join(2 * _SIGNING_S)
    if found:
        return found[0]
    return [0] if distributed.get_rank() else []  # the first process keeps the list


def _sign(found: list[list[int]]) -> None:
    """Sign the list, wait for the others to do so, strike the rest off; add who is off."""
    with contextlib.suppress(RuntimeError):  # the list is gone with the process that kept it
        found.append(_struck_off())


def _struck_off() -> list[int]:
    store, rank, world = _get_default_store(), distributed.get_rank(), distributed.get_world_size()
    store.set(_key('left', rank), '1')
    end = time.monotonic() + _SIGNING_S
    missing = _unsigned(store, world)
    while missing and time.monotonic() < end and not signals.requested():
        time.sleep(0.05)
        missing = _unsigned(store, world)
    for lost in missing:
        store.set(_key('lost', lost), '1')  # it may sign when it is awake: too late
    return [r for r in range(world) if store.check([_key('lost', r)])]


def _unsigned(store: Any, world: int) -> list[int]:
    """Who neither signed the list nor was struck off it by another process."""
    return [
        rank
        for rank in range(world)
        if not store.check([_key('left', rank)]) and not store.check([_key('lost', rank)])
    ]


def _end(place: str) -> None:
    """Ask a process of this machine to end, and let it go on to do so if it is stopped."""
    pid, _, host = place.partition(' ')
    if host == socket.gethostname():
        for number in (signal.SIGTERM, signal.SIGCONT):
            with contextlib.suppress(OSError):
                os.kill(int(pid), number)
