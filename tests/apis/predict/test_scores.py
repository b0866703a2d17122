"""Scores of hand-computed probability maps."""

import math

import numpy as np
import pytest
import torch

from mmseg_ext.apis.labels import regions
from mmseg_ext.apis.predict import scores

# two pixels: one sure, one torn
PROB = torch.tensor([[[1.0, 0.5]], [[0.0, 0.3]], [[0.0, 0.2]]])
TORN = -(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2))


@pytest.mark.parametrize(
    ('name', 'torn'), [('least_confidence', 0.5), ('margin', 0.8), ('entropy', TORN)]
)
def test_scores_of_one_pass(name, torn):
    found = scores.OF_ONE_PASS[name](PROB)
    torch.testing.assert_close(found, torch.tensor([[0.0, torn]]))


def test_entropy_is_largest_where_all_classes_are_alike():
    for k in (2, 5):
        uniform = torch.full((k, 2, 2), 1 / k)
        torch.testing.assert_close(scores.entropy(uniform), torch.full((2, 2), math.log(k)))


def test_bald_and_variance_of_passes():
    """Two passes that contradict each other, and two that are torn alike."""
    passes = torch.tensor([[[[1.0, 0.5]], [[0.0, 0.5]]], [[[0.0, 0.5]], [[1.0, 0.5]]]])
    torch.testing.assert_close(scores.bald(passes), torch.tensor([[math.log(2), 0.0]]))
    torch.testing.assert_close(scores.variance(passes), torch.tensor([[0.25, 0.0]]))
    third = torch.tensor([[[[0.6]], [[0.4]]], [[[0.8]], [[0.2]]]])

    def of_two(p):
        return -(p * math.log(p) + (1 - p) * math.log(1 - p))

    expected = of_two(0.7) - (of_two(0.6) + of_two(0.8)) / 2
    assert scores.bald(third).item() == pytest.approx(expected, rel=1e-4)
    assert scores.variance(third).item() == pytest.approx(0.01)


def test_a_model_that_mirrors_with_the_image_does_not_disagree():
    prob = torch.rand(3, 4, 5).softmax(0)
    assert scores.flip_disagreement(prob, prob.flip(-1)).abs().max() < 1e-6
    other = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    found = scores.flip_disagreement(other, other)  # the class stays where the image moved
    torch.testing.assert_close(found, torch.full((1, 2), math.log(2)))


def test_ignored_pixels_do_not_count():
    values = torch.tensor([[1.0, 3.0], [5.0, 700.0]])
    valid = torch.tensor([[True, True], [True, False]])
    assert scores.mean_score(values, valid).item() == 3.0
    assert scores.mean_score(values[:1]).item() == 2.0
    assert scores.mean_score(torch.stack((values, -values)), valid).tolist() == [3.0, -3.0]
    with pytest.raises(ValueError, match='no pixel of the image counts'):
        scores.mean_score(values, torch.zeros(2, 2, dtype=torch.bool))


def test_regions_have_means_of_their_own():
    values = torch.tensor([[1.0, 3.0, 10.0], [5.0, 7.0, 20.0]])
    where = torch.tensor([[0, 0, 2], [1, 1, 2]])
    assert scores.region_means(values, where).tolist() == [2.0, 6.0, 15.0]
    valid = torch.tensor([[True, True, False], [False, True, False]])
    found = scores.region_means(torch.stack((values, 2 * values)), where, valid)
    assert found[:, :2].tolist() == [[2.0, 7.0], [4.0, 14.0]]
    assert found[:, 2].isnan().all()


def test_windows_are_numbered_row_by_row():
    assert regions.windows(3, 5, 2).tolist() == [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
    assert regions.windows(2, 2, 9).tolist() == [[0, 0], [0, 0]]
    image = np.zeros((3, 5, 3), np.uint8)
    assert np.array_equal(regions.regions_of(image, 'windows', 2), regions.windows(3, 5, 2))


@pytest.mark.oracle
def test_superpixels_follow_edges():
    pytest.importorskip('skimage')
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, 13:] = 255
    found = regions.regions_of(image, regions.available_kind('superpixels'), 8)
    assert set(found[:, :13].flat).isdisjoint(found[:, 13:].flat)
    assert np.array_equal(np.unique(found), np.arange(found.max() + 1))


def test_without_scikit_image_windows_are_taken(monkeypatch):
    monkeypatch.setattr(regions, 'has_superpixels', lambda: False)
    assert regions.available_kind('superpixels') == 'windows'
    assert regions.available_kind('windows') == 'windows'
    for kind, size, text in [('windows', 0, 'from 1, got 0'), ('squares', 8, "got 'squares'")]:
        with pytest.raises(ValueError, match=text):
            regions.regions_of(np.zeros((4, 4, 3), np.uint8), kind, size)
