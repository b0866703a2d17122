"""Image to feature maps, strides ascending; encoder-decoders give theirs coarse to fine."""

from .mobilenet_v2 import MobileNetV2Dilated
from .res_segnet import ResSegNet
from .segnet import SegNet
from .xception import XceptionDeepLab

__all__ = ['MobileNetV2Dilated', 'ResSegNet', 'SegNet', 'XceptionDeepLab']
