"""Order of channels in memory: changed on the CPU outside of training, never the values."""

import torch

from mmseg_ext.models.layers.channel_order import (
    channels_last_on_cpu,
    channels_last_without_graph,
)


def is_last(x) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def test_on_the_cpu_channels_come_last_and_values_stay():
    x = torch.randn(2, 3, 4, 5)
    y = channels_last_on_cpu(x)
    assert is_last(y) and not is_last(x) and torch.equal(x, y)
    assert channels_last_on_cpu(x.to('meta')).is_contiguous()  # any other device


def test_a_trace_sees_no_change_of_order():
    class Module(torch.nn.Module):
        def forward(self, x):
            return channels_last_on_cpu(x) + 1

    graph = torch.jit.trace(Module(), torch.randn(1, 3, 4, 4)).graph
    assert 'aten::add' in str(graph) and 'contiguous' not in str(graph)


def test_maps_keep_their_order_while_gradients_are_kept():
    maps = [torch.randn(1, 3, 4, 4), torch.randn(1, 2, 2, 2)]
    assert all(a is b for a, b in zip(channels_last_without_graph(tuple(maps)), maps, strict=True))
    with torch.no_grad():
        ordered = channels_last_without_graph(maps)
    assert [is_last(x) for x in ordered] == [True, True]
    assert all(torch.equal(a, b) for a, b in zip(ordered, maps, strict=True))
