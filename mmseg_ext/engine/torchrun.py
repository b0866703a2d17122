"""``torchrun`` that ends as its processes do: ``python torchrun.py [arguments of torchrun]``.

A signal is passed to all processes, which may save a step, and waited for; the exit status is
theirs, without a traceback of torchrun's own. Imports nothing of the package, which takes seconds.
"""

import logging
import os
import re
import signal
import sys
import time
from typing import Any

if sys.path and os.path.samefile(sys.path[0] or '.', os.path.dirname(__file__)):
    sys.path.pop(0)  # the files beside this one are no packages

from torch.distributed import DistNetworkError, DistStoreError  # noqa: E402
from torch.distributed.elastic.multiprocessing.api import SignalException  # noqa: E402
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: E402
from torch.distributed.run import main  # noqa: E402

STOPS = ('SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2')
REPEATED_S = 1.0  # as in core/signals.py
STEP_S = 300  # torchrun waits so long for its processes to end

_asked_at = -REPEATED_S


def _stop(number: int, frame: Any) -> None:
    """Ask torchrun to end; the same request may come from the terminal and from the parent."""
    global _asked_at
    before, _asked_at = _asked_at, time.monotonic()
    if _asked_at - before >= REPEATED_S:
        raise SignalException('asked to end', sigval=signal.Signals(number))


def status_of(error: ChildFailedError) -> int:
    """The exit status of the process that failed first; a shell's for one that a signal ended."""
    rank, failure = error.get_first_failure()
    if failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        print(f'error: process {rank} of {error.name} was ended by {name}', file=sys.stderr)
        return 128 - failure.exitcode
    return failure.exitcode


def run() -> int:
    """Run torchrun; return the exit status."""
    for name in STOPS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    os.environ.setdefault('PET_SIGNALS_TO_HANDLE', 'SIGQUIT')  # the others are ours
    os.environ.setdefault('PET_SHUTDOWN_TIMEOUT', str(STEP_S))
    logging.getLogger('torch.distributed.elastic').setLevel(logging.CRITICAL)
    try:
        main()
    except SignalException as stopped:
        return 128 + stopped.sigval
    except ChildFailedError as error:
        return status_of(error)
    except (DistNetworkError, DistStoreError) as error:
        print(f'error: {_network_message(error)}', file=sys.stderr)
        return 1
    return 0


def _network_message(error: Exception) -> str:
    """One line on why the processes of several starts, or their port, cannot meet."""
    text = str(error).splitlines()[0]
    port = re.search(r'port: (\d+)', text)
    if 'EADDRINUSE' in text:
        return (
            f'port {port.group(1) if port else ""} is in use by another process: choose another '
            'by PORT=..., or leave PORT out, and a free one is taken'
        )
    return f'the processes did not meet ({text}): see MASTER_ADDR, PORT, NNODES and NODE_RANK'


if __name__ == '__main__':
    sys.exit(run())
