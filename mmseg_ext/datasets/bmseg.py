"""BM-Seg: CT slices of patients with bone metastases, with lesion and bone masks.

Source: Afnoouch et al., "BM-Seg: A new bone metastases segmentation dataset and ensemble of
CNN-based segmentation approach", Expert Systems with Applications 228, 2023: 1517 slices of 23
patients. ``tools/dataset_converters/bmseg.py`` turns its images and masks into the layout read
here.
"""

import os
from typing import Any, Optional

from mmseg.registry import DATASETS

from ..core.words import check_choice
from .folder import IMAGE_SUFFIXES, FolderDataset

IMAGES = 'img_dir'
GROUPS = 'patients.csv'
MASKS = dict(lesion='ann_dir', bone='ann_dir_bone')
_COLORS = dict(lesion=[255, 0, 0], bone=[0, 255, 255])
_HOW_TO_GET = (
    'convert yours: python tools/dataset_converters/bmseg.py IMAGES MASKS OUT '
    '[--bone-masks BONE_MASKS]'
)


@DATASETS.register_module()
class BMSegDataset(FolderDataset):
    """Two classes: background and one target, which is the metastatic lesions or the bones.

    The layout is ``img_dir/*.png``, ``ann_dir/*.png`` (lesions), ``ann_dir_bone/*.png`` and
    ``patients.csv``. Masks as published (grey or RGB with soft edges) need ``mask_threshold=127``;
    those of the converter hold 0 and 1.

    Args:
        target: ``'lesion'`` or ``'bone'``.
        data_prefix: ``img_path`` and ``seg_map_path``, if the folders differ from those above.
        mask_threshold: As for ``FolderDataset``.
        group_file: As for ``CheckedSegDataset``; ``None`` takes ``patients.csv`` if it is there.
        kwargs: As for ``FolderDataset``, except ``metainfo``.

    Raises:
        FileNotFoundError: As ``FolderDataset``.
        ValueError: If the target is unknown, and as ``FolderDataset``.
    """

    def __init__(
        self,
        *,
        target: str = 'lesion',
        data_prefix: Optional[dict[str, str]] = None,
        mask_threshold: Optional[int] = None,
        group_file: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        check_choice('target', target, MASKS)
        if group_file is None:
            found = os.path.isfile(os.path.join(kwargs.get('data_root') or '', GROUPS))
            group_file = GROUPS if found else ''
        if mask_threshold is not None:  # lossy masks work too
            kwargs.setdefault('seg_map_suffix', IMAGE_SUFFIXES)
        kwargs.setdefault('how_to_get', _HOW_TO_GET)
        folders = dict(img_path=IMAGES, seg_map_path=MASKS[target])
        super().__init__(
            dict(classes=('background', target), palette=[[0, 0, 0], _COLORS[target]]),
            data_prefix={**folders, **(data_prefix or {})},
            mask_threshold=mask_threshold,
            group_file=group_file,
            **kwargs,
        )
