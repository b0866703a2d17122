"""Ends a training whose validation score no longer rises, also across a stop and a resume.

Differs from mmengine's hook of this name, which it replaces in every config: the best score and the
number of validations since are kept in the checkpoints, an equal score is no improvement, and the
run counts as finished: its last step is saved and noted (``core/saved.py``).
"""

from math import isfinite
from typing import Any, Optional

from mmengine.hooks import EarlyStoppingHook as _EarlyStoppingHook
from mmengine.runner.base_loop import BaseLoop
from mmseg.registry import HOOKS

from ..core.saved import STOPPED_EARLY

_STATE = 'early_stopping'  # key in a checkpoint's message hub


@HOOKS.register_module()
class EarlyStoppingHook(_EarlyStoppingHook):
    """mmengine's hook with a memory; same arguments, but ``min_delta`` is 0 unless it is given.

    Args:
        monitor: Name of the score.
        min_delta: By how much a score must beat the best one, in its own unit.
        **kwargs: Arguments of mmengine's hook, such as ``patience``.

    Raises:
        ValueError: If a validation reports no such score.
    """

    priority = 'LOW'  # before CheckpointHook, whose files hold what is noted here

    def __init__(self, monitor: str, min_delta: float = 0.0, **kwargs: Any) -> None:
        super().__init__(monitor=monitor, min_delta=min_delta, **kwargs)

    def before_run(self, runner: Any) -> None:
        """Nothing to check: every loop of mmengine can be stopped, and a test has none."""

    def before_train(self, runner: Any) -> None:
        """Remember what the resumed run had reached; one that was at its end trains no further."""
        state = runner.message_hub.runtime_info.get(_STATE)
        if runner.iter == 0 or not isinstance(state, dict) or state.get('monitor') != self.monitor:
            return
        self.best_score, self.wait_count = float(state['best']), int(state['waited'])
        if self.wait_count >= self.patience:
            runner.train_loop.stop_training = True
            runner.logger.info(f'the run has ended early: {self._told()}')

    def after_val_epoch(self, runner: Any, metrics: Optional[dict[str, float]] = None) -> None:
        """Judge a validation's score, and note it for the checkpoint of this step."""
        if not isinstance(runner._train_loop, BaseLoop):  # a validation alone
            return
        if self.monitor not in (metrics or {}):
            raise ValueError(
                f'early stopping follows {self.monitor}, and the validation reports '
                f'{", ".join(metrics or {}) or "nothing"}: name one of these'
            )
        super().after_val_epoch(runner, metrics or {})
        state = dict(monitor=self.monitor, best=float(self.best_score), waited=self.wait_count)
        runner.message_hub.update_info(_STATE, state)
        if runner.train_loop.stop_training:
            runner.message_hub.update_info(STOPPED_EARLY, runner.iter)
            runner.logger.info(f'the run ends early, after iteration {runner.iter}')

    def _check_stop_condition(self, current_score: float) -> tuple[bool, str]:
        """Count a validation; mmengine takes a score that equals the best one for a better one."""
        better = self.rule_map[self.rule]
        if self.check_finite and not isfinite(current_score):
            return True, f'{self.monitor} is {current_score}'
        if better(current_score, self.best_score + self.min_delta):
            self.best_score, self.wait_count = current_score, 0
        else:
            self.wait_count += 1
        reached = self.stopping_threshold
        stops = self.wait_count >= self.patience
        stops = stops or (reached is not None and better(current_score, reached))
        return stops, self._told() if stops else ''

    def _told(self) -> str:
        return (
            f'{self.monitor} was best at {self.best_score:.4g}, {self.wait_count} validations ago'
        )
