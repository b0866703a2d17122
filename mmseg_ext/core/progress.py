"""How far a long command is: one moving line on a terminal, plain lines elsewhere.

``MMSEG_EXT_PROGRESS`` decides: ``0`` shows nothing, ``1`` also shows the lines of a training where
no terminal is, and ``terminal`` says that a terminal is behind the pipe, as a tool's parent does.
``--quiet`` of every tool sets it to ``0``, and ``MMSEG_EXT_QUIET=1``.
"""

import atexit
import contextlib
import io
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from math import ceil
from typing import Any, Optional, TypeVar

from .deferred import once_loaded

T = TypeVar('T')
VARIABLE, QUIET = 'MMSEG_EXT_PROGRESS', 'MMSEG_EXT_QUIET'
# Of each training, by mmengine of itself: nothing for the user to do.
_NOTICES = (
    'The prefix is not set in metric class',
    '"FileClient" will be deprecated in future',
    '"HardDiskBackend" is the alias of',
)
_REDRAW, _REPEAT = 0.1, 10.0  # seconds between two pictures of a line, and two lines of text


def on_terminal() -> bool:
    """Whether a moving line is shown."""
    wish = os.environ.get(VARIABLE, '')
    return wish == 'terminal' or (wish != '0' and sys.stderr.isatty())


def is_wanted(*, elsewhere: bool = False) -> bool:
    """Whether progress is shown at all.

    Args:
        elsewhere: Whether also where no terminal is, without being asked for it.
    """
    wish = os.environ.get(VARIABLE, '')
    return wish != '0' and (elsewhere or wish == '1' or on_terminal())


def is_quiet() -> bool:
    """Whether only results, warnings and errors are shown."""
    return os.environ.get(QUIET) == '1'


def be_quiet() -> None:
    """Show results, warnings and errors only, in this process and those that it starts."""
    os.environ.update({VARIABLE: '0', QUIET: '1'})
    once_loaded(_hush_current)


def _hush_current() -> None:
    from mmengine.logging import MMLogger

    _hush(MMLogger.get_current_instance(), sys.stdout)


def _loggers() -> list[logging.Logger]:
    """Those of mmengine; none if it is not imported."""
    module = sys.modules.get('mmengine.logging')
    return [] if module is None else list(module.MMLogger._instance_dict.values())


def announce(text: str) -> None:
    """Print what is done next, or need not be done, unless quiet is wished."""
    if not is_quiet():
        print(text, flush=True)


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep what loggers that are made within say off the screen, unless it is a warning.

    That is so if quiet is wished, and holds afterwards; log files get everything.
    """
    if not is_quiet():
        yield
        return
    kept = io.StringIO()
    try:
        with contextlib.redirect_stdout(kept):
            yield
    finally:
        for logger in _loggers():
            _hush(logger, kept)
        told = kept.getvalue().splitlines(keepends=True)
        sys.stdout.writelines(
            line
            for line in told
            if ' - WARNING - ' in line and not any(notice in line for notice in _NOTICES)
        )


_shows_results = False


@contextlib.contextmanager
def results_shown() -> Iterator[None]:
    """Print what :func:`tell_result` is told within, if quiet is wished."""
    global _shows_results
    before, _shows_results = _shows_results, True
    try:
        yield
    finally:
        _shows_results = before


def tell_result(text: str) -> None:
    """Log a result, such as a table of scores.

    Quiet keeps it off the screen in the validations of a training, and not in a test.
    """
    from mmengine.dist import is_main_process
    from mmengine.logging import print_log

    print_log(text, logger='current')
    if is_quiet() and _shows_results and is_main_process():
        print(text.strip('\n'), flush=True)


def _hush(logger: logging.Logger, stream: Any) -> None:
    """Let the handlers that write to a stream write warnings only, and to standard output."""
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler and handler.stream is stream:
            handler.setStream(sys.stdout)
            handler.setLevel(logging.WARNING)
            handler.addFilter(_asks_something)


def _asks_something(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_NOTICES)


class Line:
    """The progress of one thing; of several at a time, the newest is shown.

    Example::

        with Line('predict', len(images)) as line:
            for image in images:
                line.step(note='a.png')

    Args:
        title: What is done.
        total: Number of its steps; ``None`` if unknown.
        done: Steps that were done before, as in a resumed training.
        size: Images in a step, for the images per second.
        unit: What is counted in a second.
        elsewhere: Whether to show it also where no terminal is, without being asked for it.
        show: ``False`` shows nothing.
    """

    def __init__(
        self,
        title: str,
        total: Optional[int],
        *,
        done: float = 0,
        size: float = 1,
        unit: str = 'images',
        elsewhere: bool = False,
        show: bool = True,
    ) -> None:
        self.title, self.total, self.size, self.unit = title, total, size, unit
        self.done = self._first = self._said = done
        self._note = ''
        self._began = self._told = time.monotonic()
        self._screen: Optional[_Screen] = None
        self._silent = not (show and is_wanted(elsewhere=elsewhere))
        if not self._silent and on_terminal():
            self._screen = _Screen.shared()
            self._task = self._screen.add(title, total, done)

    def __enter__(self) -> 'Line':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step(self, count: float = 1, *, note: Optional[str] = None) -> None:
        """Go on by some steps.

        Args:
            count: Number of steps.
            note: What to show beside it from now on, such as the loss.
        """
        self.done += count
        self._note = self._note if note is None else note
        now = time.monotonic()
        if self._screen is not None:
            self._screen.update(self._task, ceil(self.done), self._rate(now), self._note)
        elif not self._silent and now - self._told >= _REPEAT:
            self._tell(now)

    def close(self) -> None:
        """Let the line stand as it is; a line within another is removed."""
        if self._screen is not None:
            self._screen.remove(self._task)
            self._screen = None
        elif not self._silent and self.done > self._said:
            self._tell(time.monotonic())
        self._silent = True

    def _rate(self, now: float) -> str:
        per_second = (self.done - self._first) * self.size / max(now - self._began, 1e-6)
        return f'{per_second:.3g} {self.unit}/s'

    def _tell(self, now: float) -> None:
        self._told, self._said = now, self.done
        parts = [f'{self.title} {ceil(self.done)}/{self.total or "?"}', self._rate(now)]
        if self.total is not None and self.done > self._first:
            steps = (self.total - self.done) / (self.done - self._first)
            parts.append(f'{_clock(steps * (now - self._began))} left')
        print(', '.join([*parts, self._note] if self._note else parts), file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{rest:02}'


def track(
    items: Iterable[T], title: str, *, total: Optional[int] = None, unit: str = 'images',
    show: bool = True,
) -> Iterator[T]:  # fmt: skip
    """Yield items, and show how many are done.

    Args:
        items: What is gone through.
        title: What is done.
        total: Number of items; ``None`` takes their length, if they have one.
        unit: What they are.
        show: ``False`` shows nothing.
    """
    number = len(items) if total is None and isinstance(items, Sized) else total
    with Line(title, number, unit=unit, elsewhere=True, show=show) as line:
        for item in items:
            yield item
            line.step()


class _Screen:
    """The line on the terminal; what is printed or logged meanwhile appears above it.

    It is drawn by whoever goes on, not by a thread, since loaders fork the process.
    """

    _one: Optional['_Screen'] = None

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._drawn = 0.0
        texts = [TextColumn(f'{{task.fields[{key}]}}', markup=False) for key in ('rate', 'note')]
        self._progress = Progress(
            TextColumn('{task.description}', markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            *texts,
            console=Console(file=sys.stderr, force_terminal=True),
            auto_refresh=False,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=True,
        )
        self._open: list[Any] = []
        self._moved: list[tuple[logging.StreamHandler, Any]] = []

    @classmethod
    def shared(cls) -> '_Screen':
        cls._one = cls._one or cls()
        return cls._one

    def add(self, title: str, total: Optional[int], done: float) -> Any:
        if not self._open:
            self._start()
        for task in self._open:
            self._progress.update(task, visible=False)
        fields: dict[str, Any] = dict(rate='', note='')
        self._open.append(self._progress.add_task(title, total=total, **fields))
        self._progress.update(self._open[-1], completed=done)
        self._progress.refresh()
        return self._open[-1]

    def update(self, task: Any, done: float, rate: str, note: str) -> None:
        fields: dict[str, Any] = dict(rate=rate, note=note)
        self._progress.update(task, completed=done, **fields)
        if time.monotonic() - self._drawn >= _REDRAW:
            self._progress.refresh()
            self._drawn = time.monotonic()

    def remove(self, task: Any) -> None:
        self._open.remove(task)
        if not self._open:
            self.stop()
            return
        self._progress.remove_task(task)
        self._progress.update(self._open[-1], visible=True)

    def _start(self) -> None:
        streams = {sys.stdout: 'stdout', sys.stderr: 'stderr'}
        atexit.register(self.stop)
        self._progress.start()
        for logger in _loggers():  # they hold the streams themselves
            for handler in logger.handlers:
                name = streams.get(getattr(handler, 'stream', None))
                if name and type(handler) is logging.StreamHandler:
                    self._moved.append((handler, handler.setStream(getattr(sys, name))))

    def stop(self) -> None:
        """Leave the line as it is, and give the streams back; the cursor is shown again."""
        self._progress.stop()
        for handler, stream in self._moved:
            if stream is not None:
                handler.setStream(stream)
        self._moved = []
        atexit.unregister(self.stop)
        _Screen._one = None
