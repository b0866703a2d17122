"""Folds: disjoint, complete, by patient, independent of the order, equal for equal seeds."""

import random
import tracemalloc

import numpy as np
import pytest
from sklearn import model_selection
from sklearn.model_selection import GroupKFold, KFold

from mmseg_ext.datasets.kfold import check_fold, split_folds, splitter_name

IDS = [f'slice_{i:03d}' for i in range(53)]
GROUPS = [f'patient_{i * 7 % 11}' for i in range(53)]  # 11 patients with 4 or 5 slices each
LABELS = [i % 3 == 0 for i in range(53)]
KINDS = {
    'KFold': {},
    'GroupKFold': dict(groups=GROUPS),
    'StratifiedKFold': dict(labels=LABELS),
    'StratifiedGroupKFold': dict(groups=GROUPS, labels=LABELS),
}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('num_folds', [2, 5, 11])
def test_folds_are_disjoint_and_complete(kind, num_folds):
    folds = split_folds(IDS, num_folds=num_folds, **KINDS[kind])
    assert len(folds) == num_folds
    assert sorted(name for _, val in folds for name in val) == IDS
    for train, val in folds:
        assert val and sorted(train + val) == IDS
        assert train == sorted(train) and val == sorted(val)


@pytest.mark.parametrize('kind', KINDS)
def test_same_seed_same_folds_whatever_the_order(kind):
    given = KINDS[kind]
    order = list(range(len(IDS)))
    random.Random(4).shuffle(order)
    shuffled = split_folds(
        [IDS[i] for i in order],
        num_folds=5,
        split_seed=0,
        **{key: [values[i] for i in order] for key, values in given.items()},
    )
    assert shuffled == split_folds(IDS, num_folds=5, split_seed=0, **given)
    other = split_folds(IDS, num_folds=5, split_seed=1, **given)
    assert other != shuffled


def by_texts(ids, num_folds, split_seed, groups=None, labels=None) -> list:
    """The lists of scikit-learn's splitters, given the groups and sorted labels as texts."""
    order = np.argsort(np.array(ids))
    names = np.array(ids)[order]
    groups = None if groups is None else np.array(groups)[order]
    labels = None if labels is None else np.array([repr(label) for label in labels])[order]
    kind = splitter_name(grouped=groups is not None, stratified=labels is not None)
    splitter = getattr(model_selection, kind)(num_folds, shuffle=True, random_state=split_seed)
    places = splitter.split(names, labels, groups)
    return [(names[train].tolist(), names[val].tolist()) for train, val in places]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('seed', range(5))
def test_folds_are_those_of_lists_of_texts(kind, seed):
    """As they were recorded by earlier versions, which kept a list of texts for each fold."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(40, 90))
    ids = rng.permutation([f'é{n}/slice_{n}' for n in range(count)]).tolist()
    given = dict(
        groups=[f'p{n}' for n in rng.integers(0, 20, count)],
        labels=rng.choice(['a', 'bb', 'c'], count).tolist(),
    )
    given = {key: given[key] for key in KINDS[kind]}
    folds = split_folds(ids, num_folds=4, split_seed=seed, **given)
    assert list(folds) == by_texts(ids, 4, seed, **given)
    assert folds[-1] == folds[3] and folds[1:3] == list(folds)[1:3]
    with pytest.raises(IndexError):
        folds[4]


def test_folds_share_their_names():
    """One number for each id, whatever the number of folds."""
    held = []
    for count in (10_000, 20_000):
        ids = [f'{number:07d}' for number in range(count)]
        split_folds(ids[:10], num_folds=5)
        tracemalloc.start()
        folds = split_folds(ids, num_folds=5)
        held.append(tracemalloc.get_traced_memory())
        tracemalloc.stop()
        assert folds.names[0] is ids[0]
    now, peak = np.subtract(held[1], held[0]) / 10_000
    assert now < 16 and peak < 60  # a list of texts for each fold takes 400


@pytest.mark.parametrize('kind', ['GroupKFold', 'StratifiedGroupKFold'])
def test_a_patient_is_never_divided(kind):
    patient = dict(zip(IDS, GROUPS))
    for train, val in split_folds(IDS, num_folds=5, **KINDS[kind]):
        assert not {patient[name] for name in train} & {patient[name] for name in val}


def test_the_folds_are_scikit_learn_s():
    number = {name: index for index, name in enumerate(IDS)}
    ours = [[number[name] for name in val] for _, val in split_folds(IDS, num_folds=5)]
    theirs = KFold(5, shuffle=True, random_state=0).split(IDS)
    assert ours == [val.tolist() for _, val in theirs]
    ours = [[number[n] for n in val] for _, val in split_folds(IDS, num_folds=5, groups=GROUPS)]
    theirs = GroupKFold(5, shuffle=True, random_state=0).split(IDS, groups=GROUPS)
    assert ours == [val.tolist() for _, val in theirs]


def test_sizes_and_shares():
    assert sorted(len(val) for _, val in split_folds(IDS, num_folds=5)) == [10, 10, 11, 11, 11]
    label = dict(zip(IDS, LABELS))
    # 18 of 53 carry the label: 3 or 4 in each of 5 folds, which chance alone rarely gives.
    folds = split_folds(IDS, num_folds=5, labels=LABELS)
    assert sorted(sum(label[name] for name in val) for _, val in folds) == [3, 3, 4, 4, 4]


def test_folds_are_pinned():
    """Other folds of the same sizes would make old results incomparable."""
    folds = split_folds([f'{i:02d}' for i in range(12)], num_folds=4)
    assert [val for _, val in folds] == [
        ['04', '06', '11'], ['02', '08', '10'], ['01', '07', '09'], ['00', '03', '05']
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(num_folds=1), 'at least 2, got 1'),
        (dict(num_folds=54), '53 ids cannot make 54 folds: give num_folds of at most 53'),
        (dict(groups=['a', 'b'] * 26 + ['a']), '2 groups cannot make 5 folds'),
        (dict(groups=['a', 'b']), '2 groups for 53 ids'),
        (dict(labels=IDS), r'no label has as many as 5 ids \(the most common has 1\)'),
        (dict(ids=[*IDS[:52], IDS[0]]), "1 ids come twice, such as 'slice_000'"),
    ],
)
def test_mistakes_say_what_to_give(changes, message):
    with pytest.raises(ValueError, match=message):
        split_folds(**dict(dict(ids=IDS, num_folds=5), **changes))


@pytest.mark.parametrize('fold', [-1, 5])
def test_fold_out_of_range(fold):
    with pytest.raises(ValueError, match=f'fold {fold} is out of range.*the folds 0 to 4'):
        check_fold(fold, 5)
    check_fold(4, 5)
    with pytest.raises(ValueError, match='at least 2, got 1'):
        check_fold(0, 1)


def test_an_empty_fold_is_an_error():
    """Stratifying a few unequal groups may give a fold no group at all; this seed does."""
    groups = ['a'] * 2 + ['b'] * 5 + ['c'] * 10 + ['d'] * 4
    labels = [group in 'bc' for group in groups]
    ids = [f'{i:03d}' for i in range(21)]
    with pytest.raises(ValueError, match='fold 2 of 4 would hold out nothing'):
        split_folds(ids, num_folds=4, split_seed=1784, groups=groups, labels=labels)
    folds = split_folds(ids, num_folds=4, split_seed=1784, groups=groups)  # one of the cures
    assert sorted(len(val) for _, val in folds) == [2, 4, 5, 10]


def test_names_of_the_splitters():
    names = {splitter_name(grouped='groups' in g, stratified='labels' in g) for g in KINDS.values()}
    assert names == set(KINDS)
