"""CutMix: a rectangle of each image is replaced by the same rectangle of another one.

Source: https://arxiv.org/abs/1905.04899 as https://github.com/LiheYoung/UniMatch (MIT) draws its
boxes. Differs from it: sides are relative to height and width, so that images need not be square
(a square one gets the same boxes); the partner is the next image of the batch, not one of a second
loader; torch draws, so that a resumed run repeats itself.
Shape letters: N image, H row, W column.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def draw_box(
    size: Sequence[int],
    *,
    area: tuple[float, float] = (0.02, 0.4),
    ratio: tuple[float, float] = (0.3, 1 / 0.3),
) -> tuple[slice, slice]:
    """Draw a rectangle that lies within an image.

    Args:
        size: H and W.
        area: Smallest and largest share of the image, within (0, 1).
        ratio: Smallest and largest quotient of the two shares of the sides, height by width. One
            of them must let the area fit.

    Returns:
        Its rows and its columns.
    """
    height, width = size
    share = _uniform(*area)
    while True:
        shape = _uniform(*ratio)
        rows, columns = int((share * shape) ** 0.5 * height), int((share / shape) ** 0.5 * width)
        top, left = _below(height), _below(width)
        if top + rows <= height and left + columns <= width:
            return slice(top, top + rows), slice(left, left + columns)


def draw_boxes(
    count: int,
    size: Sequence[int],
    *,
    prob: float = 0.5,
    area: tuple[float, float] = (0.02, 0.4),
    ratio: tuple[float, float] = (0.3, 1 / 0.3),
) -> Tensor:
    """Draw a rectangle for some of the images.

    Args:
        count: N.
        size: H and W.
        prob: Probability that an image has one.
        area: As for :func:`draw_box`.
        ratio: As for :func:`draw_box`.

    Returns:
        Bool ``(N, H, W)`` on the CPU, true within the rectangle.
    """
    boxes = torch.zeros(count, *size, dtype=torch.bool)
    for box in boxes:
        if _uniform(0, 1) < prob:
            rows, columns = draw_box(size, area=area, ratio=ratio)
            box[rows, columns] = True
    return boxes


def cut_mix(values: Tensor, boxes_NHW: Tensor) -> Tensor:
    """Replace what lies in each image's box by what lies there in the next image of the batch.

    Args:
        values: Anything with a place for each pixel, ``(N, H, W)`` or ``(N, C, H, W)``. What
            belongs together is mixed with the same boxes.
        boxes_NHW: From :func:`draw_boxes`.
    """
    boxes = boxes_NHW.to(values.device)
    if values.dim() == 4:
        boxes = boxes[:, None]
    return torch.where(boxes, values.roll(-1, dims=0), values)


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * torch.rand(()).item()


def _below(stop: int) -> int:
    return int(torch.randint(stop, ()).item())
