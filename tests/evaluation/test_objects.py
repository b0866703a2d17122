"""Objects of a label map: areas, bins, recall and sIoU against hand-made maps and scipy."""

import numpy as np
from scipy import ndimage

from mmseg_ext.evaluation.objects import bin_names, object_areas, object_counts


def test_by_hand():
    truth = np.zeros((10, 20), int)
    truth[0:2, 0:2], truth[5:9, 0:4], truth[0:4, 10:14] = 1, 1, 1  # 4, 16 and 16 pixels
    truth[9] = 255
    pred = np.zeros_like(truth)
    pred[5:9, 0:2] = 1  # half of the second
    pred[0:4, 10:18] = 1  # the third and 16 more pixels
    pred[9, 5] = 1  # ignored
    counts = object_counts(pred, truth, 2, ignore_index=255, sides=(3,))
    assert counts.shape == (2, 2, 5)
    np.testing.assert_allclose(counts[1, 0], [1, 4, 0, 0, 0])
    np.testing.assert_allclose(counts[1, 1], [2, 32, 24, 8 / 16 + 16 / 32, 2])
    assert counts[0, 1, 0] == 1 and counts[0, 0, 0] == 0  # the background is one region


def test_a_prediction_that_joins_two_objects_is_no_false_positive_of_either():
    truth = np.array([[1, 1, 0, 0, 1, 1]])
    counts = object_counts(np.ones_like(truth), truth, 2, ignore_index=255, sides=(3,))
    # each: 2 shared pixels, and 2 of the prediction in no object
    np.testing.assert_allclose(counts[1, 0], [2, 4, 4, 2 * 2 / 4, 2])


def test_areas_and_bins_against_scipy():
    random = np.random.default_rng(0)
    truth = (ndimage.gaussian_filter(random.normal(size=(120, 150)), 2) > 0.05).astype(int)
    pred = (ndimage.gaussian_filter(random.normal(size=(120, 150)), 2) > 0.05).astype(int)
    numbered, count = ndimage.label(truth, np.ones((3, 3)))
    areas = ndimage.sum_labels(truth, numbered, range(1, count + 1)).astype(int)
    assert count > 10
    assert sorted(object_areas(truth, [1, 2])) == sorted(areas)
    sides = (4, 8, 16)
    counts = object_counts(pred, truth, 2, ignore_index=255, sides=sides)
    guessed, _ = ndimage.label(pred, np.ones((3, 3)))
    expected = np.zeros((4, 5))
    for number in range(1, count + 1):
        mine = numbered == number
        touching = np.isin(guessed, np.unique(guessed[mine & (guessed > 0)])) & (guessed > 0)
        other = (truth == 1) & ~mine
        iou = (mine & touching).sum() / ((mine | touching) & ~other).sum()
        place = sum(mine.sum() >= side**2 for side in sides)
        expected[place] += [1, mine.sum(), (mine & (pred == 1)).sum(), iou, iou >= 0.5]
    np.testing.assert_allclose(counts[1], expected)
    assert bin_names(sides) == ['below 4×4', '4×4 to 8×8', '8×8 to 16×16', '16×16 and more']
