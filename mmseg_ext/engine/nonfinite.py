"""Stops a training at the first loss or gradient that is not finite, or leaves such steps out.

Source: torch's ``GradScaler``, which leaves a step out when a gradient overflows; here for every
optimiser wrapper, with a word on where it happened. Under a loss scale an infinite gradient is
normal: the scaler leaves that step out by itself, and only many of them in a row are a fault.

The loss and the norm of all gradients are looked at once a step, before the weights move. All
processes decide alike. No checkpoint with weights or BN statistics that are not finite is written.
"""

import math
from collections import deque
from collections.abc import Iterator
from typing import Any, Optional

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmseg.registry import HOOKS
from torch import Tensor, nn

from ..core.words import check_choice

ACTIONS = ('stop', 'skip')
WINDOW = 100  # steps that are looked back at
SHARE, AT_LEAST = 0.1, 5  # skipped steps that are borne: a tenth of them, and always five
SCALED_SHARE, SCALED_AT_LEAST = 0.5, 20  # the scaler's: it begins far too large, on purpose


class NonFiniteError(ValueError):
    """A loss, a gradient or a weight is not finite; the message says where and what to do."""


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Looks at the loss and the gradients before every step of the optimiser.

    A step that is left out moves no weight, no momentum, and, in the same iteration, no BN
    statistics or other buffer: the run is as if its batch had not been drawn. Schedules go on.

    Args:
        action: ``'stop'`` ends the run at the first such step; ``'skip'`` leaves the step out,
            says so, and ends the run when more than a tenth of the last 100 steps, and more than
            five, were left out.

    Raises:
        ValueError: If the action is unknown.
        NonFiniteError: During training; and where a checkpoint is about to be written with weights
            that are not finite.
    """

    priority = 'VERY_HIGH'  # before anything reads the weights, averages or saves them

    def __init__(self, *, action: str = 'stop') -> None:
        check_choice('NonFiniteHook: action', action, ACTIONS)
        self.action = action
        self._steps: deque = deque(maxlen=WINDOW)
        self._scaled: deque = deque(maxlen=WINDOW)
        self.skipped = 0
        self._handles: list = []

    # --- what is watched --------------------------------------------------------------------------

    def before_train(self, runner: Any) -> None:
        """Watch the losses and the steps of the runner's optimisers."""
        self._bad_loss: Optional[Tensor] = None  # of any part of an accumulated step, on its device
        self._verdict: Optional[str] = None  # on this iteration's step, if it ends one
        self._place = ''  # of what was not finite in the current step
        for wrapper in _wrappers(runner.optim_wrapper):
            self._watch_losses(wrapper)
            hook = wrapper.optimizer.register_step_pre_hook(self._before_step)
            self._handles.append(hook)

    def after_train(self, runner: Any) -> None:
        """Let go of the optimisers."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _watch_losses(self, wrapper: Any) -> None:
        backward = wrapper.backward

        def watched(loss: Tensor, **kwargs: Any) -> None:
            bad = ~loss.detach().isfinite().all()
            self._bad_loss = bad if self._bad_loss is None else self._bad_loss | bad
            backward(loss, **kwargs)

        wrapper.backward = watched
        self._handles.append(_Put(wrapper, 'backward'))

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Keep the buffers that a step left out must not move."""
        self._verdict = None
        if self.action == 'skip':
            self._buffers = [buffer.clone() for buffer in runner.model.buffers()]

    def _before_step(self, optimizer: Any, *_: Any) -> None:
        """Decide on the step; one without gradients moves nothing, whatever the optimiser."""
        self._verdict = self._verdict or self._decide(optimizer)
        if self._verdict:
            optimizer.zero_grad(set_to_none=True)

    def _decide(self, optimizer: Any) -> str:
        """Say what is not finite: nothing, ``'loss'`` or ``'gradient'``; waits for the device."""
        gradients = [p.grad for g in optimizer.param_groups for p in g['params']]
        gradients = [grad for grad in gradients if grad is not None]
        scaled = getattr(optimizer, 'found_inf', None) is not None  # a fused step unscales itself
        norm = _norm(gradients) if gradients and not scaled else None
        return self._agree(norm)

    def _agree(self, norm: Optional[Tensor] = None) -> str:
        """Join the processes' findings about the loss and the norm since the last step."""
        loss, self._bad_loss = self._bad_loss, None
        flags = [torch.zeros(()) if loss is None else loss.float().cpu()]
        flags.append(torch.zeros(()) if norm is None else (~norm.isfinite()).float().cpu())
        found = _largest(torch.stack(flags))
        return 'loss' if found[0] else 'gradient' if found[1] else ''

    # --- what follows -----------------------------------------------------------------------------

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Go on, or put the buffers back, or stop."""
        scaled = self._verdict is None and _scaler_decides(runner.optim_wrapper)
        ends = scaled or self._verdict is not None  # a step; else one of the parts that it sums up
        verdict = self._look_at_loss(keep=not ends) if self._verdict is None else self._verdict
        if verdict:
            self._place = self._place or _where(runner, verdict, data_batch, outputs)
            self._put_back(runner)
        if ends:
            self._count(runner, left_out=bool(verdict), scaled=scaled and not verdict)

    def _look_at_loss(self, *, keep: bool) -> str:
        """Decide by the loss alone; ``keep`` it in mind for the step that is still to come."""
        bad = self._bad_loss
        verdict = self._agree()
        self._bad_loss = bad if keep else None
        return verdict

    def _put_back(self, runner: Any) -> None:
        """Undo what the forward pass did, or end the run."""
        if self.action == 'stop':
            raise NonFiniteError(
                f'{self._place}; lower the learning rate or warm it up, look at these images with '
                'tools/dataset.py check, or leave such steps out with --nan skip'
            )
        for buffer, before in zip(runner.model.buffers(), self._buffers):
            buffer.copy_(before)

    def _count(self, runner: Any, *, left_out: bool, scaled: bool) -> None:
        """Count a step, and end the run when too many were left out."""
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
        """Refuse to write weights that are not finite.

        Raises:
            NonFiniteError: With the first one's name; the last checkpoint stays.
        """
        for name, value in checkpoint.get('state_dict', {}).items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise NonFiniteError(
                    f'no checkpoint is written at iteration {runner.iter + 1}: {name} holds values '
                    'that are not finite; lower the learning rate and go on from the last '
                    'checkpoint with --resume'
                )


class _Put:
    """Takes an attribute of an instance away again, so that its class's shows."""

    def __init__(self, instance: Any, name: str) -> None:
        self.instance, self.name = instance, name

    def remove(self) -> None:
        self.instance.__dict__.pop(self.name, None)


def _wrappers(optim_wrapper: Any) -> Iterator[Any]:
    if isinstance(optim_wrapper, OptimWrapperDict):
        yield from optim_wrapper.values()
    else:
        yield optim_wrapper


def _norm(gradients: list[Tensor]) -> Tensor:
    """The norm of all gradients: finite if all values are, and their squares do not overflow."""
    return nn.utils.get_total_norm(gradients)


def _largest(flags: Tensor) -> list[float]:
    """The largest of each value over all processes."""
    if get_world_size() > 1:
        all_reduce(flags, op='max')
    return flags.tolist()


def _scaler_decides(optim_wrapper: Any) -> bool:
    """Whether an iteration that moved no weight was to do so, but for the loss scaler."""
    return any(
        getattr(wrapper, 'loss_scaler', None) is not None and wrapper.should_update()
        for wrapper in _wrappers(optim_wrapper)
    )


def _too_many(steps: deque, share: float, at_least: int) -> bool:
    return sum(steps) > max(at_least, share * len(steps))


def _where(runner: Any, verdict: str, batch: Any, outputs: Optional[dict]) -> str:
    """Say what is not finite, when, at which rate, and for which images of all processes."""
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
    """Name the terms that are not finite, if any."""
    bad = [f'{name} = {value}' for name, value in losses.items() if not math.isfinite(value)]
    return ', '.join(bad) or None


def _paths(batch: Any) -> list[str]:
    samples = batch.get('data_samples', ()) if isinstance(batch, dict) else ()
    return [str(getattr(sample, 'img_path', 'unknown')) for sample in samples]


def _rate(runner: Any) -> str:
    rates = {group['lr'] for w in _wrappers(runner.optim_wrapper) for group in w.param_groups}
    return ' to '.join(f'{rate:.4g}' for rate in sorted({min(rates), max(rates)}))
