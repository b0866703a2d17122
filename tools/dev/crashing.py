"""A tool in a fork of a process that has done the imports, which kills itself at a chosen place.

The places are counted: each time a file below the work folder is opened for writing, written to,
flushed, renamed or removed, and each image of a validation. A run is deterministic, so a place is
the process (``train#0`` is the first training that is started) and a number in it.
"""

import atexit
import builtins
import contextlib
import io
import os
import random
import re
import runpy
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
from mmengine.config import config
from mmengine.runner import ValLoop

from mmseg_ext.core import locks, signals
from mmseg_ext.core.saved import LAST_NOTE

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Plan:
    """Where a run is killed.

    Args:
        root: Files below it are watched.
        process: The process that meets the place, such as ``train#0``; empty for none.
        place: Its number there, from 1.
        victim: ``'self'``, ``'parent'`` or ``'all'``.
        record: File that all places are written to, a line each.
    """

    root: str
    process: str = ''
    place: int = 0
    victim: str = 'self'
    record: Optional[str] = None
    started: dict[str, int] = field(default_factory=dict)


class _Watch:
    """Counts the places of this process, and kills at the planned one."""

    def __init__(self, plan: Plan, process: str) -> None:
        self.plan, self.process, self.count = plan, process, 0

    def meets(self, what: str, path: Any) -> bool:
        """Count a place; whether it is the planned one."""
        text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ''
        if not os.path.abspath(str(text)).startswith(self.plan.root):
            return False
        self.count += 1
        if self.plan.record is not None:
            with _open(self.plan.record, 'a') as stream:
                stream.write(f'{self.process} {self.count} {what} {kind_of(str(text))}\n')
        return self.plan.process == self.process and self.plan.place == self.count

    def pass_by(self, what: str, path: Any) -> None:
        """Count a place, and kill if it is the planned one."""
        if self.meets(what, path):
            self.kill()

    def kill(self) -> None:
        """Kill whom the plan names, this process last."""
        if self.plan.victim == 'parent':
            os.kill(os.getppid(), signal.SIGKILL)
        else:
            (os.killpg if self.plan.victim == 'all' else os.kill)(
                0 if self.plan.victim == 'all' else os.getpid(), signal.SIGKILL
            )


def kind_of(path: str) -> str:
    """Files of one kind have one name: ``iter_*.pth``, ``*.log``, ``config``, ..."""
    name = re.sub(r'^\.(.*)\.\d+\.part$', r'\1', os.path.basename(path))
    for pattern, kind in (
        (r'(iter|best)_.*\.pth$', r'\1_*.pth'),
        (r'.*\.log$', '*.log'),
        (r'\d{8}_\d{6}\.json$|scalars\.json$', 'scalars'),
        (r'.*\.py$', 'config'),
        (r'split.*\.txt$', 'split_*.txt'),
        (r'.*\.(png|jpg)$', 'pictures'),
    ):
        if re.match(pattern, name):
            return re.sub(pattern, kind, name)
    return name if '.' in name or name == LAST_NOTE else 'folder'


_open = builtins.open


class _File:
    """A file that is open for writing."""

    def __init__(self, file: Any, path: Any, watch: _Watch) -> None:
        self.__dict__.update(_file=file, _path=path, _watch=watch)

    def write(self, data: Any) -> int:
        if self._watch.meets('write', self._path):
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            self._watch.kill()
            self._file.write(data[len(data) // 2 :])
            return len(data)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> '_File':
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    def __iter__(self) -> Any:
        return iter(self._file)


def _watch_files(watch: _Watch) -> None:
    """Let this process pass by the watch whenever it changes a file."""

    def opened(path: Any, mode: str = 'r', *args: Any, **kwargs: Any) -> Any:
        if not set(mode) & set('wax+'):
            return _open(path, mode, *args, **kwargs)
        watch.pass_by('open', path)
        file = _open(path, mode, *args, **kwargs)
        below = isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(
            watch.plan.root
        )
        return _File(file, path, watch) if below else file

    builtins.open = io.open = opened  # type: ignore[assignment]
    for name, index in (('replace', 1), ('rename', 1), ('unlink', 0), ('remove', 0)):
        _wrap(os, name, index, watch)
    fsync, run_iter = os.fsync, ValLoop.run_iter

    def flushed(handle: int) -> None:
        watch.pass_by('flush', os.readlink(f'/proc/self/fd/{handle}'))
        fsync(handle)

    def validated(self: Any, index: int, batch: Any) -> None:
        watch.pass_by('validation', watch.plan.root)
        run_iter(self, index, batch)

    os.fsync = flushed
    ValLoop.run_iter = validated  # type: ignore[method-assign]


def _wrap(module: Any, name: str, index: int, watch: _Watch) -> None:
    function = getattr(module, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        watch.pass_by(name, args[index])
        done = function(*args, **kwargs)
        watch.pass_by(f'after {name}', args[index])
        return done

    setattr(module, name, wrapped)


class _Popen:
    """The part of ``subprocess.Popen`` that the tools use, for tools: a fork, not a start."""

    def __init__(self, args: list[str], **given: Any) -> None:
        self.returncode: Optional[int] = None
        self.stderr = None
        read, write = os.pipe() if given.get('stderr') == subprocess.PIPE else (None, None)
        tool = next(word for word in args if word.endswith('.py'))
        plan = _now.plan
        name = Path(tool).stem
        number = plan.started.get(name, 0)
        plan.started[name] = number + 1
        self.pid = os.fork()
        if self.pid == 0:
            if given.get('preexec_fn'):
                given['preexec_fn']()
            if given.get('stdout') is not None:
                os.dup2(given['stdout'].fileno(), 1)
            if write is not None:
                os.dup2(write, 2)
                os.close(read)
            os.environ.clear()
            os.environ.update(given['env'])
            run_tool(args[args.index(tool) :], plan, f'{name}#{number}')
        if write is not None:
            os.close(write)
            self.stderr = _open(read, 'rb')

    def poll(self, flags: int = os.WNOHANG) -> Optional[int]:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, flags)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self) -> Optional[int]:
        return self.poll(0)

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class _Now:
    plan = Plan('')


_now = _Now()


def _as_new() -> None:
    """Forget what a fork has and a new process has not."""
    for number in signals.SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signals._requests.handled = False
    signals._requests.reset()
    locks._held.clear()
    random.seed()
    np.random.seed()
    sys.stdout = _open(1, 'w', closefd=False)
    sys.stderr = _open(2, 'w', closefd=False)


def run_tool(arguments: list[str], plan: Plan, process: str) -> None:
    """Be a tool, in a fork made for it; never returns."""
    status: Any = 1
    try:
        _as_new()
        _now.plan = plan
        popen = subprocess.Popen

        def start(args: Any, *more: Any, **given: Any) -> Any:
            is_tool = isinstance(args, list) and str(args[0]).endswith('python')
            return (_Popen if is_tool else popen)(args, *more, **given)

        subprocess.Popen = start  # type: ignore[assignment,misc]
        # to lay out the config, for every checkpoint, would take longer than to train
        config.FormatCode = lambda text, **_: (text, False)
        _watch_files(_Watch(plan, process))
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
        runpy.run_path(arguments[0], run_name='__main__')
        status = 0
    except SystemExit as end:
        status = end.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status or 0)
