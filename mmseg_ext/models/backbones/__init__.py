"""Image to feature maps, strides ascending."""

from .xception import XceptionDeepLab

__all__ = ['XceptionDeepLab']
