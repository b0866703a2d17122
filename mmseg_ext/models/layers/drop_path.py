"""Rates of stochastic depth for the blocks of a network with several stages.

Source: "Deep Networks with Stochastic Depth", ECCV 2016, https://arxiv.org/abs/1603.09382, with the
linear rule as in the public Swin: 0 at the first block, the full rate at the last.
"""

from collections.abc import Sequence


def drop_path_rates(depths: Sequence[int], rate: float) -> list[list[float]]:
    """List the rate of each block by stage, growing linearly from 0 to ``rate``."""
    total = sum(depths)
    rates = [rate * index / max(1, total - 1) for index in range(total)]
    return [[rates.pop(0) for _ in range(depth)] for depth in depths]
