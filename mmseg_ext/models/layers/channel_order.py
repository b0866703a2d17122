"""Where channels lie in memory on the CPU, which changes times and no values."""

from collections.abc import Sequence

from torch import Tensor, channels_last, is_grad_enabled

from .grid_sampling import traced


def channels_last_on_cpu(x_NCHW: Tensor) -> Tensor:
    """Return a map on the CPU in the order (N, H, W, C), any other and every traced one as it is.

    There torch pools neighbouring channels side by side, some twenty times faster, and oneDNN need
    not copy wide maps into its own order. On CUDA, mixed orders cost copies instead.
    """
    if x_NCHW.device.type != 'cpu' or traced():
        return x_NCHW
    return x_NCHW.contiguous(memory_format=channels_last)


def channels_last_without_graph(maps: Sequence[Tensor]) -> list[Tensor]:
    """Reorder maps with :func:`channels_last_on_cpu`, but in training: it gains nothing by it."""
    return list(maps) if is_grad_enabled() else [channels_last_on_cpu(x) for x in maps]
