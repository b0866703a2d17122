"""Data sets and transforms, registered into mmseg's registries."""

from .camvid import CamVidDataset
from .checked import CheckedSegDataset
from .loading import LoadLabels
from .voc import VOCDataset

__all__ = ['CamVidDataset', 'CheckedSegDataset', 'LoadLabels', 'VOCDataset']
