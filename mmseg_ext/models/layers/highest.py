"""The index of the largest score; see :func:`highest`."""

from torch import Tensor


def highest(scores: Tensor, dim: int) -> Tensor:
    """Return the index of the largest score, the first of equal ones, as ``argmax`` does.

    On a CPU, torch's ``max`` along classes, which are not the last dimension, takes from a fifth to
    a half of the time of its ``argmax``.

    Args:
        scores: Of any shape.
        dim: The dimension of the classes, which the result lacks.
    """
    return scores.max(dim).indices
