"""Simulate tests of known truth: how often intervals hold it, how often a difference is found.

Each set has n units with counts of five classes. Units differ in how hard they are, models in what
they make of a unit; all models have the same true score, so every difference that is found is a
false one. A unit is an image, or a group of 1 to 9 images that are alike. The last class is in
every unit, or in a tenth of them (in one at least). What is simulated here for many sets at once
is compared with mmseg_ext.evaluation.intervals and .paired on the first sets of every line. A
second table is about the calibration error of models that are too sure, by so much on the logit.

    python tools/dev/interval_simulation.py
"""

import argparse
import sys
import time
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, stdtrit

from mmseg_ext.evaluation.calibration_metric import calibration_error, calibration_interval
from mmseg_ext.evaluation.intervals import score_intervals
from mmseg_ext.evaluation.paired import (
    MAX_EXACT,
    all_swaps,
    drawn_swaps,
    holm,
    paired_difference,
)

UNITS = (3, 5, 8, 20, 40, 200)
NUM_ROWS = 5  # a baseline and four rows that are tested against it
NUM_DRAWS = 999  # of swaps, where the package draws 10,000
CHECKED = 3  # sets of a line that the package scores, too
LEAST_COVERAGE, MOST_FALSE = 91, 6
BASE = np.array([1.5, 0.8, 0.3, -0.2, 0.5])  # logit of each class's recall
SIZE = np.array([6.0, 3.0, 2.0, 1.0, 1.0])  # of each class, relative
PIXELS = 1000
NUM_BINS = 15


class Line(NamedTuple):
    """What one line of the table shows; shares in per cent."""

    coverage: float
    of_class: float
    of_difference: float
    false: float
    false_holm: float


def draw(rng, shape, *, has, rows, grouped):
    """Draw counts of units.

    Args:
        rng: Generator.
        shape: Sets and units.
        has: Whether a unit has the last class, bool of that shape.
        rows: Models, which see the same units.
        grouped: Whether a unit is a group of images.

    Returns:
        int64 ``(rows, sets, units, 3, K)``: tp, pred and label.
    """
    sizes = rng.integers(1, 10, shape) if grouped else np.ones(shape, int)
    common = rng.normal(0, 0.6 if grouped else 0, (*shape, 1))
    total = np.zeros((rows, *shape, 3, len(BASE)), np.int64)
    for image in range(sizes.max()):
        label = SIZE * rng.lognormal(0, 0.7, (*shape, len(BASE)))
        label[..., -1] *= has
        label *= (image < sizes)[..., None]
        hardness = common + rng.normal(0, 0.5 if grouped else 0.8, (*shape, 1))
        noise = rng.normal(0, 0.5, (rows, *shape, len(BASE)))
        tp = label * expit(BASE + hardness + noise)
        where = SIZE * rng.gamma(
            1, 1, (rows, *shape, len(BASE))
        )  # what missed pixels are taken for
        where[..., -1] *= np.where(has, 1, 0.1)
        wrong = (label - tp).sum(-1, keepdims=True) * where / where.sum(-1, keepdims=True)
        counts = np.stack([tp, tp + wrong, np.broadcast_to(label, tp.shape)], -2)
        total += np.round(PIXELS * counts).astype(np.int64)
    return total


def having(rng, shape, rare):
    """Draw which units have the last class: all, or as near to a tenth as their number allows."""
    if not rare:
        return np.ones(shape, bool)
    order = rng.random(shape).argsort(1).argsort(1)
    return order < max(1, round(shape[1] / 10))


def iou_of(sums):
    """IoU of each class, ``(..., K)``, from sums ``(..., 3, K)``."""
    tp, pred, label = np.moveaxis(sums, -2, 0)
    return tp / (pred + label - tp)


def influences(rows):
    """Influence of each unit on each class's IoU, ``(..., units, K)``, by the printed formula."""
    tp, pred, label = np.moveaxis(rows.astype(np.float64), -2, 0)
    union = pred + label - tp
    total_tp, total = (part.sum(-2, keepdims=True) for part in (tp, union))
    return (tp * total - total_tp * union) / total**2


def mean_error(influence, labelled):
    """Standard error of a mean over classes, ``(...)``; see ``influence.py`` for rare classes."""
    n, k = influence.shape[-2:]
    bessel = labelled / np.maximum(labelled - 1, 1)
    factor = np.sqrt(bessel / (n / (n - 1)))
    square = ((influence * factor[..., None, :]).mean(-1) ** 2).sum(-1) * n / (n - 1)
    of_one = labelled * bessel * (influence**2).sum(-2)
    seen = labelled > 1
    typical = (of_one * seen).sum(-1) / np.maximum(seen.sum(-1), 1)
    return np.sqrt(square + (~seen).sum(-1) * typical / k**2)


def holds(score, error, units, truth):
    """Whether Student's t on the logit of a score holds the truth; NaN without an interval."""
    reach = stdtrit(np.maximum(units - 1, 1), 0.975) * error / (score * (1 - score))
    inside = np.abs(logit(truth) - logit(score)) <= reach
    return np.where(units < 3, np.nan, inside)


def permutation_p(ours, theirs):
    """P of each set; ``(sets, units, 3, K)`` each."""
    sets, n = ours.shape[:2]
    change = (ours - theirs).reshape(sets, n, -1).astype(np.float64)
    ends = [rows.sum(1).reshape(sets, 1, -1) for rows in (ours, theirs)]
    exact = n <= MAX_EXACT

    def differences(moved):
        pair = (end + sign * moved for end, sign in zip(ends, (-1, 1)))
        one, two = (
            iou_of(part.reshape(*part.shape[:2], *ours.shape[2:])).mean(-1) for part in pair
        )
        return np.abs(one - two)

    found, larger, made = differences(np.zeros((sets, 1, change.shape[-1]))), np.zeros(sets), 0
    for swaps in all_swaps(n) if exact else drawn_swaps(n, NUM_DRAWS, 0):
        larger += (differences(swaps @ change) >= found - 1e-12).sum(1)
        made += len(swaps)
    return larger / made if exact else (larger + 1) / (made + 1)


def true_iou(units, *, rare, grouped, seed=1, sets=4000):
    """IoU of each class over very many units."""
    rng = np.random.default_rng(seed)
    shape = (max(1, 200_000 // units), units)
    shape = (min(sets * 10, shape[0]), units)
    rows = draw(rng, shape, has=having(rng, shape, rare), rows=1, grouped=grouped)
    return iou_of(rows[0].sum((0, 1)))


def simulate(units, *, rare, grouped, sets, seed=0):
    """Simulate sets of one kind.

    Returns:
        A :class:`Line`: how often the interval of the mean IoU, of the IoU of the last class and
        of a difference hold the truth, and how often a difference is found at 5 %, of
        single rows and of any of four after Holm's correction.
    """
    rng, truth = np.random.default_rng(seed), true_iou(units, rare=rare, grouped=grouped)
    found = []
    for start in range(0, sets, 100):
        shape = (min(100, sets - start), units)
        has = having(rng, shape, rare)
        rows = draw(rng, shape, has=has, rows=NUM_ROWS, grouped=grouped)
        labelled = (rows[0, :, :, 2] > 0).sum(1)
        iou, influence = iou_of(rows.sum(2)), influences(rows)
        score = iou.mean(-1)
        covered = holds(score[0], mean_error(influence[0], labelled), units, truth.mean())
        bessel = labelled / np.maximum(labelled - 1, 1)
        of_class = np.sqrt(bessel * (influence[0] ** 2).sum(1))[:, -1]
        class_covered = holds(iou[0, :, -1], of_class, labelled[:, -1], truth[-1])
        error = mean_error(influence[1] - influence[0], labelled)
        reach = stdtrit(units - 1, 0.975) * error
        p = np.stack([permutation_p(row, rows[0]) for row in rows[1:]], 1)
        family = np.array([min(value for value in holm(row) if value is not None) for row in p])
        found.append(
            np.stack(
                [
                    covered,
                    class_covered,
                    np.abs(score[1] - score[0]) <= reach,
                    (p < 0.05).mean(1),
                    family < 0.05,
                ]
            )
        )
        if not start:
            _check(rows, score, mean_error(influence[0], labelled), error, p)
    known = np.concatenate(found, 1)
    with np.errstate(invalid='ignore'):
        return Line(*(100 * np.nansum(known, 1) / (~np.isnan(known)).sum(1)))


def _check(rows, score, error, error_of_difference, p):
    """Compare with what the package computes; a line is worth nothing if it is another number."""
    for index in range(min(CHECKED, rows.shape[1])):
        units = rows.shape[2]
        low, high = score_intervals(rows[0, index]).means['mIoU']
        reach = stdtrit(units - 1, 0.975) * error[index]
        ends = logit(score[0, index]) + np.array([-1, 1]) * reach / (
            score[0, index] * (1 - score[0, index])
        )
        np.testing.assert_allclose([low, high], expit(ends), atol=1e-9)
        pair = paired_difference([rows[1, index]], [rows[0, index]], num_draws=NUM_DRAWS)
        reach = stdtrit(units - 1, 0.975) * error_of_difference[index]
        np.testing.assert_allclose((pair.high - pair.low) / 2, reach, atol=1e-9)
        np.testing.assert_allclose(pair.p, p[index, 0], atol=1e-12)


def draw_histograms(rng, shape, *, gap, spread):
    """Draw confidence histograms ``(sets, units, 3, M)`` of units.

    Args:
        rng: Generator.
        shape: Sets and units.
        gap: How much too sure the model is, on the logit.
        spread: Standard deviation of that between units.
    """
    confidence = (np.arange(NUM_BINS) + 0.5) / NUM_BINS
    common = rng.normal(0, spread, (*shape, 1)) + rng.normal(0, spread / 3, (*shape, NUM_BINS))
    count = np.exp(3 * confidence + rng.normal(0, 0.5, (*shape, NUM_BINS)))
    right = count * expit(logit(confidence) - gap + common)
    return np.stack([count, right, count * confidence], 2)


@cache
def true_error(gap, spread):
    """ECE over very many units."""
    histograms = draw_histograms(np.random.default_rng(1), (1, 200_000), gap=gap, spread=spread)
    return float(calibration_error(histograms[0].sum(0)))


def simulate_calibration(units, *, gap, spread, sets, seed=0):
    """Give the share of sets, in per cent, whose interval of the ECE holds the true one."""
    rng, truth, held = np.random.default_rng(seed), true_error(gap, spread), 0
    for histograms in draw_histograms(rng, (sets, units), gap=gap, spread=spread):
        low, high = calibration_interval(histograms)
        held += low <= truth <= high
    return 100 * held / sets


def calibration_table(sets, seed):
    """Print how often the interval of the ECE holds the truth; returns the lines that fail."""
    head = ('too sure by', 'units differ by', *(f'n = {units}' for units in UNITS))
    print('| ' + ' | '.join(head) + ' |\n|' + ' --- |' * len(head))
    shares = []
    for gap in (0.0, 0.3, 1.0):
        for spread in (0.3, 0.8):
            line = [
                simulate_calibration(units, gap=gap, spread=spread, sets=sets, seed=seed)
                for units in UNITS
            ]
            cells = [f'{gap:g}', f'{spread:g}', *(f'{share:.1f}' for share in line)]
            print('| ' + ' | '.join(cells) + ' |', flush=True)
            shares += line
    fails = sum(share < LEAST_COVERAGE for share in shares)
    print(
        f'\nECE, {sets} sets a cell, seed {seed}; lowest coverage {min(shares):.1f} %; {fails} of '
        f'{len(shares)} cells below {LEAST_COVERAGE} %'
    )
    return fails


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--sets', type=int, default=2000, help='of each line; default 2000')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    start = time.time()
    head = (
        'unit', 'last class in', 'n', 'interval of mIoU', 'of the last class', 'of a difference',
        'false differences', 'any of 4, Holm',
    )  # fmt: skip
    print('| ' + ' | '.join(head) + ' |\n|' + ' --- |' * len(head))
    lines = []
    for grouped in (False, True):
        for rare in (False, True):
            for units in UNITS:
                line = simulate(units, rare=rare, grouped=grouped, sets=args.sets, seed=args.seed)
                lines.append(line)
                cells = ['–' if np.isnan(share) else f'{share:.1f}' for share in line]
                what = ['group' if grouped else 'image', 'a tenth' if rare else 'all', str(units)]
                print('| ' + ' | '.join(what + cells) + ' |', flush=True)
    least = min(line.coverage for line in lines)
    most = max(max(line.false, line.false_holm) for line in lines)
    fails = sum(line.coverage < LEAST_COVERAGE for line in lines)
    fails += sum(max(line.false, line.false_holm) > MOST_FALSE for line in lines)
    print(
        f'\n{args.sets} sets a line, seed {args.seed}; lowest coverage of mIoU {least:.1f} %, most '
        f'false differences {most:.1f} %; {fails} of {len(lines)} lines below '
        f'{LEAST_COVERAGE} % or above {MOST_FALSE} %'
    )
    print()
    fails += calibration_table(args.sets, args.seed)
    print(f'{time.time() - start:.0f} s', file=sys.stderr)
    return int(fails > 0)


if __name__ == '__main__':
    sys.exit(main())
