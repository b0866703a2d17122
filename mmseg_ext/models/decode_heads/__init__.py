"""Decode heads: feature maps to logits."""

from .conv_seg_head import ConvSegHead
from .deeplabv2_head import DeepLabV2Head
from .deeplabv3plus_head import DeepLabV3PlusHead
from .fcn_skip_head import FCNSkipHead
from .fmsi_head import GGCA, MSEA, DeformASPP, FMSIHead, InterestFlow
from .mfp_head import MFPHead
from .unet_vgg_head import UNetVGGHead
from .unpadded_seg_head import UnpaddedSegHead

__all__ = [
    'ConvSegHead',
    'DeepLabV2Head',
    'DeepLabV3PlusHead',
    'DeformASPP',
    'FCNSkipHead',
    'FMSIHead',
    'GGCA',
    'InterestFlow',
    'MFPHead',
    'MSEA',
    'UNetVGGHead',
    'UnpaddedSegHead',
]
