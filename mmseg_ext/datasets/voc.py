"""PASCAL VOC 2012 with the checks of ``CheckedSegDataset``.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/, by way of mmseg's ``PascalVOCDataset``,
whose classes and palette these are.
"""

from typing import Any

from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS

from .checked import CheckedSegDataset


@DATASETS.register_module()
class VOCDataset(CheckedSegDataset):
    """VOC layout: ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation/*.txt``.

    Args:
        ann_file: The list of ids, one a line.
        kwargs: As for ``CheckedSegDataset``.
    """

    METAINFO = PascalVOCDataset.METAINFO

    def __init__(self, ann_file: str, **kwargs: Any) -> None:
        super().__init__(ann_file=ann_file, **kwargs)
