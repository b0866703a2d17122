"""Backbones: image to feature maps, finest first; encoder-decoders return them coarsest first."""

from .any_channels import any_channels
from .deeplab_resnet import DeepLabResNet
from .deeplab_vgg16 import DeepLabVGG16
from .dilateformer import DilateFormer
from .hrnet import HRNetAlignCorners
from .mobilenet_v2 import MobileNetV2Dilated
from .res_segnet import ResSegNet
from .resnet_with_stem import ResNetWithStem
from .segnet import SegNet
from .swin_unet import SwinUNet
from .transdeeplab import TransDeepLab
from .transunet import TransUNet
from .unet3plus import UNet3Plus
from .unpadded_unet import UnpaddedUNet
from .vgg16 import VGG16
from .xception import XceptionDeepLab

__all__ = [
    'DeepLabResNet',
    'DeepLabVGG16',
    'DilateFormer',
    'HRNetAlignCorners',
    'MobileNetV2Dilated',
    'ResNetWithStem',
    'ResSegNet',
    'SegNet',
    'UNet3Plus',
    'UnpaddedUNet',
    'VGG16',
    'SwinUNet',
    'TransDeepLab',
    'TransUNet',
    'XceptionDeepLab',
    'any_channels',
]
