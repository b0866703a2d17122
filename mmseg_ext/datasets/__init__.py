"""Data sets and transforms, registered into mmseg's registries."""

from .aligned_resize import AlignedResize
from .bmseg import BMSegDataset
from .camvid import CamVidDataset
from .checked import CheckedSegDataset
from .coco_stuff import CheckedCOCOStuffDataset
from .folder import FolderDataset
from .instances import LoadInstances, PackInstanceInputs
from .loading import LoadLabels
from .multichannel import LoadImage
from .shapes_files import ShapesDataset
from .transforms import Letterbox, RepoAugment, SaltPepper
from .voc import VOCDataset

__all__ = [
    'AlignedResize',
    'BMSegDataset',
    'CamVidDataset',
    'CheckedCOCOStuffDataset',
    'CheckedSegDataset',
    'FolderDataset',
    'Letterbox',
    'LoadImage',
    'LoadInstances',
    'LoadLabels',
    'PackInstanceInputs',
    'RepoAugment',
    'SaltPepper',
    'ShapesDataset',
    'VOCDataset',
]
