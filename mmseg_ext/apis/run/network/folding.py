"""Fold batch norms into the convolutions before them, wherever one forward pass shows the order."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from .watch import replace_parts, sole_readers

_TORCH = nn.Conv2d.__module__  # a subclass may compute something else


def fold_norms(model: nn.Module, run: Callable[[], Any]) -> None:
    """Fold the batch norms of a model in evaluation mode into convolutions, in place.

    Args:
        model: A model in evaluation mode.
        run: Calls it once, in the way in which it will be used, without gradients. What it does not
            reach stays as it is.
    """
    replaced: dict[nn.Module, nn.Module] = {}
    for conv, norm in sole_readers(model, run, is_maker=_is_plain, is_reader=_is_norm):
        transpose = isinstance(conv, nn.ConvTranspose2d)
        replaced[conv] = fuse_conv_bn_eval(conv, norm, transpose)  # type: ignore[type-var, arg-type]
        replaced[norm] = nn.Identity()
    replace_parts(model, replaced)


def _is_plain(module: nn.Module) -> bool:
    plain = isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    return plain and type(module).__module__ == _TORCH


def _is_norm(module: nn.Module) -> bool:
    return type(module) is nn.BatchNorm2d and module.track_running_stats
