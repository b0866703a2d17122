"""Submit a table to Slurm: one job per row and seed, which runs ``tools/table.py``.

The same command submits a killed job again, which then resumes. A job gets a signal 90 seconds
before its time limit, saves a checkpoint and requeues itself; Slurm requeues preempted jobs.
sbatch's own variables set the partition, the account and so on: ``SBATCH_PARTITION``,
``SBATCH_ACCOUNT``, ... ``SBATCH_ARGS`` holds further arguments, split into words.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ...core.files import write_bytes
from ..run.folder import RunFolder
from .folders import row_folder
from .jobs import Settings, make_job
from .rows import Row, Table
from .run import check_folder

# Shell script: passes the job's signals to the tool; the exit status of the tool decides.
_JOB = (
    "trap 'kill -USR1 $tool' USR1; trap 'kill -TERM $tool' TERM; {command} & tool=$!; "
    'wait $tool; status=$?; '  # a signal ends the wait but not the tool
    'while kill -0 $tool 2>/dev/null; do wait $tool; status=$?; done; '
    '[ $status -ne {again} ] || scontrol requeue $SLURM_JOB_ID; exit $status'
)
_AGAIN = 128 + 10  # status of the tool after SIGUSR1 on Linux


@dataclass(frozen=True)
class Submitted:
    """A job of one row and seed; without an id it was already in the queue."""

    label: str
    seed: int
    job: str
    new: bool


def submit_table(
    table: Table, settings: Settings, *, tool: Path, arguments: Sequence[str] = ()
) -> list[Submitted]:
    """Submit the rows of a table.

    Args:
        table: From ``choose_rows``.
        settings: How to run the rows; a job has ``settings.launch.gpus`` processes.
        tool: Path of ``tools/table.py``.
        arguments: Arguments of the tool besides paper, table, rows and seeds.

    Returns:
        The jobs.

    Raises:
        ValueError: If there is no sbatch, it refuses a job, or a row's folder has other contents.
    """
    if shutil.which('sbatch') is None:
        raise ValueError('--launcher slurm needs sbatch, which is not on this machine')
    pairs = [(row, seed) for seed in settings.seeds for row in table.rows if row.path is not None]
    for row, seed in pairs:
        check_folder(make_job(table, row, seed, settings), settings, table.protocol.folds)
    done: dict[tuple[str, int], Submitted] = {}
    for row, seed in sorted(pairs, key=lambda pair: pair[0].weights_of is not None):
        after = done.get((str(row.weights_of), seed))
        done[row.label, seed] = _submit(
            table, row, seed, settings, tool, arguments, after.job if after else None
        )
        job = done[row.label, seed]
        state = 'submitted as' if job.new else 'waits or runs already as'
        print(f'row {row.label!r}, seed {seed}: {state} job {job.job}')
    print('when they are done: the same command with --report')
    return list(done.values())


def _submit(
    table: Table,
    row: Row,
    seed: int,
    settings: Settings,
    tool: Path,
    arguments: Sequence[str],
    after: Optional[str],
) -> Submitted:
    folder = row_folder(table, row, seed, settings.work_dirs)
    job = queued_job(folder)
    if job is not None:
        return Submitted(row.label, seed, job, new=False)
    command = [sys.executable, str(tool), table.paper, table.table, '--rows', row.label]
    command += ['--seeds', str(seed), '--ignore-tolerances', *arguments]
    gpus = settings.launch.gpus
    words = ['sbatch', '--parsable', f'--job-name={folder.name}', '--nodes=1', '--ntasks=1']
    words += [f'--gres=gpu:{gpus}'] if gpus else []
    words += [f'--dependency=afterany:{after}'] if after else []
    folder.mkdir(parents=True, exist_ok=True)
    words += [
        f'--output={folder / "slurm-%j.log"}',
        *('--requeue', '--open-mode=append', '--signal=B:USR1@90'),
        *shlex.split(os.environ.get('SBATCH_ARGS', '')),
    ]
    script = _JOB.format(command=shlex.join(command), again=_AGAIN)
    done = subprocess.run([*words, f'--wrap={script}'], capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(f'sbatch refused {row.label!r}: {done.stderr.strip()}')
    job = done.stdout.strip().split(';')[0]  # a cluster name may follow
    write_bytes(RunFolder(folder).job_file, f'{job}\n'.encode())
    return Submitted(row.label, seed, job, new=True)


def queued_job(folder: Path) -> Optional[str]:
    """Return the job of a row's folder if it is still waiting or running."""
    path = RunFolder(folder).job_file
    if not path.is_file() or shutil.which('squeue') is None:
        return None
    job = path.read_text().strip()
    done = subprocess.run(['squeue', '-h', '-j', job, '-o', '%T'], capture_output=True, text=True)
    return job if done.returncode == 0 and done.stdout.strip() else None
