"""What this machine can do at best: the rates of products and of a copy, measured.

Products are those of ``torch.mm`` and of a 3x3 convolution, which are different libraries: the
faster one counts. A case's share of that rate says how far its network is from what the processor
can do. The rest is memory, operators that are no products, and what each call costs. More than all
of it is possible: Winograd's algorithm multiplies less than is counted.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from ...engine.bfloat16 import is_imitated

_CHANNELS = 256
_SIDE = 1024  # of the matrices: 12 MB in all, which fit into most last-level caches
_VALUES = 1 << 24  # copied: 64 MB, which do not


def peaks(repeats: int = 5) -> dict[str, float]:
    """Measure the rates with torch's current number of threads.

    Returns:
        ``float32`` and, where the processor has it, ``bfloat16``, in FLOP per second, a
        multiply-add being two;
        ``copy``, in bytes read or written per second. Each is the best of the calls.
    """
    found = {}
    for dtype in (torch.float32,) if is_imitated('cpu') else (torch.float32, torch.bfloat16):
        a, b = (torch.ones(_SIDE, _SIDE, dtype=dtype) for _ in range(2))
        image = torch.ones(1, _CHANNELS, _SIDE // 16, _SIDE // 16, dtype=dtype)
        image = image.contiguous(memory_format=torch.channels_last)
        kernel = torch.ones(_CHANNELS, _CHANNELS, 3, 3, dtype=dtype)
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        convolve = partial(functional.conv2d, image, kernel, padding=1)
        flops = 2 * kernel.numel() * image[0, 0].numel()
        found[str(dtype).removeprefix('torch.')] = max(
            2 * _SIDE**3 / _best(partial(torch.mm, a, b), repeats),
            flops / _best(convolve, repeats),
        )
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
