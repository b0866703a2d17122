"""Losses against a discriminator, on numbers that are summed by hand."""

import math

import pytest
import torch

from mmseg_ext.models.losses.adversarial import (
    judged_loss,
    judged_right,
    one_hot,
    self_label_loss,
)

LOGITS = torch.tensor([[[0.0, 2.0, -1.0, 9.0]]])
VALID = torch.tensor([[[True, True, True, False]]])


def test_answers_by_hand():
    """-log p of true, -log(1 - p) of false, over the three pixels that count."""
    p = [1 / (1 + math.exp(-z)) for z in (0.0, 2.0, -1.0)]
    of_true = judged_loss(LOGITS, VALID, true=True).item()
    of_false = judged_loss(LOGITS, VALID, true=False).item()
    assert of_true == pytest.approx(-sum(map(math.log, p)) / 3, rel=1e-6)
    assert of_false == pytest.approx(-sum(math.log(1 - q) for q in p) / 3, rel=1e-6)
    assert judged_right(LOGITS, VALID, true=True).item() == pytest.approx(1 / 3)
    assert judged_right(LOGITS, VALID, true=False).item() == pytest.approx(2 / 3)


def test_pixels_that_do_not_count_have_no_gradient_whatever_they_hold():
    logits = torch.tensor([[[0.5, 1e38]]], requires_grad=True)
    judged_loss(logits, torch.tensor([[[True, False]]]), true=True).backward()
    assert logits.grad.flatten()[0].item() == pytest.approx(1 / (1 + math.exp(-0.5)) - 1)
    assert logits.grad.flatten()[1] == 0


def test_no_pixel_is_zero():
    none = torch.zeros(1, 1, 4, dtype=torch.bool)
    assert judged_loss(LOGITS, none, true=True) == 0 == judged_right(LOGITS, none, true=True)
    assert self_label_loss(torch.randn(1, 3, 1, 4), none) == 0


def test_self_labels_by_hand():
    logits = torch.zeros(1, 2, 1, 3)
    logits[0, 1, 0] = torch.tensor([1.0, -3.0, 5.0])  # labels 1, 0 and 1
    found = self_label_loss(logits, torch.tensor([[[True, True, False]]])).item()
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-3))) / 2
    assert found == pytest.approx(expected, rel=1e-6)


def test_one_hot_leaves_out_what_is_ignored_or_no_class():
    maps, valid = one_hot(torch.tensor([[[0, 2, 255, 3, 1]]]), 3, ignore_index=1)
    expected = [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]]
    assert maps[0, :, 0].tolist() == expected
    assert valid[0, 0].tolist() == [True, True, False, False, False]
