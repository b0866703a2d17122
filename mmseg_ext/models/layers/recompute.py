"""Recompute a part of a network in the backward pass instead of keeping its activations.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016,
https://arxiv.org/abs/1604.06174, as ``torch.utils.checkpoint`` has it.
Differs from it: batch norms do not count the same batch a second time.
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
    """Return ``function(*inputs)``; what it computes inside is computed again for the gradient.

    Args:
        function: Calls layers of ``owner`` only. Random numbers are the same both times.
        owner: Whose batch norms keep their running statistics in the second pass.
        inputs: Kept until then.
        when: ``False`` keeps what is computed, as usual; so does a pass without a gradient.
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
