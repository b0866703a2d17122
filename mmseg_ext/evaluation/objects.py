"""Connected components of label maps: how large objects are, and how much of each is found.

Source: recall and IoU of a component as in "SegmentMeIfYouCan", https://arxiv.org/abs/2104.14812,
section 4.2 (sIoU): a true component k is compared with the union P of the predicted components of
its class that touch it; sIoU = |k and P| / |(k or P) without the other true components of the
class|. Components are joined at sides and corners.
Differs from it: every class is scored, and its true components are sorted by area into bins.
Shape letters: K class, B bin, H row, W column.
"""

from collections.abc import Sequence

import cv2
import numpy as np

SIDES = (8, 16, 32, 64, 128)  # pixels; a bin ends below the area of a square with this side
FIELDS = ('objects', 'pixels', 'found_pixels', 'sum_iou', 'found')
_FOUND = 0.5  # sIoU from which on an object counts as found


def components(mask_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the connected components of a mask, from 1 on.

    Returns:
        Number of each pixel's component ``(H, W)``, 0 outside of the mask, and the area in pixels
        of each number, the outside first.
    """
    _, places, stats, _ = cv2.connectedComponentsWithStats(mask_HW.astype(np.uint8), connectivity=8)
    return places, stats[:, cv2.CC_STAT_AREA].astype(np.int64)


def object_areas(label_HW: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Return the area in pixels of every connected component of these classes."""
    present = [index for index in classes if (label_HW == index).any()]
    areas = [components(label_HW == index)[1][1:] for index in present]
    return np.concatenate(areas) if areas else np.zeros(0, np.int64)


def bin_names(sides: Sequence[int] = SIDES) -> list[str]:
    """Name the bins of area by the sides of squares."""
    edges = [f'{side}\u00d7{side}' for side in sides]
    between = [f'{low} to {high}' for low, high in zip(edges, edges[1:])]
    return [f'below {edges[0]}', *between, f'{edges[-1]} and more']


def object_counts(
    pred_HW: np.ndarray,
    label_HW: np.ndarray,
    num_classes: int,
    *,
    ignore_index: int,
    sides: Sequence[int] = SIDES,
) -> np.ndarray:
    """Score the true components of one image by class and area.

    Pixels that are ignored belong to no component.

    Args:
        pred_HW: Predicted class ids.
        label_HW: True class ids.
        num_classes: K.
        ignore_index: Label of ignored pixels.
        sides: A component of ``side ** 2`` pixels or more is in the next bin.

    Returns:
        float64 ``(K, B, 5)``, additive over images, in the order of ``FIELDS``: components, their
        pixels, those of them that were predicted right, the sum of sIoU, and the components with a
        sIoU of at least 0.5.
    """
    counts = np.zeros((num_classes, len(sides) + 1, len(FIELDS)))
    valid = label_HW != ignore_index
    edges = np.square(np.asarray(sides, np.int64))
    for index in np.unique(label_HW[valid]):
        truth, areas = components(label_HW == index)
        guess, guessed = components((pred_HW == index) & valid)
        hits, iou = _matched(truth, areas, guess, guessed)
        rows = np.stack([np.ones(len(iou)), areas[1:], hits, iou, iou >= _FOUND], axis=1)
        np.add.at(counts[index], np.searchsorted(edges, areas[1:], side='right'), rows)
    return counts


def _matched(
    truth: np.ndarray, areas: np.ndarray, guess: np.ndarray, guessed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the right pixels and the sIoU of each true component."""
    outside = np.bincount(guess[truth == 0], minlength=len(guessed))  # in no true component
    both = (truth > 0) & (guess > 0)
    pairs = truth[both].astype(np.int64) * len(guessed) + guess[both]
    touching, shared = np.unique(pairs, return_counts=True)
    mine, other = np.divmod(touching, len(guessed))
    hits, beyond = np.zeros((2, len(areas)), np.int64)
    np.add.at(hits, mine, shared)
    np.add.at(beyond, mine, outside[other])
    return hits[1:], hits[1:] / (areas + beyond)[1:]
