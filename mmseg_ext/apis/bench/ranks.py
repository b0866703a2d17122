"""Benchmark of a training in several processes; see ``ranks``.

Differs from a training by ``tools/dist_train.sh``: noise instead of images, so that only the step
and what the processes send each other is measured.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ..config.written import configs_folder
from ..run.config import load_config
from ..run.network.build import build, sizes_of
from .timing import Case, register

_DEFAULT = 'fmsi/deeplabv3plus_mobilenetv2_camvid.py'
_WARM = 2  # steps that are not timed
# What the estimate assumes of GPUs: none of them is here.
GPU_FLOPS = 40e12  # per second, sustained in training with mixed precision
WITHIN = 300e9  # bytes per second between the 8 GPUs of a machine
BETWEEN = 25e9  # bytes per second of a machine's network, 200 Gb/s
PER_MACHINE = 8
_GPU_BATCH, _GPU_SIZE = 8, 512
_CHILD = 'import sys; from mmseg_ext.apis.bench.ranks import work; work(*sys.argv[1:])'


@register
def ranks(
    repeats: int,
    *,
    configs: Sequence[str] = (),
    size: int = 128,
    batch: int = 8,
    count: int = 5,
) -> Iterator[Case]:
    """Time steps of one and of two processes with the same images in all, and estimate more.

    They send each other their gradients by gloo.

    The threads are shared out: two processes have half as many each. The estimate for 8 to 512
    GPUs takes the time of a step from its multiplications and that of a ring's all-reduce from the
    bytes of the gradients, one after the other: in truth they overlap.

    Args:
        repeats: Runs of each number of processes, of which the fastest counts.
        configs: Networks; one of DeepLabv3+ without any.
        size: Height and width of the images.
        batch: Images of a step, over all processes.
        count: Timed steps of a run.
    """
    if batch % 2:
        raise ValueError(f'ranks divides the images between two processes: --batch {batch} is odd')
    for path in configs or [str(configs_folder() / _DEFAULT)]:
        seconds = {n: _run(path, n, size, batch, count, repeats) for n in (1, 2)}
        network = build(load_config(path))
        held = sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)
        name = Path(path).name
        for number, took in seconds.items():
            yield dict(
                case=f'{name}, {batch}x{size}x{size} in all, gloo',
                ranks=number,
                seconds=took,
                bytes=sent(held, number),
                efficiency=seconds[1] / took,  # the same processor does the same work
            )
        flops = sizes_of(network, _GPU_SIZE)['flops']
        for number in (8, 16, 32, 64, 128, 256, 512):
            yield dict(
                case=f'estimate: {name}, {_GPU_BATCH}x{_GPU_SIZE}x{_GPU_SIZE} a GPU of '
                f'{GPU_FLOPS / 1e12:g} TFLOP/s, {WITHIN / 1e9:g} GB/s within {PER_MACHINE}, '
                f'{BETWEEN / 1e9:g} GB/s between',
                ranks=number,
                **estimate(flops * _GPU_BATCH, held, number),
            )


def sent(held: float, number: int) -> float:
    """Bytes that each process of a ring sends to reduce ``held`` bytes of gradients."""
    return 2 * (number - 1) / number * held


def estimate(flops: float, held: float, number: int) -> dict[str, float]:
    """The time of a step of many GPUs, on paper.

    Args:
        flops: Of the forward passes of one GPU's images; the backward pass takes twice as many.
        held: Bytes of the gradients.
        number: GPUs, in machines of 8.

    Returns:
        ``seconds`` of a step, ``bytes`` that each GPU sends, and ``efficiency``, the share of the
        time that is no waiting.
    """
    step = 3 * flops / GPU_FLOPS
    machines = -(-number // PER_MACHINE)
    within = sent(held, min(number, PER_MACHINE)) / WITHIN
    between = sent(held, machines) / BETWEEN
    seconds = step + within + between
    return dict(seconds=seconds, bytes=sent(held, number), efficiency=step / seconds)


def _run(path: str, number: int, size: int, batch: int, count: int, repeats: int) -> float:
    found = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            words = [str(value) for value in (number, path, size, batch, count, folder)]
            environment = dict(
                os.environ, OMP_NUM_THREADS=str(max(torch.get_num_threads() // number, 1))
            )
            children = [
                subprocess.Popen(
                    [sys.executable, '-c', _CHILD, str(rank), *words],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
                for rank in range(number)
            ]
            errors = [child.communicate()[1] for child in children]
            for child, error in zip(children, errors):
                if child.returncode:
                    raise RuntimeError(f'a process of {number} failed: {error.strip()[-2000:]}')
            found.append(json.loads(Path(folder, 'seconds').read_text()))
    return min(found)


def work(rank: str, number: str, path: str, size: str, batch: str, count: str, folder: str) -> None:
    """One process: train on noise and, in the first, write the seconds of a step."""
    import time

    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    from .timing import training_loss

    distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/group', rank=int(rank), world_size=int(number)
    )
    network: Any = build(load_config(path))
    compute_loss = training_loss(network, int(size), int(batch) // int(number), amp=False)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    wrapped = DistributedDataParallel(_Loss(network, compute_loss))
    for step in range(_WARM + int(count)):
        if step == _WARM:
            distributed.barrier()
            start = time.perf_counter()
        optimizer.zero_grad()
        wrapped().backward()
        optimizer.step()
    distributed.barrier()
    if rank == '0':
        seconds = (time.perf_counter() - start) / int(count)
        Path(folder, 'seconds').write_text(json.dumps(seconds))
    distributed.destroy_process_group()


class _Loss(torch.nn.Module):
    """The loss of the network on its batch of noise, as the forward pass that DDP watches."""

    def __init__(self, network: torch.nn.Module, compute_loss: Any) -> None:
        super().__init__()
        self.network, self.compute_loss = network, compute_loss

    def forward(self) -> torch.Tensor:
        return self.compute_loss()  # type: ignore[no-any-return]
