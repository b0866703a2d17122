"""Dropout: fraction, scale, independence, repeatability and memory format."""

import pytest
import torch

from mmseg_ext.models.layers.dropout import Dropout


@pytest.mark.parametrize('p', [0.1, 0.5, 0.9])
def test_fraction_and_scale(p):
    torch.manual_seed(0)
    x = torch.ones(1_000_003)
    y = Dropout(p)(x)
    kept = y[y != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)), rtol=1e-4, atol=0)
    # five standard deviations of a binomial
    assert abs(kept.numel() / x.numel() - (1 - p)) < 5 * (p * (1 - p) / x.numel()) ** 0.5
    assert abs(y.mean() - 1) < 5 * (p / (1 - p) / x.numel()) ** 0.5


def test_neighbours_are_independent_within_and_across_a_draw():
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(400_000)) != 0).double() - 0.5
    for lag in range(1, 9):
        correlation = 4 * (kept[:-lag] * kept[lag:]).mean()
        assert abs(correlation) < 5 / kept.numel() ** 0.5
    lanes = kept.view(-1, 4).mean(0)  # no lane of the 64-bit word is special
    assert lanes.abs().max() < 5 * 0.5 / 100_000**0.5


def test_repeats_by_seed_and_moves_on():
    x = torch.ones(4, 5, 6, 7)
    torch.manual_seed(3)
    first, second = Dropout()(x), Dropout()(x)
    torch.manual_seed(3)
    assert torch.equal(Dropout()(x), first) and not torch.equal(first, second)


def test_gradient_is_the_same_mask():
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y != 0).float() * 2)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_keeps_memory_format_and_dtype(dtype):
    x = torch.ones(2, 8, 5, 7, dtype=dtype).to(memory_format=torch.channels_last)
    y = Dropout(0.5)(x)
    assert y.dtype == dtype and y.is_contiguous(memory_format=torch.channels_last)
    transposed = torch.ones(6, 4).t()[::2]
    assert set(Dropout(0.5)(transposed).unique().tolist()) <= {0.0, 2.0}


def test_edges_and_evaluation():
    x = torch.randn(10)
    assert Dropout(0.5).eval()(x) is x and Dropout(0.0)(x) is x
    assert not Dropout(1.0)(x).any()
    assert Dropout(0.5)(torch.ones(0)).shape == (0,)
