"""Computes the activations of chosen modules again in the backward pass, to save memory.

Differs from mmengine's ``activation_checkpointing``, which recomputes by torch's older method: no
gradient comes out of a module whose input needs none, such as the image, and batch norms update
their running statistics twice. See ``core/recompute.py``, which heads use on request.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import nn

from ..core.recompute import recompute
from ..core.words import did_you_mean, nearest
from .distributed import unwrapped


@HOOKS.register_module()
class RecomputeHook(Hook):
    """Keep only the inputs of a part's blocks, and compute the rest again when it is needed.

    The blocks are the part's children, or the members of children that are sequences. Losses and
    gradients stay the same; a step takes longer by about one forward pass.

    Args:
        module: Name of the part in the segmentor, dots allowed.

    Raises:
        ValueError: If the model has no such part.
    """

    def __init__(self, *, module: str = 'backbone') -> None:
        self.module = module
        self._blocks: list[nn.Module] = []

    def before_train(self, runner: Any) -> None:
        """Wrap the blocks; later than any hook copies the model, as copies would call these."""
        model = unwrapped(runner.model)
        known = dict(model.named_modules())
        if self.module not in known:
            hint = did_you_mean(nearest(self.module, known))
            raise ValueError(f'{type(model).__name__} has no part {self.module!r}; {hint}')
        self._blocks = list(_blocks(known[self.module]))
        for block in self._blocks:
            block.forward = partial(_forward, block, block.forward)  # type: ignore[method-assign]

    def after_train(self, runner: Any) -> None:
        """Unwrap the blocks."""
        for block in self._blocks:
            del block.forward
        self._blocks = []


def _blocks(part: nn.Module) -> Iterator[nn.Module]:
    """List the blocks of a part that hold parameters."""
    for child in part.children():
        if isinstance(child, (nn.Sequential, nn.ModuleList)):
            yield from (block for block in child if any(True for _ in block.parameters()))
        elif any(True for _ in child.parameters()):
            yield child


def _forward(block: nn.Module, forward: Any, *inputs: Any, **settings: Any) -> Any:
    return recompute(partial(forward, **settings), block, *inputs, when=block.training)
