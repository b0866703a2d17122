"""Layers that networks are built from; they import nothing of this package outside this folder."""

from .aspp import ASPP
from .bilinear_deconv import BilinearDeconv
from .carafe import CARAFE
from .cbam import CBAM
from .deconv import DeconvBN
from .deform_conv import DCNTorch, deform_conv2d
from .dense_crf import DenseCRF
from .dysample import DySample
from .eca import ECA
from .ema import EMA
from .fcn_discriminator import FCNDiscriminator
from .gam import GAM
from .lsk import LSK
from .max_unpool import max_pool, max_unpool
from .parnet import ParNet
from .permutohedral import PermutohedralLattice
from .pscan import PSCAN
from .scsa import SCSA
from .sge import SGE
from .simam import SimAM
from .upsampler import build_upsampler

__all__ = [
    'ASPP',
    'BilinearDeconv',
    'CARAFE',
    'CBAM',
    'DCNTorch',
    'DeconvBN',
    'DenseCRF',
    'DySample',
    'ECA',
    'EMA',
    'FCNDiscriminator',
    'GAM',
    'LSK',
    'PSCAN',
    'ParNet',
    'PermutohedralLattice',
    'SCSA',
    'SGE',
    'SimAM',
    'build_upsampler',
    'deform_conv2d',
    'max_pool',
    'max_unpool',
]
