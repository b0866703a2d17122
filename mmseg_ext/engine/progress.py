"""One line of progress for training, validation and testing."""

from typing import Any, Optional

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from ..core.progress import Line

_EVERY = 10  # iterations; reading a loss waits for CUDA


@HOOKS.register_module()
class ProgressHook(Hook):
    """A line over the training iterations, and one over each validation or test in its place.

    It shows the remaining time, images per second, the loss and the best score so far, on the main
    process, if :mod:`~mmseg_ext.core.progress` says that it is wanted.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._loss = self._best = ''

    def _open(self, name: str, total: int, done: int = 0, *, loader: Any = None) -> None:
        if is_main_process():
            self._close(name)
            size = (getattr(loader, 'batch_size', None) or 1) * get_world_size()
            self._lines[name] = Line(name, total, done=done, size=size)

    def _step(self, name: str, note: Optional[str] = None) -> None:
        if name in self._lines:
            self._lines[name].step(note=note)

    def _close(self, name: str) -> None:
        line = self._lines.pop(name, None)
        if line is not None:
            line.close()

    def before_train(self, runner: Any) -> None:
        """Open the line at the iteration of a resumed run."""
        loader = getattr(runner, 'train_dataloader', None)
        self._open('train', runner.max_iters, runner.iter, loader=loader)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Go on, and show the loss."""
        loss = (outputs or {}).get('loss')
        if loss is not None and (batch_idx % _EVERY == 0 or not self._loss):
            self._loss = f'loss {loss.item():.3f}'
        self._step('train', ', '.join(filter(None, [self._loss, self._best])))

    def after_train(self, runner: Any) -> None:
        """Close the line."""
        self._close('train')

    def before_val_epoch(self, runner: Any) -> None:
        """Open the line of a validation."""
        self._open('val', len(runner.val_dataloader), loader=runner.val_dataloader)

    def after_val_iter(self, *args: Any, **kwargs: Any) -> None:
        """Go on."""
        self._step('val')

    def after_val_epoch(self, runner: Any, metrics: Optional[dict] = None) -> None:
        """Close the line of a validation, and note the best score."""
        self._close('val')
        best = runner.message_hub.runtime_info.get('best_score')
        self._best = f'best {best:.4g}' if isinstance(best, (int, float)) else ''

    def before_test_epoch(self, runner: Any) -> None:
        """Open the line of a test."""
        self._open('test', len(runner.test_dataloader), loader=runner.test_dataloader)

    def after_test_iter(self, *args: Any, **kwargs: Any) -> None:
        """Go on."""
        self._step('test')

    def after_test_epoch(self, runner: Any, metrics: Optional[dict] = None) -> None:
        """Close the line of a test."""
        self._close('test')
