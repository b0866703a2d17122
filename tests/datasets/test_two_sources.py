"""Batches of two sources: counts, shuffles, processes, epochs."""

from itertools import islice
from types import SimpleNamespace

import pytest

from mmseg_ext.datasets import two_sources
from mmseg_ext.datasets.two_sources import LabelledUnlabelledSampler


def joined(labelled=5, unlabelled=7):
    return SimpleNamespace(datasets=[range(labelled), range(unlabelled)])


def sampler(dataset=None, **settings):
    settings = {**dict(labelled=2, unlabelled=3, seed=4), **settings}
    return LabelledUnlabelledSampler(dataset or joined(), **settings)


def rounds(found, count, size=5):
    indices = list(islice(found, count * size))
    return [indices[k : k + size] for k in range(0, len(indices), size)]


def test_every_batch_has_both_kinds_and_every_image_its_turn():
    batches = rounds(sampler(), 35)
    assert len(batches) == 35
    assert all(max(b[:2]) < 5 <= min(b[2:]) and max(b) < 12 for b in batches)
    labelled = [i for b in batches for i in b[:2]]
    others = [i for b in batches for i in b[2:]]
    for start in range(0, 70, 5):  # each pass is a permutation
        assert sorted(labelled[start : start + 5]) == list(range(5))
    for start in range(0, 105, 7):
        assert sorted(others[start : start + 7]) == list(range(5, 12))
    assert labelled[:5] != labelled[5:10]


def test_the_seed_decides_and_iterating_anew_repeats():
    one = sampler()
    assert rounds(one, 9) == rounds(one, 9) == rounds(sampler(), 9)
    assert rounds(one, 9) != rounds(sampler(seed=5), 9)


def test_processes_share_one_order(monkeypatch):
    whole = rounds(sampler(labelled=4, unlabelled=6), 10, size=10)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(two_sources, 'get_dist_info', lambda rank=rank: (rank, 2))
        parts.append(rounds(sampler(), 10))
    for both, one, other in zip(whole, *parts):
        assert sorted(both) == sorted(one + other)
        assert both[0:4:2] == one[:2] and both[1:4:2] == other[:2]


def test_epochs_are_passes_over_the_labelled_images_and_go_on():
    ends = sampler(endless=False)
    assert len(ends) == 2 * 5 and len(sampler()) == 12
    epochs = []
    for epoch in range(3):
        ends.set_epoch(epoch)
        epochs += list(ends)
    assert len(epochs) == 30
    assert epochs == list(islice(sampler(), 30))


def test_a_batch_larger_than_the_labelled_images():
    assert len(list(sampler(joined(1, 1), endless=False))) == 5
    assert rounds(sampler(joined(1, 1)), 2) == [[0, 0, 1, 1, 1]] * 2


@pytest.mark.parametrize(
    'dataset, settings, words',
    [
        (range(5), {}, 'ConcatDataset of two data sets with images, .* got range'),
        (joined(0, 4), {}, r'got \[0, 4\]'),
        (joined(), dict(labelled=0), 'labelled=0, unlabelled=3'),
    ],
)
def test_mistakes(dataset, settings, words):
    with pytest.raises(ValueError, match=words):
        sampler(dataset, **settings)
