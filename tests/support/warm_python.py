"""Run tools in forks of one process that has imported the package: an import takes seconds.

Reads requests of one JSON line, ``{arguments, cwd, env, out, err}``, and answers each with the exit
status. A tool sees what it would see in a process of its own, but the imports are done. So do the
tools that a tool starts: they are its children by a fork, with the process number, streams, signals
and open files that ``subprocess`` would have given them.
"""

import atexit
import contextlib
import gc
import json
import os
import random
import runpy
import signal
import subprocess
import sys
import threading
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

import jinja2  # noqa: F401  what follows is the work that all tools share
import matplotlib.pyplot  # noqa: F401
import numpy as np
import scipy.ndimage  # noqa: F401  by checks of data
import scipy.special  # noqa: F401  by tests
import torch._dynamo  # noqa: F401  by the first step of an optimiser

import mmseg_ext
import mmseg_ext.models  # noqa: F401  registers everything, which importing the package only plans


def keep_compiled() -> None:
    """Compile the package's modules once for all children, which import them as ever."""
    folder = Path(mmseg_ext.__file__).parent
    loaded = {getattr(module, '__file__', None) for module in list(sys.modules.values())}
    paths = sorted({str(path) for path in folder.rglob('*.py')} - loaded)
    kept = {path: compile(Path(path).read_bytes(), path, 'exec') for path in paths}
    read = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> CodeType | None:
        return kept.get(self.path) or read(self, name)

    SourceFileLoader.get_code = get_code


def serve() -> dict:
    """Answer until the input ends; return, in a child, the request that it is to run."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            return request
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, flush=True)
    sys.exit()


class ForkedPopen(subprocess.Popen):
    """Starts a Python script by a fork of this process, and all else as ``subprocess`` does."""

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest):
        pipes = rest[3:9]  # the two ends for input, output and errors
        streams = {0: pipes[0], 1: pipes[3], 2: pipes[5]}  # those of the child
        script = isinstance(args, list) and len(args) > 1 and str(args[1]).endswith('.py')
        ours = script and Path(args[0]).absolute() == Path(sys.executable).absolute()
        if not ours or threading.active_count() > 1 or cwd is not None:
            super()._execute_child(
                args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest)  # fmt: skip
            return
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become(list(map(str, args[1:])), streams, preexec_fn, pass_fds, env)
        self._child_created = True
        self._close_pipe_fds(*pipes)


def _become(arguments, streams, preexec_fn, pass_fds, env) -> None:
    """Run a script in a new child as an interpreter of its own would, and end with its status."""

    def begin() -> None:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        atexit._clear()
        if preexec_fn is not None:
            preexec_fn()
        _open_streams(streams, {0, 1, 2, *pass_fds})
        _begin(arguments, os.environ.copy() if env is None else env)

    _end_with(begin)


def _end_with(work) -> None:
    """Do work and end as Python would, but let go of no memory: that takes half a second."""
    status = 1
    try:
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()  # waits for threads, as the end of an interpreter does
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if not stream.closed:
                stream.flush()
        os._exit(status)


def _open_streams(streams: dict, keep: set) -> None:
    """Take a parent's pipes for input, output and errors, and close what else it has open."""
    for target, handle in streams.items():
        if handle != -1:
            os.dup2(handle, target)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False) for number, mode in ((0, 'r'), (1, 'w'), (2, 'w'))
    )
    for name in os.listdir('/proc/self/fd'):
        if int(name) not in keep:
            with contextlib.suppress(OSError):  # the listing's own
                os.close(int(name))


def _begin(arguments: list, env: dict) -> None:
    os.environ.clear()
    os.environ.update(env)
    random.seed()  # the children would share the server's state
    np.random.seed()
    if arguments[0] == '-c':
        sys.argv, sys.path[0] = ['-c', *arguments[2:]], ''
        exec(compile(arguments[1], '<string>', 'exec'), dict(__name__='__main__'))
        return
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    runpy.run_path(arguments[0], run_name='__main__')


def run(request: dict) -> None:
    for stream, name in ((1, 'out'), (2, 'err')):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request['cwd'])
    subprocess.Popen = ForkedPopen
    _begin(request['arguments'], request['env'])


if __name__ == '__main__':
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup would have the tools ignore it
    keep_compiled()
    gc.freeze()  # what is imported is no garbage: a collection need not look at it again
    request = serve()
    _end_with(lambda: run(request))
