"""Adaptive pooling by matrices: torch's own function, cells by hand, graphs at other sizes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_ext.apis.deploy.graph import recording
from mmseg_ext.apis.deploy.pooling import adaptive_mean, cell_weights


def test_weights_of_five_rows_in_three_cells_by_hand() -> None:
    """Rows 0-1, 1-3 and 3-4: cells overlap where they do not divide the rows."""
    third = 1 / 3
    expected = [[0.5, 0.5, 0, 0, 0], [0, third, third, third, 0], [0, 0, 0, 0.5, 0.5]]
    torch.testing.assert_close(cell_weights(5, 3), torch.tensor(expected))


@pytest.mark.parametrize('cells', [1, 2, 3, 6, (4, 1), (None, 1), (3, None), [2, 5]])
@pytest.mark.parametrize('size', [(1, 1), (3, 4), (6, 6), (7, 13), (2, 9)])
def test_pools_as_torch_does(size, cells) -> None:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(adaptive_mean(x, cells), F.adaptive_avg_pool2d(x, cells))


@pytest.mark.parametrize('recorder', ['export', 'trace'])
def test_a_graph_pools_at_sizes_that_it_was_not_recorded_with(recorder) -> None:
    """Also at sizes on the other side of the number of cells than the recorded one."""
    net, example = nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.Flatten()), torch.randn(2, 1, 3, 5)
    kept = F.adaptive_avg_pool2d
    with recording():
        if recorder == 'export':
            free = torch.export.Dim.DYNAMIC
            graph = torch.export.export(
                net, (example,), dynamic_shapes=({0: free, 2: free, 3: free},)
            ).module()
        else:
            graph = torch.jit.trace(net, (example,), check_trace=False)
    assert F.adaptive_avg_pool2d is kept
    for size in ((2, 2), (3, 4), (6, 6), (9, 13)):
        x = torch.randn(3, 1, *size)
        torch.testing.assert_close(graph(x), net(x))
