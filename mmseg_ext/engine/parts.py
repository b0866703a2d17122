"""Several optimisers, each for one part of a model, that learn of one forward pass.

mmengine keeps several wrappers in ``OptimWrapperDict``, builds none from a config, and leaves
context, backward pass and steps to the model. Here they are the dict's, so that a model, wrapped
for distributed training or not, trains by mmengine's own ``train_step``::

    optim_wrapper = dict(
        constructor='PartsOptimWrapperConstructor',
        segmentor=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
        discriminator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)))

``param_scheduler`` is one list for all of them, or a dict of a list for each.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Optional

import torch
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import Tensor, nn

from ..core.words import did_you_mean, nearest
from .distributed import unwrapped


class PartsOptimWrapper(OptimWrapperDict):
    """The optimiser wrappers of a model's parts, by the names of the parts.

    The model's ``parse_losses`` gives a dict of one loss for each part. All gradients are taken
    before the first step, so that every loss is of the same weights. The model gets the precision
    of each part, and how far the training has come, by its method ``in_step``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Let a model know each part's context; processes agree if any part is to step.

        Gradients that wait for their step may be averaged over processes more than once: the mean
        of a mean is the same.
        """
        inner: Any = unwrapped(model)
        contexts = {
            name: partial(wrapper.optim_context, inner.get_submodule(name))
            for name, wrapper in self.items()
        }
        no_sync: Any = getattr(model, 'no_sync', nullcontext)
        waits = not any(wrapper.should_sync() for wrapper in self.values())
        with no_sync() if waits else nullcontext(), inner.in_step(contexts, self.progress):
            yield

    @property
    def progress(self) -> float:
        """Share of the iterations that are done; 1 where nobody said how many there are."""
        first = next(iter(self.values()))
        return first._inner_count / first._max_counts if first._max_counts > 0 else 1.0

    def update_params(  # type: ignore[override]
        self,
        loss: dict[str, Tensor],
        step_kwargs: Optional[dict] = None,
        zero_kwargs: Optional[dict] = None,
    ) -> None:
        """Take each part's gradients of its own loss; then let the parts step that are to.

        Args:
            loss: By the names of the parts.
            step_kwargs: Arguments of each optimiser's ``step``.
            zero_kwargs: Arguments of each optimiser's ``zero_grad``.
        """
        leaves = {name: loss[name].detach().requires_grad_() for name in self.keys()}
        for name, wrapper in self.items():  # each scales its loss in its own way
            wrapper.backward(wrapper.scale_loss(leaves[name]))
        # One pass: what wraps a model for several processes waits for every gradient in it.
        torch.autograd.backward(
            [loss[name] for name in leaves], [leaf.grad for leaf in leaves.values()]
        )
        for wrapper in self.values():
            if wrapper.should_update():
                wrapper.step(**(step_kwargs or {}))
                wrapper.zero_grad(**(zero_kwargs or {}))

    def initialize_count_status(self, model: nn.Module, cur_iter: int, max_iters: int) -> None:
        """Let each part know where the training is, so that accumulation goes on in its phase."""
        for wrapper in self.values():
            wrapper.initialize_count_status(model, cur_iter, max_iters)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PartsOptimWrapperConstructor:
    """Build an optimiser wrapper for each named part of a model.

    Args:
        optim_wrapper_cfg: ``optim_wrapper`` of the config: for each part what a plain config has,
            with ``paramwise_cfg`` and ``constructor`` of its own.
        paramwise_cfg: Always ``None``: each part has its own.

    Raises:
        ValueError: If a part is unknown or has no optimiser, or a trained parameter is in no part,
            or in two.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: Optional[dict] = None) -> None:
        if paramwise_cfg is not None:
            raise ValueError('optim_wrapper.paramwise_cfg: each part is to have its own')
        self.configs = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> PartsOptimWrapper:
        """Build the wrappers."""
        inner = unwrapped(model)
        parts = {name: _part(inner, name, config) for name, config in self.configs.items()}
        _check_partition(inner, parts)
        return PartsOptimWrapper(
            **{name: build_optim_wrapper(part, self.configs[name]) for name, part in parts.items()}
        )


def _part(model: nn.Module, name: str, config: Any) -> nn.Module:
    children = dict(model.named_children())
    if name not in children:
        hint = did_you_mean(nearest(name, children))
        raise ValueError(
            f'optim_wrapper.{name}: {type(model).__name__} has no part of this name'
            + (f', {hint}' if hint else f'; it has {", ".join(children)}')
        )
    if not isinstance(config, dict) or 'optimizer' not in config:
        raise ValueError(
            f"optim_wrapper.{name} must be dict(optimizer=dict(type='SGD', lr=...)), got {config!r}"
        )
    return children[name]


def _check_partition(model: nn.Module, parts: dict[str, nn.Module]) -> None:
    """Refuse parameters that no optimiser would move, or two would."""
    owners: dict[int, list[str]] = {}
    for name, part in parts.items():
        for parameter in part.parameters():
            owners.setdefault(id(parameter), []).append(name)
    for name, parameter in model.named_parameters():
        found = owners.get(id(parameter), [])
        if len(found) > 1:
            raise ValueError(
                f'{name} belongs to {" and ".join(found)}: two optimisers would move it'
            )
        if not found and parameter.requires_grad:
            lacking = name.partition('.')[0]
            raise ValueError(
                f'optim_wrapper has no optimiser for {lacking} (it has {", ".join(parts)}): add '
                f"{lacking}=dict(type='OptimWrapper', optimizer=...)"
            )
