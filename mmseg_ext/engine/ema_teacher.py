"""The hook that moves a teacher after each step of the optimiser."""

from typing import Any, Optional

from mmseg.registry import HOOKS

from .distributed import unwrapped
from .step_hook import StepHook, wrappers_of


@HOOKS.register_module()
class EMATeacherHook(StepHook):
    """Call ``update_teacher`` of the model after each iteration in which an optimiser stepped.

    Iterations that only add to the gradients, and steps that a loss scaler leaves out, move
    nothing.

    Raises:
        ValueError: If the model has no teacher to move.
    """

    priority = 'BELOW_NORMAL'  # after what changes BN statistics, before checkpoints

    def __init__(self) -> None:
        super().__init__()
        self._stepped = False

    def before_train(self, runner: Any) -> None:
        """Watch the optimisers' steps."""
        model = unwrapped(runner.model)
        if not hasattr(model, 'update_teacher'):
            raise ValueError(
                f'EMATeacherHook: model.type={type(model).__name__} has no teacher: take '
                'SemiSegmentor, or take the hook out of custom_hooks'
            )
        self._model = model
        self._handles = [
            wrapper.optimizer.register_step_post_hook(self._note_step)
            for wrapper in wrappers_of(runner.optim_wrapper)
        ]

    def _note_step(self, *_: Any) -> None:
        self._stepped = True

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Move the teacher, if there was a step."""
        if self._stepped:
            self._model.update_teacher()
        self._stepped = False
