"""Image to feature maps, strides ascending."""

from .mobilenet_v2 import MobileNetV2Dilated
from .xception import XceptionDeepLab

__all__ = ['MobileNetV2Dilated', 'XceptionDeepLab']
