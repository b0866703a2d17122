"""Training hooks: memory format, frozen backbone, BN statistics, repeatable dropout.

Sources: the FMSI reference repository for freezing (only ``requires_grad`` changes, BN statistics
are still updated); "Rethinking 'Batch' in BatchNorm", https://arxiv.org/abs/2105.07576, section 3,
for precise BN.
Differs from it: batches have equal weights, which is exact for batches of equal size.
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

from . import dense_gradient, grouped
from .distributed import unwrapped, wrap_again
from .thin_strided import take_pixels_first


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Store 4-D weights in channels_last; convolutions then give outputs of this layout.

    On a CPU with bfloat16 this nearly halves the time of a training step with separable
    convolutions; in float32 plain ones take their gradients as ``engine/dense_gradient.py`` says.
    Values do not change, gradients by no more than rounding. The layout survives initialisation and
    loading a checkpoint.
    """

    priority = 'VERY_HIGH'  # before other hooks copy the model, such as for a moving average

    def before_run(self, runner: Any) -> None:
        """Convert the weights before the first forward pass, and wrap the model for it."""
        for tensor in runner.model.parameters():
            if tensor.dim() == 4:
                tensor.data = tensor.data.to(memory_format=torch.channels_last)
        take_pixels_first(runner.model)
        wrap_again(runner)

    def before_train(self, runner: Any) -> None:
        """Choose how convolutions take their gradients."""
        dense_gradient.use_products(runner.model)
        grouped.mend_grouped(runner.model)

    def after_train(self, runner: Any) -> None:
        """Leave the convolutions as they were."""
        dense_gradient.use_torchs(runner.model)
        grouped.use_torchs(runner.model)


@HOOKS.register_module()
class FreezeBackboneHook(Hook):
    """Freeze a part of the model until a given epoch or iteration.

    Only ``requires_grad`` changes: the part stays in training mode and its BN statistics are
    updated, as in the reference repository. Parameters that were frozen before stay frozen.

    Args:
        until_epoch: First epoch (counted from 0) that trains the part.
        until_iter: First iteration (counted from 0) that trains the part.
        module: Name of the part in the segmentor, dots allowed.

    Raises:
        ValueError: If not exactly one limit is given, the model has no such part, or training is
            distributed without ``find_unused_parameters=True``.
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
        """Freeze the part, unless a resumed run is past the limit."""
        try:
            part = unwrapped(runner.model).get_submodule(self.module)
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
        """Unfreeze the part at its epoch."""
        self._thaw_if_due(runner)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Unfreeze the part at its iteration."""
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
    """Restore the random generators afterwards, so that training is not affected."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices):
        python, numpy = random.getstate(), np.random.get_state()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _batch_norms(model: nn.Module) -> list[Any]:
    """Return the BN layers with running statistics that are not frozen in evaluation mode."""
    return [
        m
        for m in model.modules()
        if isinstance(m, _BatchNorm) and m.track_running_stats and m.training
    ]


def update_bn_statistics(
    model: nn.Module, forward: Callable[[Any], Any], batches: Iterable[Any]
) -> None:
    """Replace BN's running statistics by those of some batches.

    With momentum 1, each forward pass stores the mean m and the variance v of its batch. The new
    mean is the average of m, the new variance the average of ``v + m^2`` minus the squared new
    mean.

    Args:
        model: A model in training mode.
        forward: Function called with each batch; its result is ignored.
        batches: At least one batch.
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

    The training itself does not change: the hook has its own data loader and restores the random
    generators, and BN uses running statistics only in evaluation.

    Args:
        num_batches: Number of training batches to average over.
    """

    priority = 'NORMAL'  # before CheckpointHook, so that checkpoints have the precise statistics

    def __init__(self, *, num_batches: int = 50) -> None:
        if num_batches < 1:
            raise ValueError(f'PreciseBNHook: num_batches must be at least 1, got {num_batches}')
        self.num_batches = num_batches

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Update the statistics if an iteration loop is about to validate or end."""
        if hasattr(runner.train_loop, 'dataloader_iterator') and self._due(
            runner, runner.iter + 1, runner.max_iters
        ):
            self._update(runner)

    def after_train_epoch(self, runner: Any) -> None:
        """Update the statistics if an epoch loop is about to validate or end."""
        if not hasattr(runner.train_loop, 'dataloader_iterator') and self._due(
            runner, runner.epoch + 1, runner.max_epochs
        ):
            self._update(runner)

    def _due(self, runner: Any, step: int, last: int) -> bool:
        return step == last or (runner.val_loop is not None and step % runner.val_interval == 0)

    def _update(self, runner: Any) -> None:
        cfg = copy.deepcopy(runner.cfg.train_dataloader)
        cfg.persistent_workers = False
        model = unwrapped(runner.model)

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

    So every checkpoint holds the statistics with which all processes validate, and a resumed run
    continues with those of an uninterrupted one. Running averages are linear: averaging after each
    iteration equals averaging once before a validation. Synchronised and frozen layers are left
    out. Training itself does not use these statistics.
    """

    priority = 'ABOVE_NORMAL'  # before hooks that copy or save the model

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Average the statistics of all layers in one all-reduce."""
        if get_world_size() == 1:
            return
        layers = [m for m in _batch_norms(runner.model) if not isinstance(m, nn.SyncBatchNorm)]
        if layers:
            tensors = [t for m in layers for t in (m.running_mean, m.running_var)]
            all_reduce_params(tensors, coalesce=True, op='mean')


@HOOKS.register_module()
class IterSeedHook(Hook):
    """Seed torch from (seed, iteration, rank) before every training iteration.

    Checkpoints do not hold the state of random generators, so a resumed run would draw other
    dropout masks. With this hook its losses equal those of an uninterrupted run. Augmentation uses
    the generators of the data loader's workers, which the iteration loop replays itself.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Seed torch; large odd factors give neighbouring runs different seeds."""
        torch.manual_seed((runner.seed * 1_000_003 + runner.iter * 10_007 + get_rank()) % (1 << 63))
