"""``torchrun`` with the exit status of its processes: ``python torchrun.py [its arguments]``.

It passes a signal on to all processes, which may save a checkpoint, and waits for them. It ends
with their exit status and without torchrun's traceback. It imports nothing of this package, because
that takes seconds.
"""

import logging
import os
import re
import signal
import sys
import time
from typing import Any

if sys.path and os.path.samefile(sys.path[0] or '.', os.path.dirname(__file__)):
    sys.path.pop(0)  # the files beside this one are not packages

from torch.distributed import DistNetworkError, DistStoreError  # noqa: E402
from torch.distributed.elastic.multiprocessing.api import SignalException  # noqa: E402
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: E402
from torch.distributed.run import main  # noqa: E402

STOPS = ('SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2')
REPEATED_S = 1.0  # as in core/signals.py
STEP_S = 300  # how long torchrun waits for its processes to end

_asked_at = -REPEATED_S


def _stop(number: int, frame: Any) -> None:
    """Ask torchrun to end; both the terminal and the parent may send the same request."""
    global _asked_at
    before, _asked_at = _asked_at, time.monotonic()
    if _asked_at - before >= REPEATED_S:
        raise SignalException('asked to end', sigval=signal.Signals(number))


def status_of(error: ChildFailedError) -> int:
    """Return the exit status of the first failed process; after a signal as a shell reports it."""
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
    os.environ.setdefault('PET_SIGNALS_TO_HANDLE', 'SIGQUIT')  # we handle the others
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
    """Explain in one line why processes cannot connect, or their port is not free."""
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
