"""Data sets and transforms, registered into mmseg's registries."""

from .camvid import CamVidDataset
from .checked import CheckedSegDataset
from .loading import LoadLabels
from .shapes_files import ShapesDataset
from .voc import VOCDataset

__all__ = ['CamVidDataset', 'CheckedSegDataset', 'LoadLabels', 'ShapesDataset', 'VOCDataset']
