"""Process groups on machines without CUDA, and wrapping of models for them.

mmengine selects a CUDA device before it starts any process group, even with gloo. Its Runner does
not start a group if one exists, so the group is started here first.
"""

import atexit
import os
import subprocess
from datetime import timedelta
from typing import Any, Optional

import torch
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from .lost_process import waiting_time

_NAMES = {  # launcher: its variables of rank, world size and local rank
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


def _translate(launcher: str) -> None:
    """Set the environment variables that torch reads from those of the launcher.

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
    os.environ.setdefault('MASTER_PORT', str(_port()))
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_slurm_node() if launcher == 'slurm' else '127.0.0.1'


def _port() -> int:
    """Return torch's port, or one per step of a Slurm job, as several steps may share a machine."""
    job, step = os.environ.get('SLURM_JOB_ID', ''), os.environ.get('SLURM_STEP_ID', '')
    if not (job + step).isdigit():
        return 29500
    return 20000 + (int(job or 0) * 7 + int(step or 0)) % 10000


def _first_slurm_node() -> str:
    nodes = os.environ.get('SLURM_NODELIST', '127.0.0.1')
    listed = subprocess.run(
        ['scontrol', 'show', 'hostname', nodes], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()[0]


def start_cpu_group(launcher: str, *, limit: Optional[timedelta] = None) -> bool:
    """Start a gloo group when a launcher is used on a machine without CUDA.

    Args:
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
        limit: Longest time that processes wait for each other; ``None`` takes :func:`waiting_time`.

    Returns:
        True if the group runs on CPUs, so that models must be wrapped without device ids.

    Raises:
        ValueError: If the launcher did not set its variables, or the processes cannot connect.
    """
    if launcher == 'none' or torch.cuda.is_available():
        return False
    if not distributed.is_initialized():
        _translate(launcher)
        try:
            distributed.init_process_group('gloo', timeout=limit or waiting_time())
        except RuntimeError as error:
            raise ValueError(meeting_message(str(error))) from error
        atexit.register(_stop_group)
    return True


def meeting_message(text: str) -> str:
    """Turn torch's error into one line on why processes could not connect."""
    if 'EADDRINUSE' in text:
        port = os.environ.get('MASTER_PORT')
        return f'port {port} is in use by another process: set another one as MASTER_PORT'
    return (
        f'the processes did not meet ({text.splitlines()[0]}): see MASTER_ADDR, MASTER_PORT and '
        'whether all of them were started'
    )


def _stop_group() -> None:
    """End gloo's threads before the interpreter ends; else they sometimes abort the process."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def unwrapped(model: Any) -> Any:
    """Return a model without its data-parallel wrapper; one that has none is returned as it is."""
    return model.module if is_model_wrapper(model) else model


def wrap_again(runner: Any) -> None:
    """Wrap a Runner's model again after the memory layout of its parameters has changed.

    A Runner wraps the model before its hooks run, and the buckets of the wrapper keep the strides
    of that moment, so gradients of another layout would be permuted. The optimiser stays valid,
    because it refers to the parameters themselves.

    Args:
        runner: mmengine's Runner; a model that is not wrapped is not changed.

    Raises:
        ValueError: If the wrapper is not mmengine's or torch's distributed data parallel.
    """
    if not is_model_wrapper(runner.model):
        return
    if type(runner.model) not in (MMDistributedDataParallel, DistributedDataParallel):
        raise ValueError(
            f'{type(runner.model).__name__} cannot take another memory layout after it was built: '
            'use MMDistributedDataParallel, or leave ChannelsLastHook out'
        )
    model = runner.model.module
    runner.model = model  # drops the old wrapper with its gradient hooks
    runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
