"""PASCAL VOC 2012 with the checks of ``CheckedSegDataset``.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/, with the classes and the palette of mmseg's
``PascalVOCDataset``.
"""

import os
from pathlib import Path
from typing import Any, Optional

from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS

from .checked import CheckedSegDataset
from .label_split import read_published_list


@DATASETS.register_module()
class VOCDataset(CheckedSegDataset):
    """VOC layout: ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation/*.txt``.

    The two ``extra`` arguments add the images of a second list, whose masks are in another folder;
    this gives the 10,582 images of VOC 2012 aug. mmseg concatenates two data sets for that, which
    have two pipelines; here there is one.

    Lists have one image id per line, or an image and its mask, as published lists of few labels do
    (``JPEGImages/2007_000032.jpg SegmentationClass/2007_000032.png``). Folders of such lines are
    not used.

    Args:
        ann_file: List of the images.
        extra_ann_file: A second list; empty for none.
        extra_seg_map_path: Folder of the masks of the second list. Without a second list, folder of
            the masks that the first folder lacks.
        kwargs: As for ``CheckedSegDataset``.

    Raises:
        FileNotFoundError: As ``CheckedSegDataset``, for the second list as well.
        ValueError: If an id is in both lists.
    """

    METAINFO = PascalVOCDataset.METAINFO

    def __init__(
        self,
        ann_file: str,
        *,
        extra_ann_file: str = '',
        extra_seg_map_path: str = '',
        **kwargs: Any,
    ) -> None:
        self.extra_ann_file = extra_ann_file
        self.extra_seg_map_path = extra_seg_map_path
        super().__init__(ann_file=ann_file, **kwargs)

    def _list_samples(self) -> list[dict]:
        masks = self.data_prefix.get('seg_map_path')
        listed = self._list(self.ann_file, masks) if self.ann_file else super()._list_samples()
        samples = list(listed)
        if not self.extra_ann_file:
            return self._find_masks(samples) if masks and self.extra_seg_map_path else samples
        extra = self._list_extra()
        twice = {s['img_path'] for s in samples} & {s['img_path'] for s in extra}
        if twice:
            raise ValueError(
                f'{self.extra_ann_file}: {len(twice)} images are in {self.ann_file} as well, such '
                f'as {min(twice)}: list each image once'
            )
        return samples + extra

    def _list_extra(self) -> list[dict]:
        root = Path(self.data_root or '')
        list_file, masks = root / self.extra_ann_file, root / self.extra_seg_map_path
        for path in (list_file, masks):
            if not path.exists():
                raise FileNotFoundError(f'{path}: no such file or folder; {self._advice()}')
        return self._list(str(list_file), str(masks))

    def _list(self, path: str, masks: Optional[str]) -> list[dict]:
        """Return the samples of a list; without a folder of masks, images alone."""
        shared = dict(label_map=self.label_map, reduce_zero_label=self.reduce_zero_label)
        samples = []
        for name in read_published_list(path):
            image = f'{self.data_prefix["img_path"]}/{name}{self.img_suffix}'
            sample = dict(img_path=image, **shared, seg_fields=[])
            if masks is not None:
                sample['seg_map_path'] = f'{masks}/{name}{self.seg_map_suffix}'
            samples.append(sample)
        return samples

    def _find_masks(self, samples: list[dict]) -> list[dict]:
        """Look in the extra folder for masks that the first folder lacks."""
        extra = Path(self.data_root or '', self.extra_seg_map_path)
        if not extra.is_dir():
            return samples
        present = set(os.listdir(self.data_prefix['seg_map_path']))
        for sample in samples:
            name = os.path.basename(sample['seg_map_path'])
            if name not in present:
                sample['seg_map_path'] = f'{extra}/{name}'
        return samples
