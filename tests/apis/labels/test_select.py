"""Selectors against hand-made pools and a brute force."""

import numpy as np
import pytest

from mmseg_ext.apis.labels.candidates import Candidates
from mmseg_ext.apis.labels.k_centre import k_centre
from mmseg_ext.apis.labels.select import SELECTORS, choose, power_noise, ranked


def make_pool(n=30, *, seed=0, classes=4):
    random = np.random.default_rng(seed)
    return Candidates(
        names=tuple(f'image{index:03d}' for index in range(n)),
        scores=random.random(n),
        pixels=random.integers(1, 100, (n, classes)),
        class_scores=random.random((n, classes)),
        features=random.normal(size=(n, 8)),
        labelled_features=random.normal(size=(3, 8)),
        background=0,
    )


def brute_force(features, labelled, count):
    """k-centre greedy with a loop for everything."""
    centers = [np.asarray(c, np.float64) for c in labelled]
    taken = []
    for _ in range(count):
        best, place = -1.0, -1
        for index, point in enumerate(features):
            if index in taken:
                continue
            distance = min(np.linalg.norm(point - center) for center in centers)
            if distance > best + 1e-9:
                best, place = distance, index
        taken.append(place)
        centers.append(features[place])
    return taken


@pytest.mark.parametrize('name', sorted(SELECTORS))
def test_a_choice_repeats_and_does_not_depend_on_the_order(name):
    pool = make_pool()
    first = choose(name, pool, 10, seed=3, progress=0.5)
    assert len(set(first)) == 10
    assert choose(name, pool, 10, seed=3, progress=0.5) == first
    order = np.random.default_rng(1).permutation(30)
    shuffled = Candidates(
        names=tuple(pool.names[index] for index in order),
        **{key: getattr(pool, key)[order] for key in ('scores', 'pixels', 'class_scores',
                                                      'features')},
        labelled_features=pool.labelled_features, background=0)  # fmt: skip
    assert choose(name, shuffled, 10, seed=3, progress=0.5) == first
    assert sorted(choose(name, pool, 30, seed=3)) == list(pool.names)


@pytest.mark.parametrize('name', ['random', 'random_foreground', 'clasp_pe'])
def test_another_seed_draws_others(name):
    pool = make_pool()
    assert len({tuple(choose(name, pool, 10, seed=seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize('name', sorted(SELECTORS))
@pytest.mark.parametrize(
    ('n', 'count', 'text'),
    [(0, 1, 'the pool is empty'), (30, 31, '31 labels are asked for, and 30'), (30, 0, '0 labels')],
)
def test_what_cannot_be_chosen_is_one_line(name, n, count, text):
    with pytest.raises(ValueError, match=text) as caught:
        choose(name, make_pool(n), count, seed=0)
    assert '\n' not in str(caught.value)


def test_other_bad_input_is_one_line():
    with pytest.raises(ValueError, match="selector must be 'random'.*got 'entropi'"):
        choose('entropi', make_pool(), 1, seed=0)
    with pytest.raises(ValueError, match='needs the scores'):
        choose('top', Candidates(names=('a',)), 1, seed=0)
    with pytest.raises(ValueError, match='scores of b are not finite'):
        choose('top', Candidates(names=('a', 'b'), scores=np.array([1, np.nan])), 1, seed=0)
    with pytest.raises(ValueError, match='named twice'):
        choose('random', Candidates(names=('a', 'a')), 1, seed=0)


def test_top_takes_the_largest_and_ties_go_by_name():
    pool = Candidates(names=('d', 'b', 'a', 'c'), scores=np.array([1.0, 2.0, 1.0, 1.0]))
    assert choose('top', pool, 3, seed=0) == ['b', 'a', 'c']
    assert ranked(['z', 'y'], np.array([0.5, 0.5])).tolist() == [1, 0]


def test_a_share_of_the_picks_has_foreground():
    pixels = np.zeros((100, 2), np.int64)
    pixels[:, 0] = 9
    pixels[40:50, 1] = 1
    pool = Candidates(
        names=tuple(f'{index:03d}' for index in range(100)), pixels=pixels, background=0
    )
    for seed in range(20):
        chosen = [int(name) for name in choose('random_foreground', pool, 12, seed=seed)]
        assert sum(40 <= index < 50 for index in chosen) >= 8  # 0.66 x 12, the rest from all
    scarce = choose('random_foreground', pool, 60, seed=0)  # 40 wanted, ten there are
    assert {f'{index:03d}' for index in range(40, 50)} <= set(scarce)
    assert len(scarce) == 60
    drawn = [choose('random_foreground', pool, 10, seed=s)[0] for s in range(200)]
    assert len(set(drawn)) == 10  # each of the ten comes first at times


@pytest.mark.parametrize('seed', range(8))
def test_k_centre_equals_a_brute_force(seed):
    random = np.random.default_rng(seed)
    features = random.normal(size=(40, 5)) + 1000
    labelled = random.normal(size=(random.integers(1, 4), 5)) + 1000
    assert k_centre(features, labelled, 15).tolist() == brute_force(features, labelled, 15)


def test_k_centre_equals_a_brute_force_in_tight_clusters():
    """Where most distances change with each pick."""
    random = np.random.default_rng(0)
    middles = random.normal(size=(4, 6)) * 50
    features = middles[random.integers(0, 4, 120)] + random.normal(size=(120, 6))
    expected = brute_force(features, features[:1], 90)
    assert k_centre(features, features[:1], 90).tolist() == expected


def test_k_centre_without_labels_starts_in_the_middle():
    line = np.array([[0.0], [1.0], [4.0], [5.0], [10.0]])  # their mean is 4
    assert k_centre(line, line[:0], 3).tolist() == [2, 4, 0]


def test_k_centre_takes_each_of_those_that_are_alike_once():
    same = np.ones((6, 3))
    assert sorted(k_centre(same, same[:1], 6).tolist()) == list(range(6))


def test_rare_classes_weigh_more():
    pixels = np.array([[100, 0, 0], [0, 90, 10], [0, 100, 0], [90, 10, 0]])
    pool = Candidates(names=tuple('abcd'), scores=np.ones(4), pixels=pixels)
    # shares: 190/400, 200/400, 10/400; weights 2.105, 5.8, 2.0, 2.095
    assert choose('class_balanced', pool, 4, seed=0) == ['b', 'a', 'd', 'c']


def test_each_cluster_gives_its_most_unsure():
    features = np.array([[0, 0], [0, 1], [50, 0], [50, 1], [0, 90], [1, 90]], np.float64)
    pool = Candidates(
        names=tuple('abcdef'), features=features, scores=np.array([0.9, 0.8, 0.1, 0.2, 0.4, 0.3])
    )
    assert choose('cluster_diverse', pool, 3, seed=0) == ['a', 'e', 'd']
    same = Candidates(names=tuple('abc'), features=np.ones((3, 2)), scores=np.arange(3.0))
    assert choose('cluster_diverse', same, 2, seed=0) == ['c', 'b']


def test_clasp_splits_its_budget_over_foreground_classes():
    """Two foreground classes, each strong in five candidates; without noise to speak of."""
    n = 40
    by_class = np.full((n, 3), 1e-9)
    by_class[0:5, 1] = by_class[5:10, 2] = 1.0
    entropies = np.full(n, 1e-9)
    entropies[10:20] = 1.0
    pool = Candidates(
        names=tuple(f'{index:02d}' for index in range(n)),
        scores=entropies, class_scores=by_class, pixels=np.ones((n, 3)), background=0)  # fmt: skip
    chosen = np.array([int(name) for name in choose('clasp_pe', pool, 10, seed=0, progress=1.0)])
    groups = [((chosen >= low) & (chosen < low + 5)).sum() for low in (0, 5, 10, 15)]
    assert groups[0] == groups[1] == 3  # int(0.66 x 10) = 6 over two classes
    assert groups[2] + groups[3] == 4
    seven = np.array([int(name) for name in choose('clasp_pe', pool, 11, seed=0, progress=1.0)])
    assert sorted([(seven < 5).sum(), ((seven >= 5) & (seven < 10)).sum()]) == [3, 4]


def test_the_noise_of_clasp_decays():
    logs = np.log(np.linspace(0.1, 1, 50))
    for beta, spread in ((1.0, 1.28), (100.0, 0.0128)):  # pi / sqrt(6) / beta
        drawn = [
            power_noise(np.exp(logs), beta, np.random.default_rng(seed)) - logs
            for seed in range(200)
        ]
        assert np.std(drawn) == pytest.approx(spread, rel=0.05)
    assert power_noise(np.array([0.0, 1.0]), 1, np.random.default_rng(0))[0] == -np.inf
    pool = make_pool(200)
    late = choose('clasp_pe', pool, 20, seed=1, progress=1.0)
    early = choose('clasp_pe', pool, 20, seed=1)

    def overlap(chosen):
        other = choose('clasp_pe', pool, 20, seed=2, progress=1.0)
        return len(set(chosen) & set(other))

    assert overlap(late) > overlap(early)


def test_a_class_that_is_nowhere_leaves_its_share_to_the_others():
    pool = make_pool(10)
    by_class = pool.class_scores.copy()
    by_class[:, 1:] = 0
    empty = Candidates(pool.names, pool.scores, pool.pixels, by_class, background=0)
    assert len(set(choose('clasp_pe', empty, 6, seed=0))) == 6
