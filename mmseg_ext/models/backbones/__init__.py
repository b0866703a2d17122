"""Image to feature maps, strides ascending."""

from .deeplab_resnet import DeepLabResNet
from .deeplab_vgg16 import DeepLabVGG16
from .mobilenet_v2 import MobileNetV2Dilated
from .xception import XceptionDeepLab

__all__ = ['DeepLabResNet', 'DeepLabVGG16', 'MobileNetV2Dilated', 'XceptionDeepLab']
