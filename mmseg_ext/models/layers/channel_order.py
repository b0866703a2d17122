"""Memory order of channels on the CPU; it changes the speed and no values."""

from collections.abc import Sequence

from torch import Tensor, channels_last, is_grad_enabled

from .grid_sampling import traced


def channels_last_on_cpu(x_NCHW: Tensor) -> Tensor:
    """Reorder a CPU map in memory to (N, H, W, C); return traced and other maps unchanged.

    In this order torch's pooling is some twenty times faster on a CPU, and oneDNN need not copy
    wide maps into its own order. On CUDA, mixed orders would cost copies.
    """
    if x_NCHW.device.type != 'cpu' or traced():
        return x_NCHW
    return x_NCHW.contiguous(memory_format=channels_last)


def channels_last_without_graph(maps: Sequence[Tensor]) -> list[Tensor]:
    """Apply :func:`channels_last_on_cpu` unless gradients are recorded: training gains nothing."""
    return list(maps) if is_grad_enabled() else [channels_last_on_cpu(x) for x in maps]
