"""Data sets and transforms, registered into mmseg's registries."""

from .aligned_resize import AlignedResize
from .camvid import CamVidDataset
from .checked import CheckedSegDataset
from .folder import FolderDataset
from .loading import LoadLabels
from .multichannel import LoadImage
from .shapes_files import ShapesDataset
from .transforms import Letterbox, RepoAugment
from .voc import VOCDataset

__all__ = [
    'AlignedResize',
    'CamVidDataset',
    'CheckedSegDataset',
    'FolderDataset',
    'Letterbox',
    'LoadImage',
    'LoadLabels',
    'RepoAugment',
    'ShapesDataset',
    'VOCDataset',
]
