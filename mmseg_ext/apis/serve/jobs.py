"""A queue of bounded length before one thread that does the work, one job after the other."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Optional

from .problems import RequestError

_LONGEST_WAIT = 60  # seconds after which to try again, at most


@dataclass
class _Job:
    item: Any
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: Optional[BaseException] = None

    def give_up(self, error: BaseException) -> None:
        """Forget what was to be done; whoever waits for it gets the error."""
        self.item, self.error = None, error
        self.done.set()


class Jobs:
    """Do work in a single thread; refuse more than a number of requests at the same time.

    Args:
        work: Called with the item of each job, in the order in which they came.
        size: Requests that hold a place at the same time; one of them is worked on.
        seconds: Time after which nobody waits for a job any longer.
    """

    def __init__(self, work: Callable[[Any], Any], *, size: int, seconds: float) -> None:
        self._work, self._size, self._seconds = work, size, seconds
        self._free = threading.BoundedSemaphore(size)
        self._waiting: SimpleQueue[Optional[_Job]] = SimpleQueue()
        self._taken = 0.0  # seconds that the last job took
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name='predict', daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place while an item is read, waits and is worked on.

        Raises:
            RequestError: If all places are taken: 503, with the time after which to try again.
        """
        if not self._free.acquire(blocking=False):
            raise self._full()
        try:
            yield
        finally:
            self._free.release()

    def run(self, item: Any) -> Any:
        """Wait for the result of a job; call it within :meth:`place`.

        Raises:
            RequestError: If it takes too long, or the server ends.
            Exception: What the work raises.
        """
        job = _Job(item)
        self._waiting.put(job)
        if self._closed:
            job.give_up(_ending())
        if not job.done.wait(self._seconds):
            job.give_up(self._busy(f'the image was not predicted within {self._seconds:g} seconds'))
        if job.error is not None:
            raise job.error
        return job.result

    def close(self, seconds: float = 5) -> None:
        """Refuse what waits, and wait for the job that is worked on, for some seconds."""
        self._closed = True
        while not self._waiting.empty():
            job = self._waiting.get()
            if job is not None:
                job.give_up(_ending())
        self._waiting.put(None)
        self._thread.join(seconds)

    def _full(self) -> RequestError:
        return self._busy(f'{self._size} images are waiting, which is all that the queue takes')

    def _busy(self, reason: str) -> RequestError:
        seconds = min(_LONGEST_WAIT, max(1, math.ceil(self._size * self._taken / 2)))
        return RequestError(503, f'{reason}: try again in {seconds} s', Retry_After=str(seconds))

    def _loop(self) -> None:
        while (job := self._waiting.get()) is not None:
            item = job.item
            if item is None:  # nobody waits any longer
                continue
            start = time.monotonic()
            try:
                job.result = self._work(item)
            except Exception as error:
                job.error = error
            self._taken = time.monotonic() - start
            job.item = item = None
            job.done.set()
            del job


def _ending() -> RequestError:
    return RequestError(503, 'the server is ending: try again in 10 s', Retry_After='10')
