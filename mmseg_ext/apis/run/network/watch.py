"""Which part of a network alone reads what another one made, as one forward pass shows it.

The order in which a module calls its parts stands in its code alone: names and lists only hint at
it, and most backbones keep both apart, as attributes. So the passes of tensors are watched.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_Test = Callable[[nn.Module], bool]


def sole_readers(
    model: nn.Module, run: Callable[[], Any], *, is_maker: _Test, is_reader: _Test
) -> list[tuple[nn.Module, nn.Module]]:
    """Pair makers with the readers that alone read what they made, and read nothing else.

    Args:
        model: A model in evaluation mode.
        run: Calls it once, in the way in which it will be used, without gradients. What it does not
            reach is in no pair.
        is_maker: Tells parts that count as makers, each with one tensor as its result.
        is_reader: Tells parts that count as readers, each of one tensor, which they may overwrite.
    """
    watch = _Watch()
    handles = []
    for module in model.modules():
        if is_maker(module):
            handles.append(module.register_forward_hook(watch.made_by))
        elif is_reader(module):
            handles.append(module.register_forward_pre_hook(watch.enter))
            handles.append(module.register_forward_hook(watch.leave))
    try:
        with watch:
            run()
    finally:
        for handle in handles:
            handle.remove()
    return watch.pairs()


def replace_parts(model: nn.Module, others: dict[nn.Module, nn.Module]) -> None:
    """Put other modules in the places of some, in place."""
    for owner in list(model.modules()):
        for name, child in owner._modules.items():
            if child in others:
                owner._modules[name] = others[child]


class _Watch(TorchDispatchMode):
    """Counts who reads the tensors that makers make."""

    def __init__(self) -> None:
        super().__init__()
        self.maker: dict[int, nn.Module] = {}
        self.kept: list[Tensor] = []  # memory that is freed would be given to another tensor
        self.made: Counter[nn.Module] = Counter()
        self.uses: Counter[nn.Module] = Counter()  # by anything but a reader
        self.reads: dict[nn.Module, Counter] = {}
        self.inside = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.inside:
            for leaf in tree_leaves((args, kwargs)):
                if isinstance(leaf, Tensor) and (maker := self.maker.get(_memory(leaf))):
                    self.uses[maker] += 1
        return func(*args, **(kwargs or {}))

    def made_by(self, maker: Any, _: Any, out: Tensor) -> None:
        self.maker[_memory(out)] = maker
        self.kept.append(out)
        self.made[maker] += 1

    def enter(self, reader: Any, inputs: tuple) -> None:
        self.inside += 1
        whole = any(inputs[0] is out for out in self.kept)  # not a part or a view of one
        maker = self.maker.get(_memory(inputs[0])) if whole else None
        self.reads.setdefault(reader, Counter())[maker] += 1

    def leave(self, _: Any, __: Any, out: Tensor) -> None:
        self.inside -= 1
        self.maker.pop(_memory(out), None)  # overwritten: from here on it is the reader's

    def pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        found = []
        for reader, makers in self.reads.items():
            (maker, count), *others = makers.items()
            alone = maker is not None and not others and self.made[maker] == count
            if alone and not self.uses[maker]:
                found.append((maker, reader))
        return found


def _memory(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()
