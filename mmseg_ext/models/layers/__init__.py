"""Parts with one contract each; they import nothing of ours outside this folder."""

from .aspp import ASPP
from .cbam import CBAM
from .deform_conv import DCNTorch, deform_conv2d
from .eca import ECA
from .ema import EMA
from .gam import GAM
from .lsk import LSK
from .parnet import ParNet
from .pscan import PSCAN
from .scsa import SCSA
from .sge import SGE
from .simam import SimAM

__all__ = [
    'ASPP',
    'CBAM',
    'DCNTorch',
    'ECA',
    'EMA',
    'GAM',
    'LSK',
    'PSCAN',
    'ParNet',
    'SCSA',
    'SGE',
    'SimAM',
    'deform_conv2d',
]
