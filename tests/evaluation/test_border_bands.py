"""Errors by distance to the border: by hand, and against a distance from pixel to pixel."""

import numpy as np

from mmseg_ext.evaluation.border_bands import band_counts, band_names, class_border, error_rates


def test_two_halves_by_hand():
    truth = np.zeros((1, 12), int)
    truth[0, 6:] = 1  # the border is at columns 5 and 6
    truth[0, 11] = 255
    pred = truth.copy()
    pred[0, 4], pred[0, 0], pred[0, 11] = 1, 1, 0  # distances 1 and 5; the last is ignored
    counts = band_counts(pred, truth, ignore_index=255, edges=(2, 4))
    # distances of columns 0 to 10: 5 4 3 2 1 0 0 1 2 3 4
    np.testing.assert_array_equal(counts, [[4, 1], [4, 0], [3, 1]])
    of_band, within = error_rates(counts)
    np.testing.assert_allclose(of_band, [1 / 4, 0, 1 / 3])
    np.testing.assert_allclose(within, [1 / 4, 1 / 8, 2 / 11])
    assert band_names((2, 4)) == ['below 2', '2 to 4', '4 and more']


def test_against_the_distance_to_every_border_pixel():
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, (4, 5)).repeat(9, 0).repeat(7, 1)
    truth[random.random(truth.shape) < 0.05] = 255
    pred = random.integers(0, 3, truth.shape)
    height, width = truth.shape
    border = []
    for row, column in np.ndindex(height, width):
        sides = ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1))
        near = [truth[r, c] for r, c in sides if 0 <= r < height and 0 <= c < width]
        mine = truth[row, column]
        if mine != 255 and any(other not in (mine, 255) for other in near):
            border.append((row, column))
    assert [tuple(p) for p in np.argwhere(class_border(truth, truth != 255))] == border
    expected = np.zeros((4, 2), int)
    for row, column in zip(*np.nonzero(truth != 255)):
        away = min((row - r) ** 2 + (column - c) ** 2 for r, c in border)
        band = sum(away >= edge**2 for edge in (1, 2, 4))
        expected[band] += [1, pred[row, column] != truth[row, column]]
    np.testing.assert_array_equal(
        band_counts(pred, truth, ignore_index=255, edges=(1, 2, 4)), expected
    )


def test_one_class_has_no_border():
    truth = np.ones((3, 3), int)
    counts = band_counts(1 - truth, truth, ignore_index=255, edges=(2,))
    np.testing.assert_array_equal(counts, [[0, 0], [9, 9]])
    assert np.isnan(error_rates(counts)[0][0])
