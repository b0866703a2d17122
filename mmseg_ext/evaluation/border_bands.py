"""Errors by distance to the nearest border between two classes of the truth.

Source: the trimap of Kohli et al., "Robust Higher Order Potentials for Enforcing Label
Consistency", IJCV 2009, section 5.2, which counts the pixels within some width of a border.
Differs from it: disjoint bands are counted, from which the trimaps of all widths follow.
The border consists of the pixels with a neighbour above, below, left or right of another class;
ignored pixels make none. Distances are Euclidean, between centres of pixels.
Shape letters: D band, H row, W column.
"""

from collections.abc import Sequence

import cv2
import numpy as np

EDGES = (2, 4, 8, 16, 32)  # pixels; a band ends below its edge, the last one has no end


def class_border(label_HW: np.ndarray, valid_HW: np.ndarray) -> np.ndarray:
    """Mark the valid pixels that touch a valid pixel of another class; bool (H, W)."""
    border = np.zeros(label_HW.shape, bool)
    down = (label_HW[1:] != label_HW[:-1]) & valid_HW[1:] & valid_HW[:-1]
    right = (label_HW[:, 1:] != label_HW[:, :-1]) & valid_HW[:, 1:] & valid_HW[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return border


def band_counts(
    pred_HW: np.ndarray,
    label_HW: np.ndarray,
    *,
    ignore_index: int,
    edges: Sequence[int] = EDGES,
) -> np.ndarray:
    """Count the pixels of one image, and the wrong ones, by distance to the border.

    Args:
        pred_HW: Predicted class ids.
        label_HW: True class ids.
        ignore_index: Label of ignored pixels, which are not counted.
        edges: Distances in pixels at which a band ends and the next begins.

    Returns:
        int64 ``(D, 2)``, additive over images: pixels and wrong pixels of each band. In an image
        of one class all pixels are in the last band.
    """
    valid = label_HW != ignore_index
    border = class_border(label_HW, valid)
    band = np.full(label_HW.shape, len(edges))
    if border.any():
        inside = (~border).astype(np.uint8)
        away = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # tolerance for float32 rounding: sqrt(16) must not be below an edge of 4
        band = np.searchsorted(edges, away * (1 + 1e-6), side='right')
    wrong = valid & (pred_HW != label_HW)
    bins = len(edges) + 1
    return np.stack([np.bincount(band[m], minlength=bins) for m in (valid, wrong)], axis=1)


def band_names(edges: Sequence[int] = EDGES) -> list[str]:
    """Name the bands."""
    between = [f'{low} to {high}' for low, high in zip(edges, edges[1:])]
    return [f'below {edges[0]}', *between, f'{edges[-1]} and more']


def error_rates(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of wrong pixels in each band, and up to the end of each band (trimap).

    Args:
        counts: From :func:`band_counts`, summed, ``(D, 2)``.

    Returns:
        Two float64 arrays ``(D,)``, NaN where there is no pixel.
    """
    rates = [_share(part[:, 1], part[:, 0]) for part in (counts, counts.cumsum(0))]
    return rates[0], rates[1]


def _share(wrong: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return np.divide(wrong, pixels, out=np.full(len(pixels), np.nan), where=pixels > 0)
