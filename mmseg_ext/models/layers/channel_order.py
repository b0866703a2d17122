"""Where channels lie in memory on the CPU, which changes times and no values."""

from torch import Tensor, channels_last

from .grid_sampling import traced


def channels_last_on_cpu(x_NCHW: Tensor) -> Tensor:
    """Return a map on the CPU in the order (N, H, W, C), any other and every traced one as it is.

    There torch pools neighbouring channels side by side, some twenty times faster, and oneDNN need
    not copy wide maps into its own order. On CUDA, mixed orders cost copies instead.
    """
    if x_NCHW.device.type != 'cpu' or traced():
        return x_NCHW
    return x_NCHW.contiguous(memory_format=channels_last)
