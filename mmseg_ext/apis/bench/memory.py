"""Benchmark of the memory of a training step; see ``benchmark``."""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ...engine.bfloat16 import NO_PRODUCTS, is_imitated
from ..run.config import load_config
from ..run.network.build import build
from ..run.network.live_bytes import LiveBytes
from .timing import Case, register, training_loss

Marks = dict[str, int]
_MODES = (  # name, autocast, decoder recomputed
    ('float32', False, False),
    ('AMP', True, False),
    ('AMP, decoder recomputed', True, True),
)


@register
def memory(
    repeats: int, *, configs: Sequence[str] = (), size: int = 512, batch: int = 8
) -> Iterator[Case]:
    """Measure memory and time per image of a training step (forward, loss, backward).

    ``activations`` are the bytes kept for the gradient after the loss. ``peak`` is the maximum
    within the step, with gradients but without weights and optimizer state. On CUDA both come from
    the allocator; elsewhere they count all tensors that operators return, but not the internal
    memory of operators.
    """
    if not configs:
        raise ValueError('the benchmark memory needs a config: --configs CONFIG.py')
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    for path in configs:
        for name, amp, again in _MODES:
            network = build(load_config(path))
            if again and not hasattr(network.decode_head, 'with_cp'):
                continue
            if amp and is_imitated(device):
                yield dict(note=f'{path}: no {name}: {NO_PRODUCTS}')
                continue
            network.decode_head.with_cp = again
            compute_loss = training_loss(network, size, batch, amp, device)
            marks, seconds = _measure(compute_loss, device, repeats)
            yield dict(
                case=f'{path}, {name}, {batch}x{size}x{size}',
                device=torch.cuda.get_device_name() if device == 'cuda' else device,
                **marks,
                seconds_per_image=seconds / batch,
            )


def _measure(compute_loss: Callable[[], Tensor], device: str, repeats: int) -> tuple[Marks, float]:
    compute_loss().backward()  # gradients exist from here on, as in every step after the first
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        compute_loss().backward()
        if device == 'cuda':
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    held = _held_on_cuda if device == 'cuda' else _held_elsewhere
    return held(compute_loss), float(np.median(seconds))


def _held_on_cuda(compute_loss: Callable[[], Tensor]) -> Marks:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    loss = compute_loss()
    activations = torch.cuda.memory_allocated() - before
    loss.backward()
    return dict(activations=activations, peak=torch.cuda.max_memory_allocated() - before)


def _held_elsewhere(compute_loss: Callable[[], Tensor]) -> Marks:
    with LiveBytes() as held:
        loss = compute_loss()
        activations = held.live
        loss.backward()
    return dict(activations=activations, peak=held.peak)
