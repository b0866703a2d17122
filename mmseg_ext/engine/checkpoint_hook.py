"""Checkpoints that stay usable if a run is killed at any moment, and resuming from them.

Differs from mmengine's hook of this name, which it replaces in every config: a file is written
under another name and renamed in one step, an old checkpoint is deleted only after the new one is
complete, at least two are kept, and each records whether its validation is done. Resuming takes the
last complete checkpoint, runs a missing validation, and applies or refuses changed settings.
"""

from collections import deque
from pathlib import Path
from typing import Any, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.runner.base_loop import BaseLoop
from mmseg.registry import HOOKS

from ..core.files import sweep, write_bytes
from ..core.saved import (
    LAST_NOTE,
    STOPPED_EARLY,
    VALIDATED,
    best_files,
    is_whole,
    number_of,
    regular_checkpoints,
)
from ..core.words import did_you_mean, nearest
from . import resume


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """mmengine's hook with safe writing; same arguments, but ``max_keep_ckpts=1`` means 2.

    Raises:
        ValueError: If ``filename_tmpl`` gives names that resuming would not find, or a validation
            reports no score that ``save_best`` names.
    """

    max_keep_ckpts: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.filename_tmpl not in (None, 'iter_{}.pth', 'epoch_{}.pth'):
            raise ValueError(
                f'default_hooks.checkpoint.filename_tmpl={self.filename_tmpl}: only iter_{{}}.pth '
                'and epoch_{}.pth are gone on from and tested; leave it out'
            )
        kept: int = self.max_keep_ckpts
        self.max_keep_ckpts = max(kept, 2) if kept > 0 else kept
        self._resumes = self._noted = False

    def before_run(self, runner: Any) -> None:
        """Choose the checkpoint that a resumed training continues from."""
        trains = isinstance(runner._train_loop, BaseLoop) and not runner._has_loaded
        folder = Path(runner.work_dir)
        if self.out_dir is not None:  # as before_train will set it
            folder = Path(self.out_dir, folder.name)
        self._resumes = trains and bool(runner._resume) and resume.choose(runner, folder)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Check the checkpoint of a resumed training, and apply changed settings."""
        if self._resumes:
            resume.adapt(runner, checkpoint)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Save accumulated gradients that wait for their optimiser step."""
        if 'optimizer' in checkpoint:
            resume.keep_gradients(runner, checkpoint)

    def before_train(self, runner: Any) -> None:
        """Remove leftovers of a killed run, and run a validation that it missed."""
        super().before_train(runner)
        if self.max_keep_ckpts > 0:  # while a checkpoint is written, one more exists
            self.keep_ckpt_ids: deque = deque(self.keep_ckpt_ids)
        if is_main_process() and Path(self.out_dir).is_dir():
            sweep(self.out_dir)
            self._set_aside(runner)
        if runner.iter > 0:
            self._go_on(runner)

    def _set_aside(self, runner: Any) -> None:
        """Rename checkpoints of an earlier run that are at later iterations than this run.

        If this run were killed, they would be taken for its own.
        """
        folder, step = Path(self.out_dir), self._step(runner)
        older = [path for path in regular_checkpoints(folder) if number_of(path) > step]
        older += best_files(folder) if step == 0 else []
        for path in older:
            path.replace(f'{path}.old')
            runner.logger.warning(f'{path.name} is from another run: it is now {path.name}.old')

    def _go_on(self, runner: Any) -> None:
        path = Path(self.out_dir, self.filename_tmpl.format(self._step(runner)))
        if path.is_file():
            self.last_ckpt = str(path)
        if self.save_best:
            self._check_best(runner)
        if is_main_process():
            self._remove_superseded(runner)
        resume.replay_data(runner)
        done = runner.message_hub.runtime_info.get(VALIDATED)
        if resume.is_validation_due(runner) and done != runner.iter:
            runner.logger.info(f'the validation after iteration {runner.iter} is made up for')
            runner.val_loop.run()

    def _step(self, runner: Any) -> int:
        return runner.epoch if self.by_epoch else runner.iter

    def after_val_epoch(self, runner: Any, metrics: Optional[dict[str, float]] = None) -> None:
        """Save the best checkpoint, and record in this step's checkpoint that it was validated.

        The step at which early stopping ends the run is saved in any case.
        """
        if self.out_dir is None:  # validation without training
            return
        runner.message_hub.update_info(VALIDATED, runner.iter)
        self._noted = False
        super().after_val_epoch(runner, metrics or {})
        name = self.filename_tmpl.format(self._step(runner))
        ends = runner.message_hub.runtime_info.get(STOPPED_EARLY) == runner.iter
        saved = self.last_ckpt is not None and Path(self.last_ckpt).name == name
        if not self._noted and (ends or saved):
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            self._save_checkpoint_with_step(runner, self._step(runner), meta)

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict) -> None:
        if self.max_keep_ckpts > 0:
            if step not in self.keep_ckpt_ids:
                self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._noted = True
        if is_main_process():
            write_bytes(Path(runner.work_dir, LAST_NOTE), str(self.last_ckpt).encode())
        self._remove_outdated(runner)

    def _remove_outdated(self, runner: Any) -> None:
        if self.max_keep_ckpts <= 0:
            return
        while len(self.keep_ckpt_ids) > self.max_keep_ckpts:
            self._remove(self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

    def _remove(self, name: str) -> None:
        path = self.file_backend.join_path(self.out_dir, name)
        if not is_main_process():
            return
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):
            self.file_backend.rmtree(path)

    def _save_best_checkpoint(self, runner: Any, metrics: dict[str, float]) -> None:
        """Save a new best checkpoint; mmengine would remove the old one first."""
        if not self.save_best:
            return
        self._check_reported(metrics)
        before = self._best()
        self._set_best({key: None for key in before})
        super()._save_best_checkpoint(runner, metrics)
        after = self._best()
        self._set_best({key: after.get(key) or path for key, path in before.items()})
        for key, path in before.items():
            if path and after.get(key) and Path(path).name != Path(str(after[key])).name:
                self._remove(Path(path).name)

    def _check_reported(self, metrics: dict[str, float]) -> None:
        """Refuse a score that the validation does not report; this step's checkpoint is kept."""
        for name in self.key_indicators:
            if name != 'auto' and name not in metrics:
                hint = did_you_mean(nearest(name, metrics))
                raise ValueError(
                    f'default_hooks.checkpoint.save_best={name!r}, and the validation reports '
                    f'{", ".join(metrics) or "nothing"}; {hint or "name one of these."} Then '
                    '--resume goes on from the last checkpoint'
                )

    def _best(self) -> dict[str, Optional[str]]:
        if len(self.key_indicators) == 1:
            return {'': self.best_ckpt_path}
        return dict(self.best_ckpt_path_dict)

    def _set_best(self, paths: dict[str, Optional[str]]) -> None:
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = paths['']
        else:
            self.best_ckpt_path_dict = dict(paths)

    def _check_best(self, runner: Any) -> None:
        """Forget a best checkpoint that is missing or damaged, so that another one is chosen.

        If the damaged one was of this step, the choice is made now. The folder may have been moved,
        so only file names are compared.
        """
        info, found = runner.message_hub.runtime_info, {}
        for key, path in self._best().items():
            here = Path(self.out_dir, Path(str(path)).name)
            found[key] = str(here) if path and is_whole(here) else None
            if path and found[key] is None:
                runner.logger.warning(f'{here} is not there whole: another best will be chosen')
                ending = f'_{key}' if key else ''
                info.pop(f'best_score{ending}', None)
                info.pop(f'best_ckpt{ending}', None)
                if here.stem.endswith(f'_{self._step(runner)}'):
                    info.pop(VALIDATED, None)
        self._set_best(found)

    def _remove_superseded(self, runner: Any) -> None:
        """Remove older best checkpoints that a killed run left beside the new one."""
        noted = (
            [Path(path).name for path in self._best().values() if path] if self.save_best else []
        )
        for name in noted:
            start, _, number = Path(name).stem.rpartition('_')
            for path in Path(self.out_dir).glob(f'{start}_*.pth'):
                other = path.stem.rpartition('_')[2]
                if other.isdigit() and number.isdigit() and int(other) < int(number):
                    path.unlink(missing_ok=True)
