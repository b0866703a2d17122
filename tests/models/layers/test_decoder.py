"""Steps that decoders share: the same values in another order, and which precision leaves."""

import pytest
import torch
from torch import nn

from mmseg_ext.core.recompute import recompute
from mmseg_ext.models.layers.decoder import at_least_single, build_fusion, fuse_upsampled


def test_convolving_first_changes_no_value():
    torch.manual_seed(0)
    fuse, last = build_fusion(5, 4, (0.5, 0.1))
    assert [m[0].weight.shape for m in (fuse, last)] == [(4, 5, 3, 3), (4, 4, 3, 3)]
    assert [m[-1].p for m in (fuse, last)] == [0.5, 0.1]
    coarse, fine = torch.randn(2, 3, 4, 5), torch.randn(2, 2, 13, 20)
    fuse.eval()
    first, plain = (
        fuse_upsampled(fuse, coarse, fine, align_corners=True, mix_first=mix)
        for mix in (True, False)
    )
    assert plain.shape == (2, 4, 13, 20) and plain.std() > 0.1
    torch.testing.assert_close(first, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'given, left',
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_logits_leave_in_single_precision_at_least(given, left):
    logits = torch.tensor([0.5, -3.0], dtype=given)
    assert at_least_single(logits).dtype == left
    assert at_least_single(logits).tolist() == [0.5, -3.0]


@pytest.mark.parametrize('when, calls', [(True, 2), (False, 1)])
def test_a_part_is_computed_again_only_when_asked(when, calls):
    layer, seen = nn.Linear(2, 2), []
    x = torch.ones(1, 2, requires_grad=True)
    recompute(lambda y: seen.append(1) or layer(y), layer, x, when=when).sum().backward()
    assert len(seen) == calls and layer.weight.grad.tolist() == [[1, 1], [1, 1]]
    seen.clear()
    with torch.no_grad():
        recompute(lambda y: seen.append(1) or layer(y), layer, x, when=when)
    assert len(seen) == 1
