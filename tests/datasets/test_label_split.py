"""Which images keep their labels: shares of classes and sequences, nested; the committed lists."""

import sys
from fractions import Fraction

import numpy as np
import pytest
from support.paths import ROOT
from support.tools import load_tool
from support.user_folder import write_folder

from mmseg_ext.datasets.folder import read_list
from mmseg_ext.datasets.label_split import (
    choose_labelled,
    nested_splits,
    quotas,
    read_published_list,
)

SPLITS = ROOT / 'configs/_base_/splits/camvid'
SIZES = {'1_16': 23, '1_8': 46, '1_4': 92, '1_2': 184}


def present(seed=0, number=400):
    shares = np.array([1.0, 0.5, 0.2, 0.05, 0.0])
    return np.random.default_rng(seed).random((number, 5)) < shares


@pytest.mark.parametrize('seed', range(3))
def test_every_class_has_its_share_and_a_rare_one_is_there(seed):
    classes = present(seed)
    classes[:, 3] = False
    classes[17, 3] = True
    chosen = choose_labelled(classes, 40, seed=seed)
    assert len(set(chosen)) == 40 and chosen == sorted(chosen)
    assert 17 in chosen
    difference = classes[chosen].mean(0) - classes.mean(0)
    assert np.abs(difference).max() < 0.03


def test_the_seed_decides_and_repeats():
    found = [choose_labelled(present(), 40, seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_sequences_give_their_share():
    groups = ['a'] * 250 + ['b'] * 100 + ['c'] * 50
    assert quotas(np.array(groups), 42) == dict(a=26, b=11, c=5)  # 26.25, 10.5, 5.25
    chosen = choose_labelled(present(), 42, groups=groups)
    assert [sum(groups[k] == name for k in chosen) for name in 'abc'] == [26, 11, 5]


def test_smaller_lists_are_parts_of_larger_ones():
    found = nested_splits(present(), [Fraction(1, 8), Fraction(1, 2), Fraction(1, 4)])
    assert [len(found[Fraction(1, k)]) for k in (2, 4, 8)] == [200, 100, 50]
    assert set(found[Fraction(1, 8)]) < set(found[Fraction(1, 4)]) < set(found[Fraction(1, 2)])


@pytest.mark.parametrize('count', [0, 401])
def test_more_labels_than_images(count):
    with pytest.raises(ValueError, match=f'{count} images of 400 cannot be chosen'):
        choose_labelled(present(), count)


@pytest.mark.parametrize(
    'fraction, words', [('3/2', 'between 0 and 1'), ('1/1000', '1/1000 of 400 images is none')]
)
def test_shares_out_of_range(fraction, words):
    with pytest.raises(ValueError, match=words):
        nested_splits(present(), [Fraction(fraction)])


@pytest.mark.parametrize(
    'text',
    [
        'JPEGImages/2007_000032.jpg SegmentationClass/2007_000032.png\n'
        'JPEGImages/2007_000039.jpg SegmentationClass/2007_000039.png',
        '2007_000032\n2007_000039',
        '2007_000032\r\n2007_000039\r\n',
    ],
)
def test_published_lists_end_without_a_newline(tmp_path, text):
    (tmp_path / 'labeled.txt').write_bytes(text.encode())
    assert read_published_list(tmp_path / 'labeled.txt') == ['2007_000032', '2007_000039']


def test_the_lists_of_camvid_are_nested_disjoint_and_by_sequence():
    labelled = {name: read_list(SPLITS / f'labelled_{name}.txt') for name in SIZES}
    others = {name: read_list(SPLITS / f'unlabelled_{name}.txt') for name in SIZES}
    assert {name: len(stems) for name, stems in labelled.items()} == SIZES
    everything = set(labelled['1_2']) | set(others['1_2'])
    assert len(everything) == 367
    for name in SIZES:
        assert set(labelled[name]).isdisjoint(others[name])
        assert set(labelled[name]) | set(others[name]) == everything
        assert len(labelled[name]) == len(set(labelled[name]))
    nested = [set(labelled[name]) for name in SIZES]
    assert nested[0] < nested[1] < nested[2] < nested[3]
    sequences = [stem.split('_')[0] for stem in labelled['1_8']]
    assert {name: sequences.count(name) for name in set(sequences)} == {
        '0001TP': 8, '0006R0': 13, '0016E5': 25}  # fmt: skip


def test_the_tool_on_a_users_data(tmp_path, tiny_config, monkeypatch, capsys):
    tool = load_tool('make_label_split')
    folder = write_folder(tmp_path / 'user')
    arguments = ['split', str(tiny_config), '--dataset', str(folder / 'mine.yml')]
    arguments += ['--out', str(tmp_path / 'lists')]
    monkeypatch.setattr(sys, 'argv', [*arguments, '--fractions', '1/3', '2/3'])
    tool.main()
    lists = {path.stem: read_list(path) for path in (tmp_path / 'lists').iterdir()}
    assert {name: len(stems) for name, stems in lists.items()} == dict(
        labelled_1_3=2, unlabelled_1_3=4, labelled_2_3=4, unlabelled_2_3=2
    )
    assert set(lists['labelled_1_3']) | set(lists['unlabelled_1_3']) == set('012345')
    assert 'labelled_1_3.txt: 2 images' in capsys.readouterr().out
    (tmp_path / 'labeled.txt').write_text('images/4.png masks/4.png\nimages/1.png masks/1.png')
    monkeypatch.setattr(sys, 'argv', [*arguments, '--labelled', str(tmp_path / 'labeled.txt')])
    tool.main()
    assert read_list(tmp_path / 'lists/labelled_labeled.txt') == ['1', '4']
    assert read_list(tmp_path / 'lists/unlabelled_labeled.txt') == ['0', '2', '3', '5']


@pytest.mark.parametrize(
    'given, words',
    [
        (['--fractions', '1/0'], "'1/0' is no share such as 1/8"),
        (['--fractions', '2'], 'between 0 and 1'),
        (['--sequence', '(x)'], "finds no group in '0'"),
    ],
)
def test_mistakes_of_the_tool(tmp_path, tiny_config, monkeypatch, given, words):
    tool = load_tool('make_label_split')
    folder = write_folder(tmp_path / 'user')
    arguments = ['split', str(tiny_config), '--dataset', str(folder / 'mine.yml')]
    monkeypatch.setattr(sys, 'argv', [*arguments, '--out', str(tmp_path / 'lists'), *given])
    with pytest.raises(SystemExit, match=f'error: .*{words}'):
        tool.main()
    assert not (tmp_path / 'lists').exists()
