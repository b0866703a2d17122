"""Instance maps besides label maps, for networks that are trained on single objects.

Source: PASCAL VOC's folder ``SegmentationObject``, whose palette images have the same names as
those in ``SegmentationClass``. SBD's masks have no such files.
Differs from it: nothing.
"""

from pathlib import Path
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS
from torch import from_numpy

from ..core.masks import read_mask


@TRANSFORMS.register_module()
class LoadInstances(BaseTransform):
    """Load the instance ids of a sample, if it has such a file, into ``gt_instance_map``.

    Resizing, cropping and flipping treat the map like labels. A sample without such a file is not
    changed.

    Args:
        folders: Part of the path of a mask, and its replacement in the path of the instance map.

    Raises:
        ValueError: If the file cannot be decoded, or its size is not that of the mask.
    """

    def __init__(self, *, folders: tuple[str, str] = ('SegmentationClass', 'SegmentationObject')):
        self.folders = folders

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``gt_instance_map`` to the results if the file exists."""
        mask_path = results.get('seg_map_path')
        if mask_path is None:
            return results
        given, there = self.folders
        parts = Path(mask_path).parts
        path = Path(*(there if part == given else part for part in parts))
        if given not in parts or not path.is_file():
            return results
        ids = read_mask(str(path))
        if ids.shape != results['gt_seg_map'].shape:
            raise ValueError(
                f'{path}: the instances are {ids.shape}, the labels {mask_path} are '
                f'{results["gt_seg_map"].shape} (height, width): replace the file, or remove it'
            )
        results['gt_instance_map'] = ids
        results['seg_fields'].append('gt_instance_map')
        return results


@TRANSFORMS.register_module()
class PackInstanceInputs(PackSegInputs):
    """``PackSegInputs`` that also packs ``gt_instance_map``."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return inputs and the data sample."""
        packed = super().transform(results)
        if 'gt_instance_map' in results:
            ids = from_numpy(results['gt_instance_map'].astype('int64')[None])
            packed['data_samples'].gt_instance_map = PixelData(data=ids)
        return packed
