"""Ends a distributed run if a process is stopped, gone or too slow, and names that process.

torch's processes wait for each other in every step. A wait has a limit of ten minutes, which
``MMSEG_EXT_TIMEOUT`` (seconds) or ``env_cfg.dist_cfg.timeout`` of the config changes. Work of a
single process, such as adding up scores, must not take longer. At the limit, or if a connection
breaks, each remaining process signs a list in torch's store. The first that has waited long enough
writes down who did not sign, and all others take its word. The lowest rank that signed names those
processes, once all have read it; they are asked to end, each by a process of its own machine. Under
NCCL, torch itself ends the process at the limit.
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
_SIGNING_S = 3.0  # processes notice a loss at about the same time
_READING_S = 10.0  # longest wait for a process that signed, but has not read who did not
_UNSIGNED = 'mmseg_ext/unsigned'
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
    """Another process does not answer; the message names it and the remedy."""


def waiting_time(dist_cfg: Optional[Mapping] = None) -> timedelta:
    """Return the longest time that a process waits for the others.

    Args:
        dist_cfg: ``env_cfg.dist_cfg`` of the config, which may have a ``timeout`` in seconds.

    Raises:
        ValueError: If the limit is not a positive number of seconds.
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
    """Name a process that is lost while the block runs.

    Args:
        limit: Longest time that processes wait for each other.

    Raises:
        LostProcessError: In the first of the remaining processes.
        SystemExit: In the other processes, and if torchrun asked this process to end because
            another one failed, which then reports the reason.
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
    """Exchange host and process id between all processes."""
    store, world = _get_default_store(), distributed.get_world_size()
    store.set(_key('place', distributed.get_rank()), f'{os.getpid()} {socket.gethostname()}')
    return [store.get(_key('place', rank)).decode() for rank in range(world)]


def _tell(places: list[str], limit: timedelta, error: RuntimeError) -> None:
    rank, missing = distributed.get_rank(), _missing()
    if missing is None or rank in missing:
        raise SystemExit(1) from error
    present = _present(missing)
    _end_neighbours(places, missing, present)
    if rank == present[0]:
        raise LostProcessError(_message(missing, limit)) from error
    time.sleep(_SIGNING_S)  # torchrun ends all with the first that ends, and one has yet to speak
    raise SystemExit(1) from error


def _present(missing: list[int]) -> list[int]:
    return [rank for rank in range(distributed.get_world_size()) if rank not in missing]


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


def _missing() -> Optional[list[int]]:
    """Return the ranks that did not sign the list, ``None`` if this process was asked to end."""
    found: list[Optional[list[int]]] = []
    # in a thread, because a list kept by a stopped process never answers
    thread = threading.Thread(target=_sign, args=(found,), daemon=True)
    thread.start()
    thread.join(2 * _SIGNING_S)
    if found:
        thread.join(_READING_S)
        return found[0]
    if signals.requested():
        return None
    return [0] if distributed.get_rank() else []  # rank 0 keeps the list


def _sign(found: list[Optional[list[int]]]) -> None:
    """Sign the list, and add those who did not to ``found``.

    The process that will speak waits until the others have read the same. They lose the list with
    rank 0, and would name rank 0 if it ended before that.
    """
    with contextlib.suppress(RuntimeError):  # the list ends with the process that kept it
        store, rank = _get_default_store(), distributed.get_rank()
        missing = _agree_on_missing(store, rank, distributed.get_world_size())
        found.append(missing)
        store.set(_key('read', rank), '1')
        if missing is None or rank != min(_present(missing), default=-1):
            return
        while not store.check([_key('read', other) for other in _present(missing)]):
            time.sleep(0.05)


def _agree_on_missing(store: Any, rank: int, world: int) -> Optional[list[int]]:
    """Sign the list, and return who did not, the same in all processes.

    Returns:
        Ranks, or ``None`` if this process was asked to end before the others agreed.
    """
    store.set(_key('left', rank), '1')
    end = time.monotonic() + _SIGNING_S
    missing = _unsigned(store, world)
    while missing and time.monotonic() < end and not store.check([_UNSIGNED]):
        if signals.requested():
            return None
        time.sleep(0.05)
        missing = _unsigned(store, world)
    own = ' '.join(['ranks', *map(str, missing)])  # never empty, which would mean not written
    agreed = store.compare_set(_UNSIGNED, '', own).decode()  # writes the first one only
    return [int(other) for other in agreed.split()[1:]]


def _unsigned(store: Any, world: int) -> list[int]:
    return [rank for rank in range(world) if not store.check([_key('left', rank)])]


def _end_neighbours(places: list[str], missing: list[int], present: list[int]) -> None:
    """Ask the missing processes of this machine to end, if this is its first that remains.

    Only one process asks: a second request would end a process in the middle of its saving.
    """
    here = [rank for rank in present if places and _host(places[rank]) == socket.gethostname()]
    if here and distributed.get_rank() == here[0]:
        for lost in missing:
            _end(places[lost])


def _host(place: str) -> str:
    return place.partition(' ')[2]


def _end(place: str) -> None:
    """Ask a process on this machine to end, and continue it for that if it is stopped."""
    if _host(place) == socket.gethostname():
        for number in (signal.SIGTERM, signal.SIGCONT):
            with contextlib.suppress(OSError):
                os.kill(int(place.split()[0]), number)
