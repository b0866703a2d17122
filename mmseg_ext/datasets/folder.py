"""A data set from a folder of images and a folder of masks, without a new class."""

import contextlib
import posixpath
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from mmseg.registry import DATASETS

from ..core.labels import IGNORE, evenly
from ..core.masks import read_mask
from ..core.words import check_choice
from .checked import CheckedSegDataset
from .mask_facts import facts_without, mask_facts
from .sample_table import SampleTable
from .signs import mask_signs
from .stem_files import StemFiles

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.bmp', '.webp', '.gif')
MASK_SUFFIXES = ('.png', '.tif', '.tiff', '.bmp', '.gif')
_PROBED_MASKS = 20
_PIECE = 4096  # samples at a time


@DATASETS.register_module()
class FolderDataset(CheckedSegDataset):
    """Data set of images in one folder and masks in another, paired by their stems.

    The stem is the path below the folder without the suffix, so it includes subfolders.
    ``ann_file``, a text file of stems, selects images. The config names the classes::

        dict(type='FolderDataset', data_root='data/mine',
             data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
             metainfo=dict(classes=('background', 'bone'), palette=[[0, 0, 0], [255, 0, 0]]),
             label_map={255: 1})

    Masks hold class ids (grey PNG, or indices of a palette PNG), or colors with
    ``mask_format='color'``. ``LoadLabels`` applies the settings in this order: threshold or colors,
    ``reduce_zero_label``, ``label_map``.

    Args:
        metainfo: ``classes`` (names in the order of their ids) and optionally ``palette`` (RGB).
        data_prefix: ``img_path`` and ``seg_map_path``; leave the latter out if there are no masks.
        img_suffix: Suffix or suffixes of the images, upper or lower case.
        seg_map_suffix: The same for the masks; a stem's ending such as ``_mask.png`` is allowed.
        mask_folders: Subfolder of the images -> subfolder of the masks, where they differ:
            ``{'train/images': 'train/masks'}``.
        label_map: Value in the file -> class id or ``ignore_index``; other values stay. Use ``{255:
            1}`` for binary masks of 0 and 255.
        strict_label_map: Refuse values that are not in ``label_map``.
        mask_format: ``'index'``, or ``'color'`` for masks in the colors of the palette.
        mask_threshold: For grey or lossy masks: make them binary, with 1 where the value is at
            least this.
        void_colors: Colors (RGB) to ignore with ``mask_format='color'``.
        left_out: Stems that are not read, such as those of unlabelled images that have labels now.
        reduce_zero_label: Ignore label 0 and reduce all others by one. Not allowed together with
            ``label_map``, which can say the same explicitly.
        kwargs: As for ``CheckedSegDataset``.

    Raises:
        FileNotFoundError: If a folder, the split file, or the mask of an image is absent.
        ValueError: If there is no image, a stem has two files, settings contradict each other, the
            whole foreground of binary masks would be ignored or become background, or a sample of
            some twenty masks shows that they do not hold class ids (``signs.py``).
    """

    def __init__(
        self,
        metainfo: dict,
        *,
        data_prefix: dict[str, str],
        img_suffix: Union[str, Sequence[str]] = IMAGE_SUFFIXES,
        seg_map_suffix: Union[str, Sequence[str]] = MASK_SUFFIXES,
        mask_folders: Optional[dict[str, str]] = None,
        label_map: Optional[dict[int, int]] = None,
        strict_label_map: bool = False,
        mask_format: str = 'index',
        mask_threshold: Optional[int] = None,
        void_colors: Sequence[Sequence[int]] = (),
        left_out: Sequence[str] = (),
        reduce_zero_label: bool = False,
        **kwargs: Any,
    ) -> None:
        if not metainfo.get('classes'):
            raise ValueError("FolderDataset needs metainfo=dict(classes=('background', ...))")
        check_choice('mask_format', mask_format, ('index', 'color'))
        if reduce_zero_label and label_map:
            raise ValueError(
                'give label_map or reduce_zero_label, not both: the latter is '
                'label_map={0: 255, 1: 0, 2: 1, ...}'
            )
        if mask_format == 'color' and 'palette' not in metainfo:
            raise ValueError("mask_format='color' needs the palette (RGB) in metainfo")
        if strict_label_map and not label_map:
            raise ValueError('strict_label_map needs label_map: list every value of the masks')
        self.mask_folders = mask_folders or {}
        self.left_out = frozenset(left_out)
        self.mask_label_map = label_map
        self.mask_reading: dict[str, Any] = dict(mask_format=mask_format)
        if strict_label_map:
            self.mask_reading.update(strict_label_map=True)
        if mask_threshold is not None:
            self.mask_reading.update(mask_threshold=mask_threshold)
        if mask_format == 'color':
            self.mask_reading.update(palette=metainfo['palette'], void_colors=void_colors)
        super().__init__(
            metainfo=metainfo,
            data_prefix=data_prefix,
            img_suffix=_as_tuple(img_suffix),
            seg_map_suffix=_as_tuple(seg_map_suffix),
            reduce_zero_label=reduce_zero_label,
            **kwargs,
        )

    def load_data_list(self) -> SampleTable:
        """List the samples, and look at some of the masks."""
        samples = super().load_data_list()
        if 'seg_map_path' in self.data_prefix:
            # Spread over the list: the first masks of a medical series are often empty.
            some = [sample['seg_map_path'] for sample in evenly(samples, _PROBED_MASKS)]
            self._refuse_hidden_foreground(some)
            self._refuse_signs(some)
        return samples

    def _list_samples(self) -> Iterator[dict]:
        images = StemFiles(self.data_prefix['img_path'], self.img_suffix)
        masks = None
        if 'seg_map_path' in self.data_prefix:
            masks = StemFiles(self.data_prefix['seg_map_path'], self.seg_map_suffix)
        places = self._places(images)
        for start in range(0, len(places), _PIECE):
            some = {place: images.stem_at(place) for place in places[start : start + _PIECE]}
            kept = {place: stem for place, stem in some.items() if stem not in self.left_out}
            files = None if masks is None else self._masks_of(list(kept.values()), masks)
            for place in kept:
                sample = dict(img_path=images.file_at(place))
                if files is not None:
                    sample['seg_map_path'] = next(files)
                yield sample

    def _same_for_all(self) -> dict:
        return dict(
            super()._same_for_all(),
            label_map=self.mask_label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
            **self.mask_reading,
        )

    def _places(self, images: StemFiles) -> Sequence[int]:
        if not self.ann_file:
            return range(len(images))
        stems = read_list(self.ann_file)
        places = images.places(stems)
        if (places < 0).any():
            raise FileNotFoundError(
                f'{self.ann_file} names {stems[int((places < 0).argmax())]!r}, but '
                f'{self.data_prefix["img_path"]} has no such file with one of the suffixes '
                f'{self.img_suffix}'
            )
        return array('q', places.tobytes())

    def _masks_of(self, stems: Sequence[str], masks: StemFiles) -> Iterator[str]:
        wanted = [self._mask_stem(stem) for stem in stems]
        places = masks.places(wanted)
        if (places < 0).any():
            folder, absent = self.data_prefix['seg_map_path'], wanted[int((places < 0).argmax())]
            raise FileNotFoundError(
                f'{folder}/{absent}{{{",".join(self.seg_map_suffix)}}}: no mask for the image of '
                'this stem: add it, set seg_map_suffix, or list the wanted stems in ann_file'
            )
        return map(masks.file_at, places.tolist())

    def _mask_stem(self, stem: str) -> str:
        for images, folder in self.mask_folders.items():
            if stem.startswith(f'{images}/'):
                return posixpath.normpath(posixpath.join(folder, stem[len(images) + 1 :]))
        return stem

    def _check_files(self, paths: Iterable[str]) -> None:
        """Nothing to check: the files were found by listing their folders."""

    def _refuse_hidden_foreground(self, paths: list[str]) -> None:
        """Refuse masks whose foreground would be lost, so that only background were trained.

        These are masks of 0 and 255 (255 is ignored), and masks entirely below the threshold.
        """
        threshold = self.mask_reading.get('mask_threshold')
        if threshold is None and not self._reads_ids_of_two_classes():
            return
        values: set = set()
        for path in paths:
            values.update(np.unique(read_mask(path)).tolist())
        folder = self.data_prefix['seg_map_path']
        if threshold is None and values == {0, 255}:
            raise ValueError(
                f'{folder}: the masks hold 0 and 255 only, and 255 is ignore_index, so that '
                'nothing but background would be learnt: set label_map={255: 1}'
            )
        if threshold is not None and 0 < max(values, default=0) < threshold:
            raise ValueError(
                f'{folder}: no value above {max(values)} in the masks looked at, so that '
                f'mask_threshold={threshold} would leave nothing but background: lower it, or '
                'leave it out if the masks hold class ids'
            )

    def _refuse_signs(self, paths: list[str]) -> None:
        """Refuse masks that do not hold class ids; see ``signs.py``."""
        if 'mask_threshold' in self.mask_reading:
            return
        colors = self.mask_reading['mask_format'] == 'color'
        facts = []
        for path in paths:
            with contextlib.suppress(OSError, ValueError):  # loading reports the error
                facts.append(mask_facts(path, colors=colors))
        for sign in mask_signs(facts_without(facts, self._ignored_values())):
            if sign.wrong:
                folder = self.data_prefix['seg_map_path']
                raise ValueError(f'{folder}, {sign.kind}: {sign.text}')

    def _ignored_values(self) -> set:
        """Return the values, or colors, that become ``ignore_index``."""
        void = {tuple(color) for color in self.mask_reading.get('void_colors', ())}
        mapped = (self.mask_label_map or {}).items()
        return void | {value for value, label in mapped if label == self.ignore_index}

    def _reads_ids_of_two_classes(self) -> bool:
        plain = len(self.mask_reading) == 1 and self.mask_reading['mask_format'] == 'index'
        changed = self.mask_label_map or self.reduce_zero_label
        two = len(self._metainfo['classes']) == 2
        return plain and not changed and two and self.ignore_index == IGNORE


def _as_tuple(suffixes: Union[str, Sequence[str]]) -> tuple:
    names = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)
    return tuple(name.lower() for name in names)


def read_list(path: Union[str, Path]) -> list[str]:
    """Read a list of stems, one per line; empty lines are skipped.

    The file is UTF-8, with or without a byte order mark, or UTF-16 with one. Other bytes are kept
    as in file names, so a list in an older encoding matches files named in that encoding.

    Raises:
        ValueError: If it is neither.
    """
    content = Path(path).read_bytes()
    wide = content[:2] in (b'\xff\xfe', b'\xfe\xff')
    try:
        text = content.decode('utf-16' if wide else 'utf-8-sig', errors='surrogateescape')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} begins as UTF-16 and is none ({error}): save it as UTF-8'
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
