"""Base class of hooks that watch the steps of the optimisers."""

from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict


class StepHook(Hook):
    """Keeps what a hook has registered in ``before_train``, and removes it after the training."""

    def __init__(self) -> None:
        self._handles: list = []  # each with a method ``remove``

    def after_train(self, runner: Any) -> None:
        """Stop watching the optimisers."""
        for handle in self._handles:
            handle.remove()
        self._handles = []


def wrappers_of(optim_wrapper: Any) -> Iterator[Any]:
    """The wrapper of each optimiser of a runner: one, or those of an ``OptimWrapperDict``."""
    if isinstance(optim_wrapper, OptimWrapperDict):
        yield from optim_wrapper.values()
    else:
        yield optim_wrapper
