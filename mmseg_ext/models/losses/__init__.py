"""Losses: logits and labels in, a scalar out."""

from .focal import SoftmaxFocalLoss
from .soft_dice import SoftDiceLoss

__all__ = ['SoftDiceLoss', 'SoftmaxFocalLoss']
