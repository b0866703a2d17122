"""Norms of a single value: batch norm raises a clear error, group norm returns its shift.

torch refuses both with a message that names neither the module nor a remedy. Group norm of one
value is well defined, since the value is its own mean.
"""

import torch
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """Group norm that also accepts one value per group and then returns the shift.

    Shape:
        ``(N, C, ...)``, unchanged.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised input."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


def check_batch_norm_input(norm: nn.Module, x: Tensor, owner: nn.Module) -> None:
    """Refuse an input with one value per channel if the norm uses batch statistics.

    Synchronised norms use the values of all processes, so torch checks them.

    Args:
        norm: The norm that will get ``x`` or a map of the same N, H and W.
        x: ``(N, C, ...)``.
        owner: The module to name in the message.

    Raises:
        ValueError: If ``norm`` is batch norm in training mode and ``x`` has one value per channel.
    """
    if not norm.training or not isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return  # before the shape is read, so that an export in evaluation mode does not trace it
    if x.numel() == x.shape[1]:
        raise ValueError(
            f'{type(owner).__name__}: batch norm in training sees one value per channel, in a map '
            f'of shape {tuple(x.shape)}: train with a batch of at least 2 (batch_size, drop_last), '
            'or put the module into eval mode'
        )
