"""Losses without labels, by hand on four pixels."""

import math

import pytest
import torch

from mmseg_ext.models.losses.consistency import hard_label_loss, soft_target_loss

PROB = torch.tensor([[[[0.9, 0.2, 0.6, 1.0]], [[0.1, 0.8, 0.4, 0.0]]]])
LOGITS = torch.tensor([[[[1.0, 0.0, 2.0, 0.0]], [[0.0, 0.0, 0.0, 3.0]]]])
IGNORE = torch.tensor([[[False, False, True, False]]])


def entropies():
    """Cross entropy of each pixel with the teacher's class 0, 1, 0, 0."""
    return [
        math.log(1 + math.exp(-1)),
        math.log(2),
        math.log(1 + math.exp(-2)),
        math.log(1 + math.exp(3)),
    ]


@pytest.mark.parametrize(
    'threshold, pixels', [(0, (0, 1, 3)), (0.85, (0, 3)), (0.9, (0, 3)), (1, (3,))]
)
def test_hard_labels_count_where_sure_and_are_divided_by_all_that_count(threshold, pixels):
    expected = sum(entropies()[k] for k in pixels) / 3
    found = hard_label_loss(LOGITS, PROB, IGNORE, threshold=threshold)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_threshold_1_takes_nothing_that_is_not_certain():
    assert hard_label_loss(LOGITS, PROB * 0.99, IGNORE, threshold=1).item() == 0


def test_soft_targets_are_squares_over_classes_and_pixels():
    p = torch.sigmoid(torch.tensor([1.0, 0.0, 2.0, -3.0])).tolist()  # of class 0
    wanted = [0.9, 0.2, 0.6, 1.0]
    expected = sum((p[k] - wanted[k]) ** 2 for k in (0, 1, 3)) / 3  # both classes differ alike
    assert soft_target_loss(LOGITS, PROB, IGNORE).item() == pytest.approx(expected, rel=1e-6)


def test_soft_targets_of_an_unsure_teacher_do_not_count():
    p = torch.sigmoid(torch.tensor([1.0, -3.0])).tolist()
    expected = ((p[0] - 0.9) ** 2 + (p[1] - 1.0) ** 2) / 3  # of 0.9, 0.8 and 1, two reach 0.85
    found = soft_target_loss(LOGITS, PROB, IGNORE, threshold=0.85)
    assert found.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('loss', [hard_label_loss, soft_target_loss])
def test_ignored_pixels_have_no_gradient_and_a_batch_of_them_no_loss(loss):
    logits = LOGITS.clone().requires_grad_(True)
    loss(logits, PROB, IGNORE, threshold=0).backward()
    assert (logits.grad[..., 2] == 0).all() and (logits.grad[..., [0, 1, 3]] != 0).all()
    assert loss(LOGITS, PROB, torch.ones_like(IGNORE), threshold=0).item() == 0
