"""Which candidates get labels next: the selectors of active learning.

Sources: O. Sener and S. Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set
Approach", 2018 (k-centre greedy); C. Lueth et al., "nnActive", 2025, whose code
(https://github.com/MIC-DKFZ/nnActive, Apache-2.0) was read for the foreground-aware random choice
and for ClaSP PE, its follow-up.
Differs from them: nnActive draws patches anywhere around a foreground voxel of the truth; here
candidates are whole images or regions, and one is foreground if the model predicts any in it.
ClaSP PE's noise is drawn once a class for all candidates, and a class whose score is 0 everywhere
passes its share on to the overall ranking.
All are deterministic under a seed; ties are broken by name.
Shape letters: N candidate, K class, D feature, M labelled.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ...core.words import check_choice
from .candidates import Candidates, check_count
from .k_centre import k_centre

FOREGROUND_SHARE = 0.66  # of the picks; nnActive has 33 % as well
CLASS_SHARE = 0.66  # of ClaSP PE's budget, chosen by class
FIRST_BETA, LAST_BETA = 1.0, 100.0  # of its noise, from the first round to the last


def ranked(names: Sequence[str], scores_N: np.ndarray) -> np.ndarray:
    """Positions from the largest score down, ``(N,)``; ties by name."""
    return np.lexsort((np.asarray(names), -np.asarray(scores_N, np.float64)))


def choose_random(
    pool: Candidates, count: int, rng: np.random.Generator, progress: float = 0.0
) -> np.ndarray:
    """Draw without regard to anything."""
    return rng.permutation(len(pool.names))[:count]


def choose_foreground(
    pool: Candidates,
    count: int,
    rng: np.random.Generator,
    progress: float = 0.0,
    *,
    share: float = FOREGROUND_SHARE,
) -> np.ndarray:
    """Draw a share of the picks from candidates with predicted foreground, the rest from all.

    If fewer have any, all of those are taken.
    """
    order = rng.permutation(len(pool.names))
    first = order[pool.has_foreground()[order]][: round(share * count)]
    return _filled(first, order, count)


def choose_top(
    pool: Candidates, count: int, rng: np.random.Generator, progress: float = 0.0
) -> np.ndarray:
    """Take the largest scores."""
    return ranked(pool.names, pool.of('scores'))[:count]


def choose_k_centre(
    pool: Candidates, count: int, rng: np.random.Generator, progress: float = 0.0
) -> np.ndarray:
    """Take, one after the other, the candidate farthest from all that has labels or was taken."""
    features = np.asarray(pool.of('features'), np.float64)
    labelled = pool.labelled_features
    return k_centre(features, features[:0] if labelled is None else labelled, count)


def choose_class_balanced(
    pool: Candidates, count: int, rng: np.random.Generator, progress: float = 0.0
) -> np.ndarray:
    """Take the largest scores after weighting each by the rarity of the classes predicted in it.

    The weight of a candidate is the mean, over its pixels, of the inverse share of their class in
    the whole pool.
    """
    pixels = np.asarray(pool.of('pixels'), np.float64)
    frequency = pixels.sum(0) / max(pixels.sum(), 1)
    rarity = np.divide(1, frequency, out=np.zeros_like(frequency), where=frequency > 0)
    weights = pixels @ rarity / np.maximum(pixels.sum(1), 1)
    return ranked(pool.names, pool.of('scores') * weights)[:count]


def choose_cluster_diverse(
    pool: Candidates, count: int, rng: np.random.Generator, progress: float = 0.0
) -> np.ndarray:
    """Take the largest score of each of ``count`` clusters of features (k-means).

    Where candidates are alike there may be fewer clusters; the largest scores fill up.
    """
    from sklearn.cluster import KMeans

    features = np.asarray(pool.of('features'), np.float64)
    order = ranked(pool.names, pool.of('scores'))
    num = min(count, len(np.unique(features, axis=0)))
    seed = int(rng.integers(2**31))
    labels = KMeans(num, n_init=4, random_state=seed).fit_predict(features)
    firsts = np.unique(labels[order], return_index=True)[1]
    return _filled(order[np.sort(firsts)], order, count)


def choose_clasp(
    pool: Candidates,
    count: int,
    rng: np.random.Generator,
    progress: float = 0.0,
    *,
    share: float = CLASS_SHARE,
) -> np.ndarray:
    """ClaSP PE: a share of the budget split evenly over foreground classes, the rest by entropy.

    A class ranks by entropy times its probability; classes that get one pick more are drawn. All
    scores are perturbed: log s plus Gumbel noise of scale 1 / beta, and beta grows from 1 to 100
    over the rounds.

    Args:
        pool: Candidates; ``scores`` must be entropies.
        count: Picks.
        rng: Source of noise and of the classes' order.
        progress: 0 in the first choice, 1 in the last.
        share: Of the picks that are made by class.
    """
    beta = FIRST_BETA * (LAST_BETA / FIRST_BETA) ** progress
    by_class, classes = pool.of('class_scores'), np.array(pool.foreground())
    classes = rng.permutation(classes)
    whole, rest = divmod(int(share * count), max(len(classes), 1))
    taken: list[int] = []
    for place, k in enumerate(classes):
        order = ranked(pool.names, power_noise(by_class[:, k], beta, rng))
        order = order[(by_class[order, k] > 0) & ~np.isin(order, taken)]
        taken += order[: whole + (place < rest)].tolist()
    overall = ranked(pool.names, power_noise(pool.of('scores'), beta, rng))
    return _filled(np.array(taken, np.int64), overall, count)


def power_noise(scores_N: np.ndarray, beta: float, rng: np.random.Generator) -> np.ndarray:
    """The logarithm of scores plus Gumbel noise of scale 1 / beta; -inf where a score is 0."""
    noise = rng.gumbel(0, 1 / beta, len(scores_N))
    logs = np.full(len(scores_N), -np.inf)
    np.log(scores_N, out=logs, where=np.asarray(scores_N) > 0)
    return logs + noise


def _filled(first: np.ndarray, order: np.ndarray, count: int) -> np.ndarray:
    """The first picks, then those that follow in an order until there are enough."""
    rest = order[~np.isin(order, first)]
    return np.concatenate((first, rest))[:count].astype(np.int64)


Selector = Callable[..., np.ndarray]
SELECTORS: dict[str, Selector] = dict(
    random=choose_random,
    random_foreground=choose_foreground,
    top=choose_top,
    k_centre=choose_k_centre,
    class_balanced=choose_class_balanced,
    cluster_diverse=choose_cluster_diverse,
    clasp_pe=choose_clasp,
)


def choose(
    selector: str, pool: Candidates, count: int, *, seed: int, progress: float = 0.0
) -> list[str]:
    """Choose what gets labels next.

    Args:
        selector: A name of ``SELECTORS``.
        pool: Candidates, in any order; the choice does not depend on it.
        count: How many.
        seed: Of whatever is drawn.
        progress: 0 in the first choice of a series, 1 in the last; ClaSP PE's noise follows it.

    Returns:
        Names, in the order in which they were chosen.

    Raises:
        ValueError: If there is no such selector, the pool is empty or smaller than ``count``, or
            lacks what the selector needs.
    """
    check_choice('selector', selector, SELECTORS)
    check_count(pool.names, count)
    pool = pool.in_order()
    rng = np.random.default_rng(seed)
    taken = SELECTORS[selector](pool, count, rng, progress)
    return [pool.names[index] for index in taken]
