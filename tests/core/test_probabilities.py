"""What segmentors hand out as logits may be probabilities."""

import math

import torch

from mmseg_ext.core.probabilities import as_logits, as_probabilities


def test_logits_get_their_softmax():
    logits = torch.tensor([[[0.0]], [[3.0]]])
    low = 1 / (1 + math.e**3)
    expected = torch.tensor([[[low]], [[1 - low]]])
    torch.testing.assert_close(as_probabilities(logits), expected)
    torch.testing.assert_close(as_probabilities(logits.half()), expected)
    torch.testing.assert_close(as_probabilities(-logits), expected.flip(0))


def test_probabilities_are_not_softened_twice():
    given = torch.tensor([[[0.7, 0.0]], [[0.3, 1.0]]])
    assert torch.equal(as_probabilities(given), given)
    assert torch.equal(as_probabilities(given.double()), given)
    torch.testing.assert_close(as_probabilities(given.half()), given, atol=1e-3, rtol=0)


def test_one_channel_is_the_probability_of_the_second_class():
    half = torch.full((1, 1, 1), 0.2)
    torch.testing.assert_close(as_probabilities(half).flatten(), torch.tensor([0.8, 0.2]))
    torch.testing.assert_close(as_logits(half).flatten(), torch.tensor([math.log(0.2 / 0.8)]))


def test_logits_come_back_from_what_was_made_of_them():
    logits = torch.randn(3, 4, 5, generator=torch.manual_seed(0))
    assert as_logits(logits) is logits
    torch.testing.assert_close(as_logits(logits.softmax(0)).softmax(0), logits.softmax(0))
    assert as_logits(torch.tensor([[[1.0]], [[0.0]]])).isfinite().all()


def test_what_adds_up_to_one_but_is_negative_is_logits():
    scores = torch.tensor([[[2.0]], [[-1.0]]])
    torch.testing.assert_close(as_probabilities(scores), scores.softmax(0))
