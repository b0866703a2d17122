"""Images with rare classes are drawn as often as computed by hand, the same in each process."""

from collections import Counter
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmseg_ext.datasets import balanced
from mmseg_ext.datasets.balanced import BalancedSampler, repeat_factors


class LoadAnnotations:  # as the pipeline step is called
    def __call__(self, results):
        return dict(gt_seg_map=results['mask'])


class Data:
    """Sixteen masks: class 0 in all, class 1 in 4, class 2 in one; nobody has class 3."""

    pipeline = SimpleNamespace(transforms=[LoadAnnotations()])
    metainfo = dict(classes='abcd')
    ignore_index = 255

    def __init__(self, masks=None):
        masks = masks or [[0, 255]] * 12 + [[0, 1]] * 3 + [[0, 1, 2]]
        self.masks = [np.array([mask], np.uint8) for mask in masks]

    def __len__(self):
        return len(self.masks)

    def get_data_info(self, index):
        return dict(mask=self.masks[index])


# shares of images: 1, 1/4 and 1/16; the median 1/4 asks for 1, 1 and sqrt(4) = 2
MEDIAN = [1.0] * 15 + [2.0]
# the threshold 1 asks for 1, sqrt(4) = 2 and sqrt(16) = 4
ONE = [1.0] * 12 + [2.0] * 3 + [4.0]


@pytest.mark.parametrize(
    ('threshold', 'expected'), [(None, MEDIAN), (1.0, ONE), (0.05, [1.0] * 16)]
)
def test_factors_by_hand(threshold, expected):
    assert BalancedSampler(Data(), threshold=threshold, seed=0).factors_N.tolist() == expected


def test_an_image_without_a_class_is_drawn_once():
    assert repeat_factors(torch.tensor([[False], [True]])).tolist() == [1.0, 1.0]
    assert repeat_factors(torch.zeros(3, 2, dtype=torch.bool)).tolist() == [1.0] * 3


def test_each_pass_draws_whole_factors_exactly():
    sampler = BalancedSampler(Data(), threshold=1.0, seed=3)
    drawn = Counter(islice(iter(sampler), 5 * 22))  # five passes of 12 + 3 * 2 + 4 images
    assert drawn == {i: 5 * int(factor) for i, factor in enumerate(ONE)}


def test_fractions_are_drawn_so_often_on_average():
    # class 1 is in half of the images: sqrt(0.72 / 0.5) = 1.2
    sampler = BalancedSampler(Data([[0], [0, 1]]), threshold=0.72, seed=1)
    count = Counter(islice(iter(sampler), 22_000))
    assert count[1] / count[0] == pytest.approx(1.2, abs=0.02)


def test_it_draws_the_same_again_and_the_processes_take_turns(monkeypatch):
    whole = list(islice(iter(BalancedSampler(Data(), seed=5)), 60))
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(balanced, 'get_dist_info', lambda rank=rank: (rank, 2))
        present = balanced._counted(Data(), 0)
        monkeypatch.setattr(balanced, '_counted', lambda *_, found=present: found)
        sampler = BalancedSampler(Data(), seed=5)
        parts.append(list(islice(iter(sampler), 30)))
        assert list(islice(iter(sampler), 30)) == parts[-1]
        monkeypatch.undo()
    assert [i for pair in zip(*parts) for i in pair] == whole
    assert set(whole) == set(range(16))


def test_epochs_go_on_where_the_last_one_ended():
    sampler = BalancedSampler(Data(), seed=5, endless=False)
    whole = list(islice(iter(BalancedSampler(Data(), seed=5)), 48))
    drawn = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        drawn += list(sampler)
    assert len(sampler) == 16 and drawn == whole


@pytest.mark.parametrize(
    ('data', 'threshold', 'message'),
    [
        ([], None, 'needs one data set with images and masks'),
        (Data(), 1.5, r'threshold must be in \(0, 1\], got 1.5'),
    ],
)
def test_what_cannot_be_balanced_is_refused(data, threshold, message):
    with pytest.raises(ValueError, match=message):
        BalancedSampler(data, threshold=threshold, seed=0)
