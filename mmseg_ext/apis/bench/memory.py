"""Benchmark of the memory that a training step takes; see ``benchmark``."""

import time
import weakref
from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..run.training import load_config
from .timing import Case, build, register, training_loss

Marks = Dict[str, int]
_MODES = (  # name, autocast, decoder recomputed
    ('float32', False, False),
    ('AMP', True, False),
    ('AMP, decoder recomputed', True, True),
)


@register
def memory(
    repeats: int, *, configs: Sequence[str] = (), size: int = 512, batch: int = 8
) -> Iterator[Case]:
    """Memory and time of one image in a training step (forward, loss, backward).

    ``activations`` are the bytes held for the gradient when the loss is known; ``peak`` the most
    bytes held within the step, gradients included, weights and the optimizer's state not. On CUDA
    both are the allocator's, elsewhere those of every tensor that an operator returns, without
    what operators take for themselves.
    """
    if not configs:
        raise ValueError('the benchmark memory needs a config: --configs CONFIG.py')
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    for path in configs:
        for name, amp, again in _MODES:
            network = build(load_config(path))
            if again and not hasattr(network.decode_head, 'with_cp'):
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


def _measure(compute_loss: Callable[[], Tensor], device: str, repeats: int) -> Tuple[Marks, float]:
    compute_loss().backward()  # gradients exist from here on, as in every step but the first
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


class LiveBytes(TorchDispatchMode):
    """Count the bytes of the storages that operators return, for as long as these are in use.

    Attributes:
        live: Bytes now.
        peak: The most there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: Dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Optional[dict] = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        weakref.finalize(storage, self._drop, key)
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)

    def _drop(self, key: int) -> None:
        self.live -= self._known.pop(key)
