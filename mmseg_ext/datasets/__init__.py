"""Data sets and transforms, registered into mmseg's registries."""

from .aligned_resize import AlignedResize
from .balanced import BalancedSampler
from .bmseg import BMSegDataset
from .border_weight import BorderWeight, PackWeightedSegInputs
from .brightness import BrightnessContrast
from .camvid import CamVidDataset
from .checked import CheckedSegDataset
from .coco_stuff import CheckedCOCOStuffDataset
from .elastic import ElasticDeform
from .folder import FolderDataset
from .instances import LoadInstances, PackInstanceInputs
from .loading import LoadLabels
from .multichannel import LoadImage, LoadImageFromFile
from .shapes_files import ShapesDataset
from .transforms import Letterbox, LetterboxAugment, SaltPepper
from .two_sources import LabelledUnlabelledSampler
from .unlabelled import LoadUnlabelled, PackUnlabelledInputs, StrongView
from .voc import VOCDataset

__all__ = [
    'AlignedResize',
    'BMSegDataset',
    'BalancedSampler',
    'BorderWeight',
    'BrightnessContrast',
    'CamVidDataset',
    'CheckedCOCOStuffDataset',
    'CheckedSegDataset',
    'ElasticDeform',
    'FolderDataset',
    'Letterbox',
    'LoadImage',
    'LoadImageFromFile',
    'LoadInstances',
    'LoadLabels',
    'PackWeightedSegInputs',
    'PackInstanceInputs',
    'LabelledUnlabelledSampler',
    'LoadUnlabelled',
    'PackUnlabelledInputs',
    'StrongView',
    'LetterboxAugment',
    'SaltPepper',
    'ShapesDataset',
    'VOCDataset',
]
