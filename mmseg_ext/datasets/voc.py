"""PASCAL VOC 2012 with the checks of ``CheckedSegDataset``.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/, with the classes and the palette of mmseg's
``PascalVOCDataset``.
"""

from pathlib import Path
from typing import Any

from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS

from .checked import CheckedSegDataset


@DATASETS.register_module()
class VOCDataset(CheckedSegDataset):
    """VOC layout: ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation/*.txt``.

    The two ``extra`` arguments add the images of a second list, whose masks are in another folder;
    this gives the 10,582 images of VOC 2012 aug. mmseg concatenates two data sets for that, which
    have two pipelines; here there is one.

    Args:
        ann_file: File of image ids, one per line.
        extra_ann_file: File with more ids; empty for none.
        extra_seg_map_path: Folder of the masks of these ids.
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
        samples = super()._list_samples()
        if not self.extra_ann_file:
            return samples
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
        return [
            dict(
                img_path=f'{self.data_prefix["img_path"]}/{name}{self.img_suffix}',
                seg_map_path=f'{masks}/{name}{self.seg_map_suffix}',
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for name in list_file.read_text().split()
        ]
