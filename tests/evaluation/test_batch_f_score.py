"""The reference repositories' batch score: their published behaviour, and a loop over pixels."""

import pytest
import torch

from mmseg_ext.evaluation.batch_f_score import batch_f_score, f_score_from_sums, f_score_sums


def one_hot(label, num_classes=21):
    return torch.nn.functional.one_hot(label, num_classes).permute(0, 3, 1, 2).float()


def score_by_loop(prob, label, num_classes, smooth=1e-5, threshold=0.5):
    scores = []
    for k in range(num_classes):
        tp = fp = fn = 0
        for n in range(label.shape[0]):
            for h in range(label.shape[1]):
                for w in range(label.shape[2]):
                    guess = float(prob[n, k, h, w]) > threshold
                    truth = int(label[n, h, w]) == k
                    tp += guess and truth
                    fp += guess and not truth
                    fn += truth and not guess
        scores.append((2 * tp + smooth) / (2 * tp + fn + fp + smooth))
    return sum(scores) / num_classes


def background_with_two_objects():
    """Two of 21 classes cover 6 % of the pixels; the rest is background."""
    label = torch.zeros(1, 100, 100, dtype=torch.long)
    label[:, :3] = 5
    label[:, 3:6] = 9
    return label


def test_background_everywhere_scores_0903():
    label = background_with_two_objects()
    prob = one_hot(torch.zeros_like(label))
    score = batch_f_score(prob, label, 21)
    # 18 absent classes score 1, the background 2 * 0.94 / 1.94, the two objects 0.
    assert score == pytest.approx((18 + 2 * 0.94 / 1.94) / 21, abs=1e-6)
    assert round(score, 3) == 0.903


def test_one_stray_pixel_scores_0856():
    label = background_with_two_objects()
    guess = torch.zeros_like(label)
    guess[0, 50, 50] = 17  # an absent class falls from 1 to smooth / (1 + smooth)
    score = batch_f_score(one_hot(guess), label, 21)
    assert round(score, 3) == 0.856


def test_equals_a_loop_over_pixels():
    generator = torch.Generator().manual_seed(0)
    prob = (torch.randn(2, 4, 6, 7, generator=generator) * 3).softmax(1)
    label = torch.randint(0, 3, (2, 6, 7), generator=generator)
    label[:, 0] = 255
    expected = score_by_loop(prob, label, 4)
    assert batch_f_score(prob, label, 4) == pytest.approx(expected, abs=1e-9)
    sums = sum(f_score_sums(prob[n : n + 1], label[n : n + 1], 4) for n in range(2))
    assert f_score_from_sums(sums) == pytest.approx(expected, abs=1e-9)


def test_predictions_on_ignored_pixels_are_false_positives():
    label = torch.tensor([[[0, 255]]])
    prob = one_hot(torch.tensor([[[0, 0]]]), 2)
    assert batch_f_score(prob, label, 2) == pytest.approx((2 / 3 + 1) / 2, abs=1e-5)


def test_unsure_pixels_predict_nothing():
    prob = torch.full((1, 3, 1, 1), 1 / 3)
    label = torch.zeros(1, 1, 1, dtype=torch.long)
    assert batch_f_score(prob, label, 3) == pytest.approx(2 / 3, abs=1e-4)
    assert batch_f_score(prob, label, 3, threshold=0.3) == pytest.approx(1 / 3, abs=1e-4)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match='num_classes=4'):
        batch_f_score(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long), 4)
    with pytest.raises(ValueError, match='num_classes=3'):
        batch_f_score(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 3, dtype=torch.long), 3)
