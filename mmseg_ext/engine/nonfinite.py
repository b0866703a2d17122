"""Stops a training at the first loss or gradient that is not finite, or skips such steps.

Source: torch's ``GradScaler``, which skips a step if a gradient overflows. Here it works for every
optimiser wrapper, and the message says where it happened. With a loss scaler an infinite gradient
is normal: the scaler skips that step itself, and only many skipped steps are an error.

The loss and the norm of all gradients are checked once per step, before the weights change; with
several optimisers, before the first one's step. All processes take the same decision. No checkpoint
with non-finite weights or BN statistics is written.
"""

import math
from collections import deque
from typing import Any, Optional

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmseg.registry import HOOKS
from torch import Tensor, nn

from ..core.choices import NAN_ACTIONS as ACTIONS
from ..core.words import check_choice
from .step_hook import StepHook, wrappers_of

WINDOW = 100  # number of recent steps that are counted
SHARE, AT_LEAST = 0.1, 5  # allowed skipped steps: a tenth of them, at least five
SCALED_SHARE, SCALED_AT_LEAST = 0.5, 20  # of the loss scaler, which starts too large on purpose


class NonFiniteError(ValueError):
    """A loss, a gradient or a weight is not finite; the message names the place and the remedy."""


@HOOKS.register_module()
class NonFiniteHook(StepHook):
    """Checks the loss and the gradients before every optimiser step.

    A skipped step changes no weight and no momentum and, in the same iteration, no BN statistics or
    other buffer, as if its batch had not been drawn. Learning rate schedules advance.

    Args:
        action: ``'stop'`` ends the run at the first such step. ``'skip'`` skips the step with a
            message, and ends the run if more than a tenth of the last 100 steps, and more than
            five, were skipped.

    Raises:
        ValueError: If the action is unknown.
        NonFiniteError: During training, and before a checkpoint with non-finite weights would be
            written.
    """

    priority = 'VERY_HIGH'  # before hooks that read, average or save the weights

    def __init__(self, *, action: str = 'stop') -> None:
        super().__init__()
        check_choice('NonFiniteHook: action', action, ACTIONS)
        self.action = action
        self._steps: deque = deque(maxlen=WINDOW)
        self._scaled: deque = deque(maxlen=WINDOW)
        self.skipped = 0

    # --- what is watched --------------------------------------------------------------------------

    def before_train(self, runner: Any) -> None:
        """Start to watch the losses and the optimiser steps."""
        self._bad_loss: Optional[Tensor] = None  # any part of an accumulated step, on the device
        self._verdict: Optional[str] = None  # on this iteration's step, if it has one
        self._place = ''  # place of the non-finite value in the current step
        self._wrappers = list(wrappers_of(runner.optim_wrapper))
        for wrapper in self._wrappers:
            self._watch_losses(wrapper)
            hook = wrapper.optimizer.register_step_pre_hook(self._before_step)
            self._handles.append(hook)

    def _watch_losses(self, wrapper: Any) -> None:
        backward = wrapper.backward

        def watched(loss: Tensor, **kwargs: Any) -> None:
            bad = ~loss.detach().isfinite().all()
            self._bad_loss = bad if self._bad_loss is None else self._bad_loss | bad
            backward(loss, **kwargs)

        wrapper.backward = watched
        self._handles.append(_Put(wrapper, 'backward'))

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Save the buffers that a skipped step must not change."""
        self._verdict = None
        self._stepped: list = []  # optimisers that a loss scaler has let step in this iteration
        if self.action == 'skip':
            self._buffers = [buffer.clone() for buffer in runner.model.buffers()]

    def _before_step(self, optimizer: Any, *_: Any) -> None:
        """Decide on the step; without gradients no optimiser changes any weight."""
        self._stepped.append(optimizer)
        self._verdict = self._verdict or self._decide(optimizer)
        if self._verdict:
            optimizer.zero_grad(set_to_none=True)

    def _decide(self, optimizer: Any) -> str:
        """Return what is not finite: ``''``, ``'loss'`` or ``'gradient'``; waits for the device."""
        scaled = [w.optimizer for w in self._wrappers if getattr(w, 'loss_scaler', None)]
        plain = [w.optimizer for w in self._wrappers if w.optimizer not in scaled]
        if optimizer in scaled and getattr(optimizer, 'found_inf', None) is None:
            plain.append(optimizer)  # unscaled by now; a fused step unscales itself
        groups = [group for one in plain for group in one.param_groups]
        gradients = [p.grad for group in groups for p in group['params'] if p.grad is not None]
        return self._agree(_norm(gradients) if gradients else None)

    def _agree(self, norm: Optional[Tensor] = None) -> str:
        """Combine the findings of all processes on loss and gradient norm since the last step."""
        loss, self._bad_loss = self._bad_loss, None
        flags = [torch.zeros(()) if loss is None else loss.float().cpu()]
        flags.append(torch.zeros(()) if norm is None else (~norm.isfinite()).float().cpu())
        found = _largest(torch.stack(flags))
        return 'loss' if found[0] else 'gradient' if found[1] else ''

    # --- what follows -----------------------------------------------------------------------------

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Continue, restore the buffers, or stop the run."""
        scaled = self._verdict in (None, '') and self._scaler_left_out()
        ends = scaled or self._verdict is not None  # a step, else a part of an accumulation
        verdict = self._look_at_loss(keep=not ends) if self._verdict is None else self._verdict
        if verdict:
            self._place = self._place or _where(runner, verdict, data_batch, outputs)
            self._put_back(runner)
        if ends:
            self._count(runner, left_out=bool(verdict), scaled=scaled and not verdict)

    def _scaler_left_out(self) -> bool:
        """Tell whether a loss scaler is the reason that an optimiser made no step."""
        return any(
            getattr(wrapper, 'loss_scaler', None) is not None
            and wrapper.should_update()
            and wrapper.optimizer not in self._stepped
            for wrapper in self._wrappers
        )

    def _look_at_loss(self, *, keep: bool) -> str:
        """Decide by the loss alone; ``keep`` remembers it for the pending step."""
        bad = self._bad_loss
        verdict = self._agree()
        self._bad_loss = bad if keep else None
        return verdict

    def _put_back(self, runner: Any) -> None:
        """Restore the buffers changed by the forward pass, or end the run."""
        if self.action == 'stop':
            raise NonFiniteError(
                f'{self._place}; lower the learning rate or warm it up, look at these images with '
                'tools/dataset.py check, or leave such steps out with --nan skip'
            )
        for buffer, before in zip(runner.model.buffers(), self._buffers):
            buffer.copy_(before)

    def _count(self, runner: Any, *, left_out: bool, scaled: bool) -> None:
        """Count a step, and end the run if too many were skipped."""
        self._steps.append(left_out)
        self._scaled.append(scaled)
        if left_out:
            self.skipped += 1
            runner.logger.warning(f'step left out, {self.skipped} so far: {self._place}')
        if _too_many(self._steps, SHARE, AT_LEAST):
            raise NonFiniteError(
                f'{sum(self._steps)} of the last {len(self._steps)} steps were left out, more than '
                f'{SHARE:.0%} and more than {AT_LEAST}: {self._place}; lower the learning rate'
            )
        if _too_many(self._scaled, SCALED_SHARE, SCALED_AT_LEAST):
            raise NonFiniteError(
                f'the loss scaler left {sum(self._scaled)} of the last {len(self._scaled)} steps '
                f'out, at iteration {runner.iter + 1}: the gradients overflow float16 at any '
                'scale; train without --amp, or in bfloat16'
            )
        self._place = ''

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Refuse to save weights that are not finite.

        Raises:
            NonFiniteError: Naming the first such weight; the previous checkpoint stays.
        """
        for name, value in checkpoint.get('state_dict', {}).items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise NonFiniteError(
                    f'no checkpoint is written at iteration {runner.iter + 1}: {name} holds values '
                    'that are not finite; lower the learning rate and go on from the last '
                    'checkpoint with --resume'
                )


class _Put:
    """Undoes a replaced method: removes the instance attribute, so that the class's is used."""

    def __init__(self, instance: Any, name: str) -> None:
        self.instance, self.name = instance, name

    def remove(self) -> None:
        self.instance.__dict__.pop(self.name, None)


def _norm(gradients: list[Tensor]) -> Tensor:
    """Return the norm of all gradients; finite if all values and the sum of squares are."""
    return nn.utils.get_total_norm(gradients)


def _largest(flags: Tensor) -> list[float]:
    """Return the maximum of each value over all processes."""
    if get_world_size() > 1:
        all_reduce(flags, op='max')
    return flags.tolist()


def _too_many(steps: deque, share: float, at_least: int) -> bool:
    return sum(steps) > max(at_least, share * len(steps))


def _where(runner: Any, verdict: str, batch: Any, outputs: Optional[dict]) -> str:
    """Describe what is not finite: iteration, learning rate, and images of all processes."""
    values = {
        k: float(torch.as_tensor(v).detach()) for k, v in (outputs or {}).items() if 'loss' in k
    }
    told = (_told(values) if verdict == 'loss' else None, _paths(batch))
    ranks = all_gather_object(told)
    terms = next((terms for terms, _ in ranks if terms), 'the loss')
    guilty = [paths for terms, paths in ranks if verdict != 'loss' or terms] or [told[1]]
    what = terms if verdict == 'loss' else 'the norm of the gradients'
    images = ', '.join(path for paths in guilty for path in paths) or 'unknown'
    return (
        f'{what} is not finite in iteration {runner.iter + 1}, learning rate {_rate(runner)}, '
        f'images {images}'
    )


def _told(losses: dict[str, float]) -> Optional[str]:
    """Name the loss terms that are not finite, if any."""
    bad = [f'{name} = {value}' for name, value in losses.items() if not math.isfinite(value)]
    return ', '.join(bad) or None


def _paths(batch: Any) -> list[str]:
    samples = batch.get('data_samples', ()) if isinstance(batch, dict) else ()
    return [str(getattr(sample, 'img_path', 'unknown')) for sample in samples]


def _rate(runner: Any) -> str:
    rates = {group['lr'] for w in wrappers_of(runner.optim_wrapper) for group in w.param_groups}
    return ' to '.join(f'{rate:.4g}' for rate in sorted({min(rates), max(rates)}))
