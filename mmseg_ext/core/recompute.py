"""Gradient checkpointing: recompute activations in the backward pass instead of keeping them.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016,
https://arxiv.org/abs/1604.06174, as ``torch.utils.checkpoint`` has it.
Differs from it: batch norms do not update their running statistics a second time.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import Tensor, is_grad_enabled, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute(
    function: Callable[..., Tensor], owner: nn.Module, *inputs: Tensor, when: bool = True
) -> Tensor:
    """Return ``function(*inputs)`` and compute it again in the backward pass.

    Args:
        function: A function that calls only layers of ``owner``. Both calls get the same random
            numbers.
        owner: Module whose batch norms keep their running statistics in the second call.
        inputs: Tensors, kept for the backward pass.
        when: ``False`` keeps the activations as usual. So does a pass without gradients.
    """
    if not (when and is_grad_enabled()):
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, context_fn=partial(_passes, owner))  # type: ignore[no-any-return]


def _passes(owner: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    return nullcontext(), _statistics_kept(owner)


@contextmanager
def _statistics_kept(owner: nn.Module) -> Iterator[None]:
    norms = [m for m in owner.modules() if isinstance(m, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [(b, b.clone()) for norm in norms if (b := norm.num_batches_tracked) is not None]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        for buffer, count in counts:
            buffer.copy_(count)
