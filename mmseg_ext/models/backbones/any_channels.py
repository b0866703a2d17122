"""Any backbone for images that do not have three channels."""

from collections.abc import Sequence
from typing import Any

from mmseg.registry import MODELS
from torch import nn

from ..layers.widened import widen


@MODELS.register_module(name='AnyChannels')
def any_channels(
    *, backbone: str, image_channels: int, rgb_index: Sequence[int] = (0, 1, 2), **settings: Any
) -> nn.Module:
    """Build a backbone with its first convolution widened, see ``layers/widened.py``.

    Pretrained weights for three channels are widened, too, and the names of weights stay. The mean
    and std of the preprocessor need a number for each channel, and its ``bgr_to_rgb`` must be off.

    Args:
        backbone: Registered name of the backbone.
        image_channels: Channels of the images.
        rgb_index: Which of them the three channels of pretrained weights become.
        settings: Arguments of the backbone.

    Raises:
        ValueError: If the backbone has not exactly one convolution of three channels.
    """
    network = MODELS.build(dict(type=backbone, **settings))
    widen(network, image_channels, rgb_index=rgb_index)
    return network
