"""A progress bar for training, validation and testing (tqdm)."""

import os
import sys
from typing import Any, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmseg.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """One bar over the training iterations and one over each validation or test.

    Shown on the main process when stderr is a terminal; ``MMSEG_EXT_PROGRESS=1`` forces it and
    ``0`` switches it off.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        wish = os.environ.get('MMSEG_EXT_PROGRESS', '')
        self.enabled = wish == '1' or (wish != '0' and sys.stderr.isatty())
        self._bars: dict[str, Any] = {}

    def _open(self, name: str, total: int, initial: int = 0) -> None:
        if not (self.enabled and is_main_process()):
            return
        from tqdm import tqdm

        self._close(name)
        # a log file gets a line from time to time, a terminal a moving bar
        interval = 0.5 if sys.stderr.isatty() else 10.0
        self._bars[name] = tqdm(
            desc=name,
            total=total,
            initial=initial,
            mininterval=interval,
            dynamic_ncols=True,
            leave=name == 'train',
        )

    def _step(self, name: str) -> None:
        if name in self._bars:
            self._bars[name].update()

    def _close(self, name: str) -> None:
        bar = self._bars.pop(name, None)
        if bar is not None:
            bar.close()

    def before_train(self, runner: Any) -> None:
        """Open the training bar at the iteration of a resumed run."""
        self._open('train', runner.max_iters, runner.iter)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Advance the training bar and show the loss."""
        bar = self._bars.get('train')
        loss = (outputs or {}).get('loss')
        if (
            bar is not None and loss is not None and batch_idx % 10 == 0
        ):  # reading it waits for CUDA
            bar.set_postfix(loss=f'{loss.item():.3f}', refresh=False)
        self._step('train')

    def after_train(self, runner: Any) -> None:
        """Close the training bar."""
        self._close('train')

    def before_val_epoch(self, runner: Any) -> None:
        """Open the validation bar."""
        self._open('val', len(runner.val_dataloader))

    def after_val_iter(self, *args: Any, **kwargs: Any) -> None:
        """Advance the validation bar."""
        self._step('val')

    def after_val_epoch(self, runner: Any, metrics: Optional[dict] = None) -> None:
        """Close the validation bar."""
        self._close('val')

    def before_test_epoch(self, runner: Any) -> None:
        """Open the test bar."""
        self._open('test', len(runner.test_dataloader))

    def after_test_iter(self, *args: Any, **kwargs: Any) -> None:
        """Advance the test bar."""
        self._step('test')

    def after_test_epoch(self, runner: Any, metrics: Optional[dict] = None) -> None:
        """Close the test bar."""
        self._close('test')
