"""Call the tools as a user would: one process or torchrun, a log file, progress on the screen."""

import contextlib
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Sequence, Tuple

from .demo import short_path

LOCK_FILE = '.lock'


@dataclass(frozen=True)
class Launch:
    """How training and test are started; nothing of it decides about results.

    Args:
        tools: Folder of ``train.py`` and ``test.py``.
        gpus: Processes of torchrun on this machine; 0 does without torchrun.
        held: File descriptors that the children keep open, such as that of a lock.
    """

    tools: Path
    gpus: int = 0
    held: Tuple[int, ...] = ()

    def command(self, name: str, *arguments: object) -> List[str]:
        """A tool with its arguments."""
        python, tool = str(short_path(sys.executable)), str(self.tools / f'{name}.py')
        words = [str(argument) for argument in arguments]
        if not self.gpus:
            return [python, tool, *words]
        # standalone: a free port, so that several tables can run on one machine
        torchrun = ['-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={self.gpus}']
        # behind all words: argparse takes a checkpoint only right behind the config
        return [python, *torchrun, tool, *words, '--launcher', 'pytorch']

    def run(self, command: List[str], title: str, log: Path) -> int:
        """Run a command of :meth:`command`; see :func:`run_logged`."""
        return run_logged(command, title, log, held=self.held)


def option_arguments(options: Sequence[str]) -> List[str]:
    """Hand on ``--cfg-options`` as they were typed."""
    return ['--cfg-options', *options] if options else []


def run_logged(command: List[str], title: str, log: Path, *, held: Sequence[int] = ()) -> int:
    """Run a tool: its text goes to the log, progress and errors to the screen as well.

    Args:
        command: What to run.
        title: Printed before it.
        log: File that it is added to.
        held: File descriptors that the child keeps open, such as that of a lock.

    Returns:
        The exit status.
    """
    print(f'{title}: {shlex.join(command)}', flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ, PYTHONUNBUFFERED='1')
    if sys.stderr.isatty():
        env.setdefault('MMSEG_EXT_PROGRESS', '1')
    with log.open('ab') as stream:
        child = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.PIPE, env=env, pass_fds=held
        )
        try:
            while piece := child.stderr.read1(65536):  # type: ignore[union-attr]
                stream.write(piece)
                stream.flush()
                sys.stderr.write(piece.decode(errors='replace'))
                sys.stderr.flush()
            return child.wait()
        finally:  # a stopped table or cross validation leaves no training behind
            if child.poll() is None:
                child.terminate()
                child.wait()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Tuple[int, ...]]:
    """Keep a second process out of a work folder.

    Yields:
        The ``held`` of :class:`Launch`: a training that outlives this process (killed
        without a chance to stop it) keeps the lock.

    Raises:
        ValueError: If another process has it.
    """
    try:
        import fcntl
    except ImportError:  # Windows: no such locks
        yield ()
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open('a') as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(f'{folder} is in use by another process: let it finish') from error
        yield (stream.fileno(),)
