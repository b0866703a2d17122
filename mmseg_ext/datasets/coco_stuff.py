"""COCO-Stuff with the checks of ``CheckedSegDataset``.

Source: https://github.com/nightrome/cocostuff (164k images) and /cocostuff10k, with the 171 classes
and the palette of mmseg's ``COCOStuffDataset``. mmseg's
``tools/dataset_converters/coco_stuff10k.py`` and ``coco_stuff164k.py`` make the masks.
Differs from mmseg: nothing but the checks.
"""

from typing import Any

from mmseg.datasets import COCOStuffDataset
from mmseg.registry import DATASETS

from .checked import CheckedSegDataset


@DATASETS.register_module()
class CheckedCOCOStuffDataset(CheckedSegDataset):
    """COCO-Stuff with the 171 classes that are labelled, of its 182 ids.

    Args:
        img_suffix: Ending of the images.
        seg_map_suffix: Ending of the masks; the default is that of mmseg's converters.
        kwargs: As for ``CheckedSegDataset``. Masks of the 10k images hold 1 to 171, and 0 for
            unlabelled pixels, so they need ``reduce_zero_label=True``. Masks of the 164k images
            hold 0 to 170 and 255.
    """

    METAINFO = COCOStuffDataset.METAINFO

    def __init__(
        self,
        *,
        img_suffix: str = '.jpg',
        seg_map_suffix: str = '_labelTrainIds.png',
        **kwargs: Any,
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
