"""Parts with one contract each; they import nothing of ours outside this folder."""

from .aspp import ASPP
from .deform_conv import DCNTorch, deform_conv2d

__all__ = ['ASPP', 'DCNTorch', 'deform_conv2d']
