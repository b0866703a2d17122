"""Convolutions that compute in another way, as another class: parameters and names stay."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

Classes = Mapping[type, type]  # torch's and mmcv's class -> the one in its place


def use_classes(model: nn.Module, ours: Classes, is_concerned: Callable[[Any], bool]) -> int:
    """Give the concerned convolutions of a model their other class.

    Args:
        model: Changed in place; a second call changes nothing.
        ours: The other classes, which modules name, so that they pickle; what is of no class here
            stays.
        is_concerned: Whether a convolution is one of those.

    Returns:
        How many were changed.
    """
    found = [module for module in model.modules() if type(module) in ours and is_concerned(module)]
    for module in found:
        module.__class__ = ours[type(module)]
    return len(found)
