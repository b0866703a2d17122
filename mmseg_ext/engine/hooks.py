"""Training hooks: memory format, frozen backbone, BN statistics, repeatable dropout.

Sources: spec section of the FMSI reference repository for freezing (``requires_grad`` only, BN
statistics keep moving); "Rethinking 'Batch' in BatchNorm", https://arxiv.org/abs/2105.07576,
section 3, for precise BN. Differs from it: batches are weighted equally, which is exact for
batches of one size.
"""

import copy
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Optional

import numpy as np
import torch
from mmengine.dist import all_reduce, all_reduce_params, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmseg.registry import HOOKS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .distributed import wrap_again


def _inner(model: Any) -> Any:
    """The model without its data-parallel wrapper."""
    return model.module if is_model_wrapper(model) else model


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Store 4-D weights channels last; convolutions hand the layout on to their outputs.

    On a CPU with bfloat16 this nearly halves the training step of separable convolutions. The
    values do not change. Loading a checkpoint or initialising keeps the layout.
    """

    priority = 'VERY_HIGH'  # before others copy the model, such as for a moving average

    def before_run(self, runner: Any) -> None:
        """Convert the weights before the first forward pass, and wrap the model for it."""
        for tensor in runner.model.parameters():
            if tensor.dim() == 4:
                tensor.data = tensor.data.to(memory_format=torch.channels_last)
        wrap_again(runner)


@HOOKS.register_module()
class FreezeBackboneHook(Hook):
    """Withhold gradients from a part of the model until a given epoch or iteration.

    Only ``requires_grad`` changes: the part stays in training mode and its BN statistics move,
    as in the reference repository. Parameters that were frozen before stay frozen.

    Args:
        until_epoch: First epoch (from 0) that trains the part.
        until_iter: First iteration (from 0) that trains the part.
        module: Attribute of the segmentor, dots allowed.

    Raises:
        ValueError: Unless exactly one limit is given, if the model has no such part, or under
            distributed training without ``find_unused_parameters=True``.
    """

    def __init__(
        self,
        *,
        until_epoch: Optional[int] = None,
        until_iter: Optional[int] = None,
        module: str = 'backbone',
    ) -> None:
        if (until_epoch is None) == (until_iter is None):
            raise ValueError(
                'FreezeBackboneHook: give either until_epoch or until_iter, got '
                f'until_epoch={until_epoch}, until_iter={until_iter}'
            )
        self.until_epoch = until_epoch
        self.until_iter = until_iter
        self.module = module
        self._frozen: list[nn.Parameter] = []

    def before_train(self, runner: Any) -> None:
        """Freeze, unless the limit has passed (a resumed run)."""
        try:
            part = _inner(runner.model).get_submodule(self.module)
        except AttributeError as error:
            raise ValueError(f'FreezeBackboneHook: module={self.module!r}: {error}') from error
        if self._passed(runner):
            return
        if is_model_wrapper(runner.model) and not getattr(
            runner.model, 'find_unused_parameters', True
        ):
            raise ValueError(
                'FreezeBackboneHook with distributed training needs '
                'find_unused_parameters=True in the config'
            )
        self._frozen = [p for p in part.parameters() if p.requires_grad]
        for parameter in self._frozen:
            parameter.requires_grad_(False)

    def before_train_epoch(self, runner: Any) -> None:
        """Thaw when the epoch is reached."""
        self._thaw_if_due(runner)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Thaw when the iteration is reached."""
        self._thaw_if_due(runner)

    def _passed(self, runner: Any) -> bool:
        if self.until_epoch is not None:
            return runner.epoch >= self.until_epoch
        return runner.iter >= self.until_iter

    def _thaw_if_due(self, runner: Any) -> None:
        if self._frozen and self._passed(runner):
            for parameter in self._frozen:
                parameter.requires_grad_(True)
            self._frozen = []
            runner.logger.info(f'{self.module} is trained from iteration {runner.iter} on')


@contextmanager
def _untouched_randomness() -> Iterator[None]:
    """Put the random generators back, so that training goes on as if nothing had happened."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices):
        python, numpy = random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _batch_norms(model: nn.Module) -> list[Any]:
    """BN layers that keep running statistics and are not frozen in evaluation mode."""
    return [
        m
        for m in model.modules()
        if isinstance(m, _BatchNorm) and m.track_running_stats and m.training
    ]


def update_bn_statistics(
    model: nn.Module, forward: Callable[[Any], Any], batches: Iterable[Any]
) -> None:
    """Replace BN's running averages by the statistics of some batches.

    With momentum 1 each forward pass leaves the batch's own mean m and variance v; the mean is
    that of m, the variance that of ``v + m^2`` less the squared mean.

    Args:
        model: In training mode.
        forward: Called with each batch, result ignored.
        batches: At least one.
    """
    layers = _batch_norms(model)
    saved = [layer.momentum for layer in layers]
    means = [torch.zeros_like(layer.running_mean) for layer in layers]
    squares = [torch.zeros_like(layer.running_var) for layer in layers]
    count = 0
    try:
        for layer in layers:
            layer.momentum = 1.0
        for batch in batches:
            with torch.no_grad():
                forward(batch)
            count += 1
            for layer, mean, square in zip(layers, means, squares):
                mean += layer.running_mean
                square += layer.running_var + layer.running_mean**2
    finally:
        for layer, momentum in zip(layers, saved):
            layer.momentum = momentum
    for layer, mean, square in zip(layers, means, squares):
        mean, square = _rank_mean(mean / count), _rank_mean(square / count)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_((square - mean**2).clamp_min(0))


def _rank_mean(tensor: Tensor) -> Tensor:
    all_reduce(tensor, op='mean')
    return tensor


@HOOKS.register_module()
class PreciseBNHook(Hook):
    """Recompute BN statistics over training batches before each validation and at the end.

    It has its own data loader and puts the random generators back, so the training itself does
    not change: BN uses the running averages in evaluation only.

    Args:
        num_batches: Training batches to average over.
    """

    priority = 'NORMAL'  # before CheckpointHook, so that checkpoints hold the precise statistics

    def __init__(self, *, num_batches: int = 50) -> None:
        if num_batches < 1:
            raise ValueError(f'PreciseBNHook: num_batches must be at least 1, got {num_batches}')
        self.num_batches = num_batches

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Update where an iteration loop is about to validate or end."""
        if hasattr(runner.train_loop, 'dataloader_iterator') and self._due(
            runner, runner.iter + 1, runner.max_iters
        ):
            self._update(runner)

    def after_train_epoch(self, runner: Any) -> None:
        """Update where an epoch loop is about to validate or end."""
        if not hasattr(runner.train_loop, 'dataloader_iterator') and self._due(
            runner, runner.epoch + 1, runner.max_epochs
        ):
            self._update(runner)

    def _due(self, runner: Any, step: int, last: int) -> bool:
        return step == last or (runner.val_loop is not None and step % runner.val_interval == 0)

    def _update(self, runner: Any) -> None:
        cfg = copy.deepcopy(runner.cfg.train_dataloader)
        cfg.persistent_workers = False
        model = _inner(runner.model)

        def forward(batch: Any) -> None:
            with runner.optim_wrapper.optim_context(runner.model):
                batch = model.data_preprocessor(batch, True)
                model(**batch, mode='loss')

        with _untouched_randomness():
            loader = runner.build_dataloader(cfg, seed=runner.seed)
            batches = (batch for batch, _ in zip(loader, range(self.num_batches)))
            update_bn_statistics(model, forward, batches)
        runner.logger.info(f'BN statistics recomputed over {self.num_batches} batches')


@HOOKS.register_module()
class SyncStatisticsHook(Hook):
    """Average BN's running statistics over the processes after every iteration.

    So a checkpoint, whenever it is written, holds what every process validates with, and a resumed
    run what an uninterrupted one goes on with. Running averages are linear: averaging after each
    iteration equals averaging once before a validation. Layers that share their statistics already
    or are frozen stay as they are. Training itself does not use them.
    """

    priority = 'ABOVE_NORMAL'  # before hooks that copy or save the model

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Average, all layers in one exchange."""
        if get_world_size() == 1:
            return
        layers = [m for m in _batch_norms(runner.model) if not isinstance(m, nn.SyncBatchNorm)]
        if layers:
            tensors = [t for m in layers for t in (m.running_mean, m.running_var)]
            all_reduce_params(tensors, coalesce=True, op='mean')


@HOOKS.register_module()
class IterSeedHook(Hook):
    """Seed torch from (seed, iteration, rank) before every training iteration.

    Checkpoints hold no generator states, so a resumed run would draw other dropout masks. With
    this hook its losses equal those of an uninterrupted run. Data augmentation draws from the
    loader's workers, which the iteration loop replays by itself.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed; the large odd factors keep neighbouring runs apart."""
        torch.manual_seed((runner.seed * 1_000_003 + runner.iter * 10_007 + get_rank()) % (1 << 63))
