"""Losses: logits and labels in, a scalar out."""

from .balanced_ce import BalancedCrossEntropyLoss
from .focal import SoftmaxFocalLoss
from .soft_dice import SoftDiceLoss

__all__ = ['BalancedCrossEntropyLoss', 'SoftDiceLoss', 'SoftmaxFocalLoss']
