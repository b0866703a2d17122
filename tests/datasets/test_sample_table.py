"""A table of samples against the list of dicts that it stands for, also in mmengine's hands."""

import pickle
import tracemalloc

import numpy as np
import pytest
from mmengine.dataset import BaseDataset

from mmseg_ext.datasets.checked import CheckedSegDataset
from mmseg_ext.datasets.sample_table import SampleTable, Texts

TEXTS = ['a/b/c.png', '', None, 'plain', '/', 'a/', 'é/漢.png', '\udcff/\udc80', 'a/b/c.png']
PLAIN = [dict(img_path=f'x/{n % 7}/{n}.png', seg_fields=[], label_map={255: 1}) for n in range(50)]
MIXED = [
    dict(a=1, b=None, only_here=3), dict(a=1.0, b='text'), dict(a=True, b=None, c=[1]),
    dict(b=2, c=[1]), dict(a=1, b='more', c=[2], d={'k': (1, 2)}), {},
]  # fmt: skip
ARRAYS = [dict(values=np.arange(3)), dict(values=np.arange(4)), dict(values='now a text')]


@pytest.mark.parametrize('samples', [PLAIN, MIXED, MIXED[::-1], [dict(t=t) for t in TEXTS], []])
def test_a_table_is_the_list_of_its_samples(samples):
    table = SampleTable(samples)
    assert len(table) == len(samples) and bool(table) == bool(samples)
    assert list(table) == samples
    types = [{key: type(value) for key, value in sample.items()} for sample in samples]
    assert [{key: type(value) for key, value in sample.items()} for sample in table] == types
    for part in (slice(3), slice(-2, None), slice(None, None, -1), slice(4, 1)):
        assert list(table[part]) == samples[part]
    assert list(pickle.loads(pickle.dumps(table))) == samples
    for place in (len(samples), -len(samples) - 1):
        with pytest.raises(IndexError):
            table[place]
    if samples:
        assert list(table.take([0, -1, 0])) == [samples[0], samples[-1], samples[0]]
    for key in {key for sample in samples for key in sample}:
        assert list(table.column(key)) == [s[key] for s in samples if key in s]


def test_values_of_other_types_are_kept():
    for one, other in zip(SampleTable(ARRAYS), ARRAYS):
        assert np.array_equal(one['values'], other['values'])


def test_each_access_makes_a_new_sample():
    table = SampleTable([*PLAIN, dict(PLAIN[0], label_map=[1])])
    table[0]['seg_fields'].append('gt')
    table[0]['label_map'][3] = 4
    table[50]['label_map'].append(2)
    assert table[0] == PLAIN[0] and table[50]['label_map'] == [1]


def test_more_is_in_every_sample():
    table = SampleTable(PLAIN, dict(num_classes=3, group=None))
    table.add('group', (sample['img_path'][2] for sample in PLAIN))
    wanted = [dict(s, num_classes=3, group=s['img_path'][2]) for s in PLAIN]
    assert list(table) == wanted


def test_texts_come_back():
    texts = Texts(TEXTS)
    assert list(texts) == TEXTS and [texts[-1 % len(TEXTS)], len(texts)] == [TEXTS[-1], len(TEXTS)]


def test_a_path_takes_few_bytes():
    def samples(number):
        return (dict(img_path=f'images/{n:07d}.png', label_map=None) for n in range(number))

    held = []
    for number in (10_000, 20_000):
        tracemalloc.start()
        table = SampleTable(samples(number))
        held.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert len(table) == 20_000
    assert (held[1] - held[0]) / 10_000 < 40  # a dict with its text takes 300


class Plain(BaseDataset):
    METAINFO: dict = {}

    def load_data_list(self):
        return [dict(sample, seg_fields=[]) for sample in PLAIN]


class Ours(CheckedSegDataset):
    METAINFO = dict(classes=('a', 'b'), palette=[[0] * 3, [1] * 3])

    def _check_folders(self):
        pass

    def _check_files(self, paths):
        pass

    def _list_samples(self):
        return PLAIN

    def _same_for_all(self):
        return {}


@pytest.mark.parametrize('serialize', [True, False])
@pytest.mark.parametrize('indices', [None, 7, -7, [3, 1, -1, 3]])
def test_mmengine_finds_what_it_would_store_itself(serialize, indices):
    """Length, samples and subsets of a data set, by the methods of mmengine's own."""
    theirs = Plain(serialize_data=serialize, indices=indices)
    ours = Ours(serialize_data=serialize, indices=indices)

    def infos(data):
        return [data.get_data_info(place) for place in range(len(data))]

    assert infos(ours) == infos(theirs)
    assert ours.get_data_info(-2) == theirs.get_data_info(-2)
    for subset in (2, -3, [0, 3, 1]):
        assert infos(ours.get_subset(subset)) == infos(theirs.get_subset(subset))
    assert len(ours) == len(theirs)
    ours.get_subset_(3), theirs.get_subset_(3)
    assert infos(ours) == infos(theirs) and len(ours) == 3
