"""Runs tools as a user starts them, in processes whose imports are done."""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from .paths import ROOT


class WarmPython:
    """Runs tools in forks of a process that has imported the package, started at first use.

    Args:
        env: Environment of that process, which decides what it imports; by default ours.
    """

    def __init__(self, env: dict | None = None) -> None:
        self.server: subprocess.Popen | None = None
        self.env = env

    def _start(self) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, ROOT / 'tests/support/warm_python.py'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.env,
            start_new_session=True,
        )

    def run(self, arguments: list, *, timeout: float, **request: object):
        """What ``subprocess.run`` returns, with text captured."""
        if self.server is None:
            self.server = self._start()
        with tempfile.TemporaryDirectory() as folder:
            files = {name: str(Path(folder, name)) for name in ('out', 'err')}
            request = dict(request, arguments=arguments, **files)
            print(json.dumps(request), file=self.server.stdin, flush=True)
            if not select.select([self.server.stdout], [], [], timeout)[0]:
                self.stop()
                raise subprocess.TimeoutExpired(arguments, timeout)
            status = int(self.server.stdout.readline())
            texts = [Path(file).read_text() for file in files.values()]
        return subprocess.CompletedProcess(arguments, status, *texts)

    def stop(self) -> None:
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
        self.server = None


_WARM = WarmPython()
atexit.register(_WARM.stop)


def run_python(
    *arguments: object,
    check: bool = True,
    env: dict | None = None,
    cwd: Path = ROOT,
    timeout: float = 900,
) -> subprocess.CompletedProcess:
    """Run this interpreter as a user would, one thread, output captured.

    A script, or code after ``-c``, runs in a fork whose imports are done, unless ``env`` could
    change what they do: only ``MMSEG_EXT_PROGRESS`` is read when a run begins.
    """
    texts = list(map(str, arguments))
    warm = texts[0] == '-c' or texts[0].endswith('.py')
    place = dict(cwd=str(cwd), env={**os.environ, 'OMP_NUM_THREADS': '1', **(env or {})})
    if warm and set(env or ()) <= {'MMSEG_EXT_PROGRESS'}:
        done = _WARM.run(texts, timeout=timeout, **place)
    else:
        done = subprocess.run(
            [sys.executable, *texts], capture_output=True, text=True, timeout=timeout, **place
        )
    if check and done.returncode != 0:
        raise AssertionError(
            f'{arguments} exited with {done.returncode}\n{done.stdout[-3000:]}'
            f'\n{done.stderr[-3000:]}'
        )
    return done


@pytest.fixture(scope='session')
def python_tool():
    """The function that runs a tool in a process of its own."""
    return run_python
