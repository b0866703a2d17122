"""Widen the first convolution of a network to images of any number of channels.

``core/inflation.py`` says how. Names of weights stay, and weights for three channels are widened
whenever they are loaded, be it from ImageNet or from a run on color images.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ...core.inflation import inflate_conv, needs_inflation, spread


class _Inflating:
    """A hook of a convolution that widens weights while they are loaded."""

    def __init__(self, shape: Sequence[int], rgb_index: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self.rgb_index = tuple(rgb_index)

    def __call__(self, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
        name = f'{prefix}weight'
        if name in state and needs_inflation(state[name], self.shape):
            state[name] = inflate_conv(state[name], self.shape[1], rgb_index=self.rgb_index)


def widen(network: nn.Module, channels: int, *, rgb_index: Sequence[int] = (0, 1, 2)) -> None:
    """Widen the one convolution of a network that reads three channels.

    Args:
        network: Changed in place.
        channels: Channels of the images.
        rgb_index: Which of them the three channels of the weights become, see ``inflate_conv``.

    Raises:
        ValueError: If the network has no such convolution, or several.
    """
    found = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3]
    if len(found) != 1 or found[0].groups != 1:
        raise ValueError(
            f'{type(network).__name__} has {len(found)} convolutions of 3 channels, one is '
            f'expected: it cannot be widened to images of {channels} channels'
        )
    conv = found[0]
    weight = inflate_conv(conv.weight.detach(), channels, rgb_index=rgb_index)
    conv.weight = nn.Parameter(weight)
    conv.in_channels = channels
    conv._register_load_state_dict_pre_hook(_Inflating(weight.shape, rgb_index))


def widen_detector(detector: Any, channels: int, rgb_index: Sequence[int]) -> None:
    """Widen the first convolution of a detector of torchvision, and its own mean and std."""
    widen(detector.backbone, channels, rgb_index=rgb_index)
    steps = detector.transform
    steps.image_mean = spread(steps.image_mean, channels, rgb_index=rgb_index)
    steps.image_std = spread(steps.image_std, channels, rgb_index=rgb_index)
