"""From three input channels, red, green and blue, to any number.

Source: a common idea (timm's ``adapt_input_conv`` repeats the three filters). Here new channels get
the mean filter, and the weights are scaled so that an image with equal channels gives exactly the
response of a grey image before.
Shape letters: O output channel, I input channel, H row, W column.
"""

from collections.abc import Sequence

from torch import Tensor


def inflate_conv(
    weight_O3HW: Tensor, in_channels: int, *, rgb_index: Sequence[int] = (0, 1, 2)
) -> Tensor:
    """Widen (or narrow) a convolution from 3 input channels to any number.

    Args:
        weight_O3HW: Weights for red, green, blue, in this order.
        in_channels: I, at least 1.
        rgb_index: Positions of red, green and blue in the I channels: ``(2, 1, 0)`` for BGR, ``()``
            if there are none. All other channels get the mean of the three filters, and so do all
            channels if there are fewer than 3.

    Returns:
        Weights ``(O, I, H, W)``; their sum over I is that of the original.

    Raises:
        ValueError: If the weights do not have 3 input channels, or a position is invalid.
    """
    if weight_O3HW.ndim != 4 or weight_O3HW.shape[1] != 3:
        raise ValueError(f'expected weights (O, 3, H, W), got {tuple(weight_O3HW.shape)}')
    places = _places(in_channels, rgb_index)
    weight = weight_O3HW.mean(dim=1, keepdim=True).repeat(1, in_channels, 1, 1)
    if places:
        weight[:, places] = weight_O3HW
    return weight * (3 / in_channels)


def spread(values: Sequence[float], channels: int, *, rgb_index: Sequence[int]) -> list[float]:
    """Widen three numbers, such as the mean colors of a preprocessor, in the same way.

    Args:
        values: A number for each of the three channels.
        channels: Number of channels to have a value.
        rgb_index: As for :func:`inflate_conv`; other channels get the mean of the three.
    """
    found = [sum(values) / len(values)] * channels
    for place, value in zip(_places(channels, rgb_index), values):
        found[place] = value
    return found


def needs_inflation(value: Tensor, wanted: Sequence[int]) -> bool:
    """Tell whether weights fit a convolution in all but their three input channels."""
    if value.ndim != 4 or len(wanted) != 4 or value.shape == tuple(wanted):
        return False
    return value.shape[1] == 3 and value.shape[0] == wanted[0] and value.shape[2:] == wanted[2:]


def _places(channels: int, rgb_index: Sequence[int]) -> list[int]:
    if channels < 1:
        raise ValueError(f'in_channels must be at least 1, got {channels}')
    places = list(rgb_index) if channels >= 3 else []
    if places and not (len(places) == len(set(places) & set(range(channels))) == 3):
        raise ValueError(
            f'rgb_index must be three different channels below {channels}, or (), got {places}'
        )
    return places
