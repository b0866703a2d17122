"""Norms that see one value: a clear error for batch norm, the shift for group norm.

torch refuses both with one message, which names neither the module nor the way out, though group
norm of one value is well defined: the value is its own mean.
"""

import torch
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """Group norm that also takes one value per group and returns the shift for it.

    Shape:
        ``(N, C, ...)``, kept.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised input."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def check_batch_norm_input(norm: nn.Module, x: Tensor, owner: nn.Module) -> None:
    """Refuse an input with one value per channel where the norm takes batch statistics.

    Synchronised norms count the values of all processes, so they are left to torch.

    Args:
        norm: The norm that will see ``x``, or a map of the same N, H and W.
        x: ``(N, C, ...)``.
        owner: The module that the message names.

    Raises:
        ValueError: If ``norm`` is batch norm in training mode and ``x`` has one value per channel.
    """
    if not norm.training or not isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return  # in evaluation before any look at the shape, so that no export traces it
    if x.numel() == x.shape[1]:
        raise ValueError(
            f'{type(owner).__name__}: batch norm in training sees one value per channel, in a map '
            f'of shape {tuple(x.shape)}: train with a batch of at least 2 (batch_size, drop_last), '
            'or put the module into eval mode'
        )
