"""The data set file ``my_data.yml``, which describes a user's images and masks; see ``read.py``.

::

    name: my_data
    root: .                    # relative to this file
    masks: values              # or colors
    classes:                   # in the order of their ids
    - {name: background, value: 0, color: [0, 0, 0]}
    - {name: bone, value: 255, color: [255, 0, 0]}
    ignore_value: 128          # a value (a color, if masks: colors), a list of them, or null
    train: {images: images/train, masks: masks/train}
    val: {images: images/val, masks: masks/val}
    test: {images: images, masks: masks, list: test.txt}
    unlabelled: {images: images/unlabelled}   # for --semi; a list may be given, too

``classes`` may be plain names, whose values are then 0, 1, 2. Folders are relative to ``root``,
lists of stems to the file itself; without ``test``, ``val`` is tested. Optional: ``image_suffix``,
``mask_suffix``, ``mask_threshold`` (grey masks become 0 and 1), ``crop_size`` (height, width),
``group_file``, ``name`` (else that of the file, or of its folder if the file is my_data.yml);
``image_max_value`` and ``image_channels`` for images that are more than 8-bit color: the value
that is to count as white, such as 4095, and their channels if not 3 (read by ``LoadImage``);
``image_min_value``, the value that is to count as black, with which both are a window (of a CT);
``volume_file`` for images that are slices of volumes (``volumes/record.py``), relative to ``root``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ...core.labels import IGNORE, Color
from ...datasets.folder import IMAGE_SUFFIXES, MASK_SUFFIXES

PARTS = ('train', 'val', 'test')


@dataclass(frozen=True)
class DataFile:
    """A data set file whose entries are consistent; the files it names are not checked.

    Args:
        path: The file.
        name: Name of the data set.
        root: Folder to which the folders of images and masks are relative.
        classes: Class names in the order of their ids.
        palette: A color (RGB) for each class.
        values: Value in the masks (or color, with ``color_masks``) -> class id or ``ignore_index``.
        parts: Folders and list of ``train``, ``val`` and, if given, ``test``.
        color_masks: Whether masks hold colors.
        mask_threshold: Masks become 1 where they are at least this.
        image_suffix: Endings of image files.
        mask_suffix: Endings of mask files.
        crop_size: Height and width of training crops; ``None`` leaves it to the row.
        group_file: CSV file of stems and groups, relative to ``root``.
        image_max_value: Value of the images that counts as white; ``None``: that of their type.
        image_channels: Channels of the images; ``None`` for color or grey.
        image_min_value: Value that counts as black, and below which all is; ``None`` for 0.
        volume_file: JSON file of the volumes that images are slices of, relative to ``root``.
        unlabelled: Folder and list of images without masks; empty without any.
    """

    path: Path
    name: str
    root: Path
    classes: tuple[str, ...]
    palette: tuple[Color, ...]
    values: dict[Any, int]
    parts: dict[str, dict[str, str]]
    color_masks: bool = False
    mask_threshold: Optional[int] = None
    image_suffix: tuple[str, ...] = IMAGE_SUFFIXES
    mask_suffix: tuple[str, ...] = MASK_SUFFIXES
    crop_size: Optional[tuple[int, int]] = None
    group_file: str = ''
    image_max_value: Optional[int] = None
    image_channels: Optional[int] = None
    image_min_value: Optional[int] = None
    volume_file: str = ''
    unlabelled: dict[str, str] = field(default_factory=dict)

    @property
    def ignore_index(self) -> int:
        """Return the ignored label: 255, unless that is a class."""
        return ignore_index_of(len(self.classes))

    @property
    def image_loading(self) -> dict[str, Any]:
        """Return the arguments of ``LoadImage``; empty if a config's own loader fits the images."""
        if self.image_max_value is None and self.image_channels is None:
            return {}
        loading = dict(channels=self.image_channels or 3, max_value=self.image_max_value)
        low = self.image_min_value
        return loading if low is None else dict(loading, min_value=low)

    def part(self, name: str) -> dict[str, str]:
        """Return folders and list of a split; without ``test`` in the file, those of ``val``."""
        return self.parts[name] if name in self.parts else self.parts['val']

    def dataset_config(self, name: str, pipeline: Sequence[dict] = ()) -> dict:
        """Return the config of the ``FolderDataset`` for a split."""
        part = self.part(name)
        meta: dict[str, Any] = dict(
            classes=self.classes, palette=[list(color) for color in self.palette]
        )
        if self.ignore_index != IGNORE:
            meta.update(ignore_index=self.ignore_index)
        config: dict[str, Any] = dict(
            type='FolderDataset',
            data_root=str(self.root),
            data_prefix=dict(img_path=part['images'], seg_map_path=part['masks']),
            metainfo=meta,
            ignore_index=self.ignore_index,
            img_suffix=self.image_suffix,
            seg_map_suffix=self.mask_suffix,
            how_to_get=f'correct {self.path}',
            pipeline=list(pipeline),
        )
        if part.get('list'):
            config.update(ann_file=str(self.path.parent.absolute() / part['list']))
        if self.group_file:
            config.update(group_file=self.group_file)
        return {**config, **self._reading()}

    def _reading(self) -> dict:
        if self.color_masks:
            void = [list(c) for c, label in self.values.items() if label == self.ignore_index]
            return dict(mask_format='color', void_colors=void)
        if self.mask_threshold is not None:
            return dict(mask_threshold=self.mask_threshold)
        plain = all(value == label for value, label in self.values.items())
        if plain and self.ignore_index in self.values:  # else that label would count as ignored
            return {}
        return dict(label_map=dict(self.values), strict_label_map=True)


def ignore_index_of(num_classes: int) -> int:
    """Return the ignored label: 255, or 65535 if there are more classes."""
    return IGNORE if num_classes <= IGNORE else 65535
