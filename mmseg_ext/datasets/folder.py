"""Any folder of images and masks as a data set, without writing a class."""

import contextlib
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from mmseg.registry import DATASETS

from ..core.labels import IGNORE, evenly
from ..core.masks import read_mask
from ..core.words import check_choice
from .checked import CheckedSegDataset
from .signs import facts_without, mask_facts, mask_signs

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.bmp', '.webp', '.gif')
MASK_SUFFIXES = ('.png', '.tif', '.tiff', '.bmp', '.gif')
_PROBED_MASKS = 20


@DATASETS.register_module()
class FolderDataset(CheckedSegDataset):
    """Images of one folder, paired with the masks of another by their stem.

    The stem is the path below the folder without the suffix, so subfolders are kept apart. With
    ``ann_file``, a text file of stems, only these are taken. The classes are named in the config::

        dict(type='FolderDataset', data_root='data/mine',
             data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
             metainfo=dict(classes=('background', 'bone'), palette=[[0, 0, 0], [255, 0, 0]]),
             label_map={255: 1})

    Masks hold class ids (grey, or palette PNG, whose indices count), or colors with
    ``mask_format='color'``. Everything is done by ``LoadLabels``, in this order: threshold or
    colors, ``reduce_zero_label``, ``label_map``.

    Args:
        metainfo: ``classes`` (names in the order of their ids) and, if wanted, ``palette`` (RGB).
        data_prefix: ``img_path`` and ``seg_map_path``; leave the latter out if there are no masks.
        img_suffix: Suffix or suffixes of the images, upper or lower case.
        seg_map_suffix: The same for the masks; a stem's ending such as ``_mask.png`` is allowed.
        mask_folders: Folder below that of the images -> folder below that of the masks, where the
            two are not alike: ``{'train/images': 'train/masks'}``.
        label_map: Value in the file -> class id or ``ignore_index``; other values stay as they
            are. ``{255: 1}`` for binary masks of 0 and 255.
        strict_label_map: Values that ``label_map`` leaves out are errors.
        mask_format: ``'index'``, or ``'color'`` for masks in the colors of the palette.
        mask_threshold: Make the mask binary: 1 where it is at least this, for grey or lossy masks.
        void_colors: Colors (RGB) to ignore with ``mask_format='color'``.
        reduce_zero_label: Ignore label 0 and move all others down by one; not with ``label_map``,
            which can say the same in plain sight.
        kwargs: As for ``CheckedSegDataset``.

    Raises:
        FileNotFoundError: If a folder, the split file, or the mask of an image is absent.
        ValueError: If there is no image, a stem has two files, settings contradict each other,
            binary masks would be read as "ignore" or as background throughout, or some twenty
            masks give a sign that they are no class ids (``signs.py``).
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

    def _list_samples(self) -> list[dict]:
        images = files_by_stem(self.data_prefix['img_path'], self.img_suffix)
        masks = None
        if 'seg_map_path' in self.data_prefix:
            masks = files_by_stem(self.data_prefix['seg_map_path'], self.seg_map_suffix)
        samples = [
            dict(
                img_path=images[stem],
                label_map=self.mask_label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
                **({} if masks is None else dict(seg_map_path=self._mask_of(stem, masks))),
                **self.mask_reading,
            )
            for stem in self._stems(images)
        ]
        if masks is not None:
            # Spread over the list: the first masks of a medical series are often empty.
            some = [sample['seg_map_path'] for sample in evenly(samples, _PROBED_MASKS)]
            self._refuse_hidden_foreground(some)
            self._refuse_signs(some)
        return samples

    def _stems(self, images: dict[str, str]) -> Iterable[str]:
        if not self.ann_file:
            return sorted(images)
        stems = read_list(self.ann_file)
        for stem in stems:
            if stem not in images:
                raise FileNotFoundError(
                    f'{self.ann_file} names {stem!r}, but {self.data_prefix["img_path"]} has no '
                    f'such file with one of the suffixes {self.img_suffix}'
                )
        return stems

    def _mask_of(self, stem: str, masks: dict[str, str]) -> str:
        for images, folder in self.mask_folders.items():
            if stem.startswith(f'{images}/'):
                stem = posixpath.normpath(posixpath.join(folder, stem[len(images) + 1 :]))
                break
        if stem not in masks:
            folder = self.data_prefix['seg_map_path']
            raise FileNotFoundError(
                f'{folder}/{stem}{{{",".join(self.seg_map_suffix)}}}: no mask for the image of '
                'this stem: add it, set seg_map_suffix, or list the wanted stems in ann_file'
            )
        return masks[stem]

    def _refuse_hidden_foreground(self, paths: list[str]) -> None:
        """Masks that would train on background alone are reported at once.

        That are masks of 0 and 255, as 255 is ignored, and masks below the threshold throughout.
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
        """Masks that are not what they seem to be are reported at once; see ``signs.py``."""
        if 'mask_threshold' in self.mask_reading:
            return
        colors = self.mask_reading['mask_format'] == 'color'
        facts = []
        for path in paths:
            with contextlib.suppress(OSError, ValueError):  # which is said when it is loaded
                facts.append(mask_facts(path, colors=colors))
        for sign in mask_signs(facts_without(facts, self._ignored_values())):
            if sign.wrong:
                folder = self.data_prefix['seg_map_path']
                raise ValueError(f'{folder}, {sign.kind}: {sign.text}')

    def _ignored_values(self) -> set:
        """Values, or colors, that are read as ignored."""
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
    """Read a list of stems, one a line; empty lines are left out.

    UTF-8, with or without a mark at its start, or UTF-16 with one. Other bytes stay as they are in
    names of files, so that a list in an older encoding fits files named in it.

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


def walk_files(folder: Union[str, Path]) -> Iterator[Path]:
    """All files below a folder, also of folders that are links; hidden folders are left out.

    A link to a folder that holds it is not followed.
    """
    above: dict[str, frozenset] = {}  # folder -> what it and those above it really are
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        parents = above.pop(place, frozenset()) | {real}
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        for name in list(folders):
            inner = os.path.join(place, name)
            if os.path.realpath(inner) in parents:
                folders.remove(name)
            else:
                above[inner] = parents
        yield from (Path(place, name) for name in sorted(names))


def files_by_stem(folder: str, suffixes: Sequence[str]) -> dict[str, str]:
    """Map the path below ``folder`` without its suffix to the file; hidden files are left out.

    Links that lead nowhere, and pipes, are listed: reading them says what they are.

    Args:
        folder: Searched with its subfolders.
        suffixes: In lower case; files may have them in upper case too.

    Raises:
        ValueError: If two files have the same stem.
    """
    found: dict[str, str] = {}
    for path in sorted(walk_files(folder)):
        ending = next((s for s in suffixes if path.name.lower().endswith(s)), None)
        if ending is None or path.name.startswith('.'):
            continue
        stem = path.relative_to(folder).as_posix()[: -len(ending)]
        if stem in found:
            raise ValueError(
                f'{found[stem]} and {path} have the same stem: remove one, or narrow the suffixes'
            )
        found[stem] = str(path)
    return found
