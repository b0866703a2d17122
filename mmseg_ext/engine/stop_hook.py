"""Ends a training on request: after its next step, on all ranks, with a checkpoint."""

from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmseg.registry import HOOKS
from torch import distributed

from ..core import signals
from .lost_process import waiting_time


@HOOKS.register_module()
class StopHook(Hook):
    """On a request to end, save a checkpoint after the current step, then end.

    Any rank may get the request; all end after the same step. Validation in a single process ends
    at its next image and is repeated when the run is resumed. An epoch loop can only resume at the
    end of an epoch, so it resumes from the checkpoint of the last epoch.
    """

    priority = 'LOWEST'  # after everything else in a step, including checkpoints

    def before_train(self, runner: Any) -> None:
        """Create a process group whose collectives need no GPU."""
        self.group = None
        if get_world_size() > 1 and distributed.get_backend() != 'gloo':
            self.group = distributed.new_group(backend='gloo', timeout=waiting_time())

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Hold back signals from now on."""
        signals.wait_for_step()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """End the training if any rank got a request."""
        number = self._agreed()
        if number:
            self._stop(runner, number, runner.iter + 1)

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """End validation in a single process; ranks may differ in their number of images."""
        number = signals.requested()
        if number and get_world_size() == 1:
            for hook in runner.hooks:  # the average, which is validated, would be saved as the
                if isinstance(hook, EMAHook):  # weights that are trained, and these as it
                    hook.after_val_epoch(runner)
            self._stop(runner, number, runner.iter)

    def after_train(self, runner: Any) -> None:
        """Let signals end the process at once again."""
        signals.wait_for_step(False)

    def _agreed(self) -> int:
        number = int(signals.requested() or 0)
        if get_world_size() == 1:
            return number
        flag = torch.tensor([number])
        distributed.all_reduce(flag, op=distributed.ReduceOp.MAX, group=self.group)
        return int(flag)

    def _stop(self, runner: Any, number: int, step: int) -> None:
        saved = _save(runner, step)
        if get_world_size() > 1:  # the first rank that ends makes torchrun end the others
            distributed.barrier(group=self.group)
        signals.wait_for_step(False)
        what = f'saved as {saved}' if saved else 'not saved, see the last checkpoint'
        raise signals.Stopped(
            number,
            f'iteration {step} is {what}; the same command with --resume goes on',
            kept=True,
        )


def _save(runner: Any, step: int) -> Optional[Path]:
    """Save the checkpoint of a step, unless it was saved at its regular interval."""
    hook: Any = next((h for h in runner.hooks if isinstance(h, CheckpointHook)), None)
    if hook is None or hook.by_epoch:
        return None
    path = Path(hook.out_dir, hook.filename_tmpl.format(step))
    if hook.last_ckpt is None or Path(hook.last_ckpt).name != path.name:
        meta = dict(epoch=runner.epoch, iter=step)
        hook._save_checkpoint_with_step(runner, step, meta=meta)
    return path
