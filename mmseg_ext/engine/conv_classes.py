"""Convolutions that compute in another way, as another class: parameters and names stay.

Shape letters: N image, C channel, D output channel, H, W size, h, w size of a part.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

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


def use_torchs(model: nn.Module, ours: Classes) -> None:
    """Undo :func:`use_classes`."""
    theirs = {mine: its for its, mine in ours.items()}
    for module in model.modules():
        module.__class__ = theirs.get(type(module), type(module))


def seen_by_tap(
    grad_NHWD: Tensor, x_NHWC: Tensor, offset: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Cut out the outputs whose tap lies inside of the map, and what that tap sees of it.

    Args:
        grad_NHWD: The gradient of a convolution's output, which has the size of its input.
        x_NHWC: The input.
        offset: Rows and columns from the middle tap to the one that is meant.

    Returns:
        Views, ``(N, h, w, D)`` and ``(N, h, w, C)``; h or w is 0 where the tap is always outside.
    """
    height, width = (max(0, side - abs(o)) for side, o in zip(x_NHWC.shape[1:3], offset))
    (top, left), (row, column) = ([max(0, sign * o) for o in offset] for sign in (-1, 1))
    ours = grad_NHWD[:, top : top + height, left : left + width]
    return ours, x_NHWC[:, row : row + height, column : column + width]
