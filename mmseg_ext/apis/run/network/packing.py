"""Let linear layers, 1x1 and depthwise convolutions and attention of a network run in oneDNN."""

from collections.abc import Callable
from typing import Any

from mmcv.cnn.bricks import wrappers
from torch import nn

from ....models.layers.packed import PackedAttention, is_fusible, packed
from .watch import replace_parts, sole_readers

_LAYERS = (nn.Linear, nn.Conv2d, wrappers.Linear, wrappers.Conv2d)  # others may do something else


def pack_layers(model: nn.Module, run: Callable[[], Any]) -> None:
    """Replace layers by those of :mod:`....models.layers.packed`, in place.

    An activation that alone reads what a layer gives becomes a part of it.

    Args:
        model: A model in evaluation mode, in float32 on a CPU.
        run: Calls it once, in the way in which it will be used, without gradients.
    """
    others: dict[nn.Module, nn.Module] = {
        part: PackedAttention(part)  # type: ignore[arg-type]
        for part in model.modules()
        if PackedAttention.is_suited(part)
    }
    followed = dict(sole_readers(model, run, is_maker=_is_layer, is_reader=is_fusible))
    for layer in filter(_is_layer, model.modules()):
        activation = followed.get(layer)
        if (other := packed(layer, activation)) is not None:  # type: ignore[arg-type]
            others[layer] = other
            if activation is not None:
                others[activation] = nn.Identity()
    replace_parts(model, others)


def _is_layer(module: nn.Module) -> bool:
    changed = 'forward' in vars(module) or module._forward_hooks or module._forward_pre_hooks
    return type(module) in _LAYERS and not changed
