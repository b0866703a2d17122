"""What rounds of active learning say together: area under the budget curve, and paired tests.

Source: C. Lueth et al., "nnActive", 2025, which compares areas under the budget curve by pairwise
tests with Holm's correction.
Differs from it: the tests are exact permutations over seeds in place of Student's t. The smallest
p of n seeds is 2 / 2**n, so that fewer than six seeds show no difference at 5 %.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

from ...evaluation.paired import MAX_EXACT, all_swaps, drawn_swaps, holm

NUM_DRAWS = 10_000
_TIE = 1e-12
_LEVEL = 0.05

Curve = Sequence[tuple[float, float]]  # share that has labels, score


def area(curve: Curve) -> Optional[float]:
    """Mean height of a curve between its ends (trapezoids); ``None`` of fewer than two points."""
    if len(curve) < 2:
        return None
    x, y = np.array(sorted(curve), np.float64).T
    return float(((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2).sum() / (x[-1] - x[0]))


def swap_p(differences_N: Sequence[float]) -> Optional[float]:
    """Share of swaps whose mean difference is at least as large, two-sided.

    Args:
        differences_N: Of two strategies with the same seed, for each seed; ``None`` of none.
    """
    values = np.asarray(differences_N, np.float64)
    if not len(values):
        return None
    found = abs(values.mean())
    exact = len(values) <= MAX_EXACT
    swaps = np.concatenate(
        list(all_swaps(len(values)) if exact else drawn_swaps(len(values), NUM_DRAWS, 0))
    )
    larger = int((np.abs((1 - 2 * swaps) @ values / len(values)) >= found - _TIE).sum())
    return larger / len(swaps) if exact else (larger + 1) / (len(swaps) + 1)


def compare(areas: Mapping[str, Mapping[int, float]]) -> list[dict[str, Any]]:
    """Compare all pairs of strategies on the seeds that both have.

    Args:
        areas: Strategy to seed to area.

    Returns:
        For each pair the names, seeds, mean difference (first minus second), p, and p by Holm.
    """
    pairs: list[dict[str, Any]] = []
    for one, other in itertools.combinations(areas, 2):
        seeds = sorted(set(areas[one]) & set(areas[other]))
        differences = [areas[one][seed] - areas[other][seed] for seed in seeds]
        mean = float(np.mean(differences)) if seeds else None
        pairs.append(
            dict(first=one, second=other, seeds=seeds, difference=mean, p=swap_p(differences))
        )
    for pair, adjusted in zip(pairs, holm([pair['p'] for pair in pairs])):
        pair['p_holm'] = adjusted
    return pairs


def verdict(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Say what the tests can show, in a sentence."""
    if not pairs:
        return 'one strategy: nothing to compare'
    most = max(len(pair['seeds']) for pair in pairs)
    if not most or 2 / 2**most >= _LEVEL:
        seeds = 'one seed shows' if most == 1 else f'{most} seeds show'
        return (
            f'{seeds} no difference at 5 %, however large it is (the smallest p is '
            f'{2 / 2 ** max(most, 1):g}): six are needed'
        )
    shown = [p for p in pairs if p['p_holm'] is not None and p['p_holm'] < _LEVEL]
    if not shown:
        return f'no pair of {len(pairs)} differs at 5 % after Holm, over {most} seeds'
    better = (
        f'{p["first"]} and {p["second"]} differ by {100 * p["difference"]:+.2f}' for p in shown
    )
    return '; '.join(better) + f' (5 % after Holm, {most} seeds)'
