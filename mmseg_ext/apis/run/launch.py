"""Call the tools as a user would: one process or torchrun, a log file, progress on the screen."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Optional

from ...core import locks, signals
from ...core.files import short_path

TORCHRUN = Path(__file__).resolve().parents[2] / 'engine' / 'torchrun.py'

_GO_ON = 'the same command goes on'


@dataclass(frozen=True)
class Launch:
    """How training and test are started; nothing of it decides about results.

    Args:
        tools: Folder of ``train.py`` and ``test.py``.
        gpus: Processes of torchrun on this machine; 0 does without torchrun.
    """

    tools: Path
    gpus: int = 0

    def command(self, name: str, *arguments: object) -> list[str]:
        """A tool with its arguments."""
        python, tool = str(short_path(sys.executable)), str(self.tools / f'{name}.py')
        words = [str(argument) for argument in arguments]
        if not self.gpus:
            return [python, tool, *words]
        # standalone: a free port, so that several tables can run on one machine
        torchrun = [str(short_path(TORCHRUN)), '--standalone', f'--nproc_per_node={self.gpus}']
        return [python, *torchrun, tool, *words, '--launcher', 'pytorch']

    def run(self, command: list[str], title: str, log: Path) -> int:
        """Run a command of :meth:`command`; see :func:`run_logged`."""
        return run_logged(command, title, log)


def option_arguments(options: Sequence[str]) -> list[str]:
    """Hand on ``--cfg-options`` as they were typed."""
    return ['--cfg-options', *options] if options else []


def run_logged(command: list[str], title: str, log: Path) -> int:
    """Run a tool: its text goes to the log, progress and errors to the screen as well.

    Args:
        command: What to run.
        title: Printed before it.
        log: File that it is added to.

    Returns:
        The exit status.

    Raises:
        Stopped: If it was stopped by a signal, or this process was: it is passed on, and the
            training may save its step.
    """
    print(f'{title}: {shlex.join(command)}', flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ, PYTHONUNBUFFERED='1')
    if sys.stderr.isatty():
        env.setdefault('MMSEG_EXT_PROGRESS', '1')
    with log.open('ab') as stream:
        return run_child(command, stdout=stream, env=env, copy_errors=True)


def run_child(
    command: list[str],
    *,
    stdout: IO[bytes],
    env: Mapping[str, str],
    copy_errors: bool = False,
) -> int:
    """Run a command that ends with this process and keeps the locks that it holds.

    Args:
        command: What to run.
        stdout: File for its output.
        env: Its environment.
        copy_errors: Whether its errors go to that file as well as to the screen.

    Returns:
        The exit status.

    Raises:
        Stopped: See :func:`run_logged`.
    """
    child = subprocess.Popen(
        command,
        stdout=stdout,
        stderr=subprocess.PIPE if copy_errors else None,
        env=env,
        pass_fds=locks.held(),
        preexec_fn=None if os.name == 'nt' else signals.die_with_parent,
    )

    def tell(number: int, again: bool) -> None:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL if again else number)

    try:
        with signals.told(tell):
            _copy(child.stderr, stdout)
            status = child.wait()
    except signals.Stopped as stopped:
        raise signals.Stopped(stopped.number, _GO_ON) from stopped
    finally:  # whatever has happened: no training is left behind
        if child.poll() is None:
            child.terminate()
            child.wait()
    number = signals.signal_of(status)
    if number is not None:
        raise signals.Stopped(number, _GO_ON)
    return status


def _copy(errors: Optional[IO[bytes]], log: IO[bytes]) -> None:
    while errors is not None and (piece := errors.read1(65536)):  # type: ignore[attr-defined]
        log.write(piece)
        log.flush()
        sys.stderr.write(piece.decode(errors='replace'))
        sys.stderr.flush()
