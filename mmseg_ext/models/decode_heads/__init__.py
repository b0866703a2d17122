"""Feature maps to logits."""

from .conv_seg_head import ConvSegHead
from .deeplabv2_head import DeepLabV2Head
from .deeplabv3plus_head import DeepLabV3PlusHead
from .fmsi_head import GGCA, MSEA, DeformASPP, FMSIHead, InterestFlow
from .mfp_head import MFPHead

__all__ = [
    'ConvSegHead',
    'DeepLabV2Head',
    'DeepLabV3PlusHead',
    'DeformASPP',
    'FMSIHead',
    'GGCA',
    'InterestFlow',
    'MFPHead',
    'MSEA',
]
