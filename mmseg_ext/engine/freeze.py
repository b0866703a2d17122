"""Freezes a part of a model for the whole training, its batch norms included.

:class:`~mmseg_ext.engine.hooks.FreezeBackboneHook` differs: it freezes until a given iteration, and
batch norms go on counting, as in the FMSI reference repository.
"""

from typing import Any

from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import nn

from ..core.words import did_you_mean, nearest
from .distributed import unwrapped, wrap_again
from .step_hook import wrappers_of


@HOOKS.register_module()
class FreezeHook(Hook):
    """Take a part of the model out of the training.

    Its parameters get no gradient and leave the optimisers, so that weight decay does not move them
    either. The part stays in evaluation mode: batch norms use and keep their running statistics,
    and nothing is dropped out in it.

    Args:
        module: Name of the part in the segmentor, dots allowed.

    Raises:
        ValueError: If the model has no such part, or nothing is left to train.
    """

    priority = 'VERY_HIGH'  # before other hooks copy the model, or look at the optimisers

    def __init__(self, *, module: str = 'backbone') -> None:
        self.module = module

    def before_run(self, runner: Any) -> None:
        """Freeze the part before the weights of a checkpoint and its optimiser's are loaded."""
        if runner._train_loop is None:
            return
        model = unwrapped(runner.model)
        self._part = _part(model, self.module)
        self._part.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ValueError(f'--freeze {self.module} leaves nothing to train: freeze less')
        for wrapper in wrappers_of(runner.optim_wrapper):
            for group in wrapper.optimizer.param_groups:
                group['params'] = [p for p in group['params'] if p.requires_grad]
        wrap_again(runner)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Put the part into evaluation mode again, which the loop has just ended."""
        self._part.eval()


def _part(model: nn.Module, name: str) -> nn.Module:
    known = dict(model.named_modules())
    if name not in known or not name:
        children = [child for child, _ in model.named_children()]
        hint = did_you_mean(nearest(name, known)) or f'it has {", ".join(children)}'
        raise ValueError(f'{type(model).__name__} has no part {name!r} to freeze; {hint}')
    part: nn.Module = known[name]
    if not any(True for _ in part.parameters()):
        raise ValueError(f'{name} has no parameters to freeze')
    return part
