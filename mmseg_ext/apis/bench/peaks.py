"""What this machine can do at best: the rates of a matrix product and of a copy, measured.

A case's share of the product's rate says how far its network is from what the processor can do. The
rest is memory, operators that are no products, and what each call costs.
"""

import time
from collections.abc import Callable
from typing import Any

import torch

_SIDE = 1024  # of the matrices: 12 MB in all, which fit into most last-level caches
_VALUES = 1 << 24  # copied: 64 MB, which do not


def peaks(repeats: int = 5) -> dict[str, float]:
    """Measure the rates with torch's current number of threads.

    Returns:
        ``matmul_float32`` and ``matmul_bfloat16``, in FLOP per second, a multiply-add being two;
        ``copy``, in bytes read or written per second. Each is the best of the calls.
    """
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.ones(_SIDE, _SIDE, dtype=dtype) for _ in range(2))
        out = torch.empty_like(a)
        seconds = _best(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), repeats)  # type: ignore
        found[f'matmul_{str(dtype).removeprefix("torch.")}'] = 2 * _SIDE**3 / seconds
    source, target = torch.ones(_VALUES), torch.empty(_VALUES)
    found['copy'] = 2 * source.nbytes / _best(lambda: target.copy_(source), repeats)
    return found


def _best(function: Callable[[], Any], repeats: int) -> float:
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
