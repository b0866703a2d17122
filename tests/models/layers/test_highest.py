"""``highest`` is torch's arg-max, ties and NaN included."""

import pytest
import torch

from mmseg_ext.models.layers.highest import highest


@pytest.mark.parametrize('dim', [0, 1, 2])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.int64])
def test_it_is_the_arg_max_and_the_first_of_equal_scores(dim, dtype):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 4, (5, 6, 7), generator=generator).to(dtype)  # full of ties
    assert (scores == scores.amax(dim, keepdim=True)).sum() > scores.amax(dim).numel()
    first = (scores == scores.amax(dim, keepdim=True)).to(torch.uint8).argmax(dim)
    assert torch.equal(highest(scores, dim), first)
    assert torch.equal(highest(scores, dim), scores.argmax(dim))


def test_nan_is_the_highest_as_for_argmax():
    scores = torch.tensor([[1.0, torch.nan, 3.0], [2.0, 1.0, 0.0]])
    assert highest(scores, 1).tolist() == scores.argmax(1).tolist() == [1, 0]
