"""Fold batch norms into the convolutions before them, wherever one forward pass shows the order.

The order in which a module calls its parts stands in its code alone: names and lists only hint at
it, and most backbones keep both apart, as attributes. So the passes of tensors are watched: a norm
is folded if all that it ever got came from one convolution, and nothing else read that.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Union

from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Convolution = Union[nn.Conv2d, nn.ConvTranspose2d]
_TORCH = nn.Conv2d.__module__  # a subclass may compute something else


def fold_norms(model: nn.Module, run: Callable[[], Any]) -> None:
    """Fold the batch norms of a model in evaluation mode into convolutions, in place.

    Args:
        model: A model in evaluation mode.
        run: Calls it once, in the way in which it will be used, without gradients. What it does not
            reach stays as it is.
    """
    replaced: dict[nn.Module, nn.Module] = {}
    for conv, norm in _pairs(model, run):
        transpose = isinstance(conv, nn.ConvTranspose2d)
        replaced[conv] = fuse_conv_bn_eval(conv, norm, transpose)  # type: ignore[type-var]
        replaced[norm] = nn.Identity()
    for owner in list(model.modules()):
        for name, child in owner._modules.items():
            if child in replaced:
                owner._modules[name] = replaced[child]


def _pairs(model: nn.Module, run: Callable[[], Any]) -> list[tuple[Convolution, nn.BatchNorm2d]]:
    """Convolutions with the norms that alone read what they made, and read nothing else."""
    watch = _Watch()
    handles = []
    for module in model.modules():
        if _is_plain(module):
            handles.append(module.register_forward_hook(watch.made_by))
        elif type(module) is nn.BatchNorm2d and module.track_running_stats:
            handles.append(module.register_forward_pre_hook(watch.enter))
            handles.append(module.register_forward_hook(watch.leave))
    try:
        with watch:
            run()
    finally:
        for handle in handles:
            handle.remove()
    return watch.pairs()


def _is_plain(module: nn.Module) -> bool:
    plain = isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    return plain and type(module).__module__ == _TORCH


class _Watch(TorchDispatchMode):
    """Counts who reads the maps that convolutions make."""

    def __init__(self) -> None:
        super().__init__()
        self.maker: dict[int, Convolution] = {}
        self.kept: list[Tensor] = []  # memory that is freed would be given to another map
        self.made: Counter[Convolution] = Counter()
        self.uses: Counter[Convolution] = Counter()  # by anything but a norm
        self.reads: dict[nn.BatchNorm2d, Counter] = {}
        self.inside = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.inside:
            for leaf in tree_leaves((args, kwargs)):
                if isinstance(leaf, Tensor) and (conv := self.maker.get(_memory(leaf))):
                    self.uses[conv] += 1
        return func(*args, **(kwargs or {}))

    def made_by(self, conv: Any, _: Any, out: Tensor) -> None:
        self.maker[_memory(out)] = conv
        self.kept.append(out)
        self.made[conv] += 1

    def enter(self, norm: Any, inputs: tuple) -> None:
        self.inside += 1
        whole = any(inputs[0] is out for out in self.kept)  # not a part or a view of a map
        maker = self.maker.get(_memory(inputs[0])) if whole else None
        self.reads.setdefault(norm, Counter())[maker] += 1

    def leave(self, *_: Any) -> None:
        self.inside -= 1

    def pairs(self) -> list[tuple[Convolution, nn.BatchNorm2d]]:
        found = []
        for norm, makers in self.reads.items():
            (conv, count), *others = makers.items()
            alone = conv is not None and not others and self.made[conv] == count
            if alone and not self.uses[conv]:
                found.append((conv, norm))
        return found


def _memory(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()
