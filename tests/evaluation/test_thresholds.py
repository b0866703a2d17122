"""Threshold curves: AUC by counting pairs, average precision by its definition, with ties."""

import numpy as np
import pytest
import torch

from mmseg_ext.evaluation.thresholds import (
    BINS,
    area_under_roc,
    average_precision,
    best_threshold,
    curve_points,
    score_histogram,
    scores_at,
    summary_of,
)


def _histogram(prob, truth, valid=None):
    prob, truth = torch.tensor(prob, dtype=torch.float64), torch.tensor(truth, dtype=torch.bool)
    valid = torch.ones_like(truth) if valid is None else torch.tensor(valid)
    return score_histogram(prob, truth, valid)


@pytest.fixture
def drawn():
    """Scores of 60 values, far enough apart for bins of their own, with many ties."""
    random = np.random.default_rng(0)
    values = 1 / (1 + np.exp(-np.linspace(-9, 9, 60)))
    truth = random.random(500) < 0.3
    score = values[np.clip(random.integers(0, 45, 500) + 15 * truth, 0, 59)]
    return score, truth


def test_auc_counts_pairs(drawn):
    score, truth = drawn
    up, down = score[truth][:, None], score[~truth][None]
    pairs = (up > down).mean() + (up == down).mean() / 2
    assert area_under_roc(_histogram(*drawn)) == pytest.approx(pairs, abs=1e-12)
    assert area_under_roc(_histogram([0.3, 0.3], [0, 1])) == 0.5
    assert area_under_roc(_histogram([0.3], [1])) is None


def test_average_precision_by_definition(drawn):
    score, truth = drawn
    total, recall = 0.0, 0.0
    for threshold in np.unique(score)[::-1]:
        taken = score >= threshold
        now = (taken & truth).sum() / truth.sum()
        total, recall = total + (now - recall) * (taken & truth).sum() / taken.sum(), now
    assert average_precision(_histogram(*drawn)) == pytest.approx(total, abs=1e-12)
    assert average_precision(_histogram([0.9, 0.8, 0.8], [1, 1, 0])) == pytest.approx(
        0.5 * 1 + 0.5 * 2 / 3
    )
    assert average_precision(_histogram([0.9], [0])) is None


def test_against_scikit_learn(drawn):
    metrics = pytest.importorskip('sklearn.metrics')
    score, truth = drawn
    histogram = _histogram(score, truth)
    assert area_under_roc(histogram) == pytest.approx(metrics.roc_auc_score(truth, score))
    expected = metrics.average_precision_score(truth, score)
    assert average_precision(histogram) == pytest.approx(expected)


def test_the_best_threshold_is_one_that_no_other_beats(drawn):
    score, truth = drawn
    histogram = _histogram(score, truth)
    chosen = best_threshold(histogram)

    def dice(threshold):
        taken = score >= threshold
        return 2 * (taken & truth).sum() / (taken.sum() + truth.sum())

    best = max(dice(threshold) for threshold in np.unique(score))
    assert dice(chosen) == pytest.approx(best) and best > dice(0.5)
    assert scores_at(histogram, chosen)['Dice'] == pytest.approx(best)
    assert best_threshold(_histogram([0.1], [0])) is None


def test_one_half_is_what_the_largest_probability_decides():
    histogram = _histogram([0.5, 0.4999, 0.7, 0.6], [1, 1, 0, 1])
    assert scores_at(histogram, 0.5) == dict(Dice=4 / 6, IoU=0.5, precision=2 / 3, recall=2 / 3)
    # no pixel lies between two values: the threshold nearest to one half is taken
    assert best_threshold(_histogram([0.9, 0.1], [1, 0])) == 0.5


def test_ends_points_and_ignored_pixels():
    histogram = _histogram([0.0, 1.0, 0.6], [0, 1, 1], [True, True, False])
    assert histogram.shape == (2, BINS) and histogram.sum(1).tolist() == [1, 1]
    points = curve_points(_histogram([0.9, 0.8, 0.2, 0.1], [1, 0, 1, 0]))
    found = [(p['recall'], p['precision'], p['false_alarms']) for p in points]
    assert (0.5, 1.0, 0.0) in found and (0.5, 0.5, 0.5) in found and (1.0, 0.5, 1.0) in found
    assert curve_points(_histogram([0.9], [1])) == []
    told = summary_of(_histogram([0.9, 0.8], [1, 0]), 0.85)
    assert told['threshold'] == 0.85 and told['at_threshold']['precision'] == 1
    assert told['at_half']['precision'] == 0.5 and 'threshold' not in summary_of(histogram)
