"""Call the tools as a user would: alone or with torchrun, with a log file and visible progress."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Optional

from ...core import locks, signals
from ...core.files import short_path
from ...core.progress import is_quiet

TORCHRUN = Path(__file__).resolve().parents[2] / 'engine' / 'torchrun.py'

_GO_ON = 'the same command goes on'


@dataclass(frozen=True)
class Launch:
    """How the tools for training and testing are started.

    Args:
        tools: Folder of ``train.py`` and ``test.py``.
        gpus: Number of processes that torchrun starts on this machine; 0 means without torchrun.
    """

    tools: Path
    gpus: int = 0

    def command(self, name: str, *arguments: object) -> list[str]:
        """Return the command that calls a tool with arguments."""
        python, tool = str(short_path(sys.executable)), str(self.tools / f'{name}.py')
        words = [str(argument) for argument in arguments]
        if not self.gpus:
            return [python, tool, *words]
        # --standalone takes a free port, so that several tables can run on one machine
        torchrun = [str(short_path(TORCHRUN)), '--standalone', f'--nproc_per_node={self.gpus}']
        return [python, *torchrun, tool, *words, '--launcher', 'pytorch']

    def run(self, command: list[str], title: str, log: Path) -> int:
        """Run a command from :meth:`command`; see :func:`run_logged`."""
        return run_logged(command, title, log)


def option_arguments(options: Sequence[str]) -> list[str]:
    """Return the arguments that pass ``--cfg-options`` on as they were typed."""
    return ['--cfg-options', *options] if options else []


def run_logged(command: list[str], title: str, log: Path) -> int:
    """Run a tool. All its output goes to the log; progress and errors also go to the screen.

    Args:
        command: Command to run.
        title: Text that is printed before the command.
        log: File that the output is appended to.

    Returns:
        The exit status.

    Raises:
        Stopped: If a signal stopped the tool or this process. The tool gets the signal too, and may
            save the current step first.
    """
    if not is_quiet():
        print(f'{title}: {shlex.join(command)}', flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ, PYTHONUNBUFFERED='1')
    if sys.stderr.isatty():
        env.setdefault('MMSEG_EXT_PROGRESS', 'terminal')
        env.setdefault('COLUMNS', str(shutil.get_terminal_size().columns))
    with log.open('ab') as stream:
        return run_child(command, stdout=stream, env=env, copy_errors=True)


def run_child(
    command: list[str],
    *,
    stdout: IO[bytes],
    env: Mapping[str, str],
    copy_errors: bool = False,
) -> int:
    """Run a child process that ends with this process and shares its locks.

    Args:
        command: Command to run.
        stdout: File for the standard output.
        env: Environment variables of the child.
        copy_errors: Whether the standard error goes to that file as well as to the screen.

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
    finally:  # after any error: leave no training running
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
