"""Threads beside the caller's, which write what was made while the next is in work.

Files cost no time then, where the network runs on a GPU or leaves a core alone.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any


def _forget(result: Any) -> None: ...


class Beside:
    """Does what it is given in threads of its own, each of which holds one call.

    Example::

        with Beside('write', threads=2) as beside:
            for image in images:
                beside.do(write, predict(image), then=files.append)

    Args:
        name: Of the threads.
        threads: Calls that may run at a time; :meth:`do` waits where as many do.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads = threads
        self._running: deque[tuple[Future, Callable[[Any], Any]]] = deque()

    def __enter__(self) -> 'Beside':
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        with self._pool:
            while error is not None and self._running:  # what has begun is done, and told
                future, then = self._running.popleft()
                with suppress(Exception):  # the first error is the one to raise
                    then(future.result())
            self.wait()

    def do(
        self, function: Callable[..., Any], *args: Any, then: Callable[[Any], Any] = _forget
    ) -> None:
        """Begin a call.

        Args:
            function: What to call in a thread.
            args: With what.
            then: Is called with the result in the caller's thread, in the order of the calls.

        Raises:
            Exception: What an earlier call raised.
        """
        while len(self._running) >= self._threads:
            self._finish()
        self._running.append((self._pool.submit(function, *args), then))

    def wait(self) -> None:
        """Wait until all is done.

        Raises:
            Exception: What a call raised.
        """
        while self._running:
            self._finish()

    def _finish(self) -> None:
        future, then = self._running[0]
        wait([future])  # if this is interrupted, it still counts as running
        self._running.popleft()
        then(future.result())
