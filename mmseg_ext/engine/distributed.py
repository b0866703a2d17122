"""Process groups on machines without CUDA.

mmengine selects a CUDA device before it starts any process group, even gloo. Its Runner skips its
own start when a group exists, so one is started first here.
"""

import atexit
import os
import subprocess

import torch
from torch import distributed

_NAMES = {  # launcher: where rank, size and local rank stand
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


def _translate(launcher: str) -> None:
    """Write the launcher's variables under the names that torch reads.

    Raises:
        ValueError: If the launcher did not set them.
    """
    names = _NAMES.get(launcher, ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'))
    missing = [name for name in names[:2] if name not in os.environ]
    if missing:
        raise ValueError(
            f'--launcher {launcher}: the environment lacks {", ".join(missing)}; '
            'start the tool with torchrun, srun or mpirun (see tools/dist_train.sh)'
        )
    for target, source in zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), names):
        os.environ[target] = os.environ.get(source, '0')
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_slurm_node() if launcher == 'slurm' else '127.0.0.1'


def _first_slurm_node() -> str:
    nodes = os.environ.get('SLURM_NODELIST', '127.0.0.1')
    listed = subprocess.run(
        ['scontrol', 'show', 'hostname', nodes], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()[0]


def start_cpu_group(launcher: str) -> bool:
    """Start a gloo group when a launcher is used on a machine without CUDA.

    Args:
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Returns:
        True if the group runs on CPUs, so that models must be wrapped without device ids.
    """
    if launcher == 'none' or torch.cuda.is_available():
        return False
    if not distributed.is_initialized():
        _translate(launcher)
        distributed.init_process_group('gloo')
        atexit.register(_stop_group)
    return True


def _stop_group() -> None:
    """Let gloo's threads end before the interpreter does; they abort a process now and then."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
