"""A data set that reports its mistakes before the training instead of during it.

mmseg's ``BaseSegDataset`` reads an empty folder as an empty list, notices a missing file only when
a worker opens it, and fails with an assertion of the decoder at a damaged file. This class gives
the same samples; it only adds checks, whose messages name the file and the remedy.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any, Union

import cv2
from mmengine.dataset import force_full_init
from mmseg.datasets import BaseSegDataset

from ..core.files import stem_below
from ..core.masks import read_mask
from ..core.reading import read_image
from .groups import group_unit, groups_of, read_groups
from .sample_table import SampleTable


class CheckedSegDataset(BaseSegDataset):
    """``BaseSegDataset`` with clear errors; its samples also hold the settings of ``LoadLabels``.

    Args:
        args: As for ``BaseSegDataset``.
        how_to_get: How to get absent data, usually a command; part of the error message.
        group_file: A CSV file of ``stem,group`` lines, relative to ``data_root``; a group is
            usually a patient. Every sample then has its ``group`` (``None`` without the file), and
            folds of a cross validation keep groups together. A first line of column names, such as
            ``stem,patient``, sets ``group_unit`` of the metainfo.
        kwargs: As for ``BaseSegDataset``; ``serialize_data`` has no effect, as samples are stored
            compactly in either case.

    Raises:
        FileNotFoundError: If a folder, the split file, the group file, or an image or mask listed
            in the split is absent.
        ValueError: If the split has no image, or the group file lacks an image.
    """

    def __init__(
        self, *args: Any, how_to_get: str = '', group_file: str = '', **kwargs: Any
    ) -> None:
        self.how_to_get = how_to_get
        self.group_file = group_file
        super().__init__(*args, **dict(kwargs, serialize_data=False))  # see sample_table.py

    def load_data_list(self) -> SampleTable:
        """List the samples, after checking that there are any and that their files exist."""
        self._check_folders()
        samples = SampleTable(self._list_samples(), self._same_for_all())
        if not samples:
            where = self.ann_file or f'{self.data_prefix["img_path"]}/*{self.img_suffix}'
            raise ValueError(f'{where}: the split is empty, no image to read; {self._advice()}')
        for key in ('img_path', 'seg_map_path'):
            self._check_files(samples.column(key))
        self._add_groups(samples)
        return samples

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Return a new dict of a sample, with its place as ``sample_idx``; ``idx`` may be < 0."""
        return dict(self.data_list[idx], sample_idx=range(len(self))[idx])

    def _get_unserialized_subset(self, indices: Union[Sequence[int], int]) -> SampleTable:
        """Take the first samples, the last ones (for a number below 0), or those of a list."""
        if isinstance(indices, int):
            return self.data_list[:indices] if indices >= 0 else self.data_list[indices:]
        return self.data_list.take(indices)

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline; an error names the image or mask that cannot be decoded."""
        try:
            return super().prepare_data(idx)
        except (AssertionError, AttributeError, OSError, SyntaxError, cv2.error) as error:
            # Decoders raise all of these types; find out which file, if any, is the cause.
            info = self.get_data_info(idx)
            for key, read in (('img_path', read_image), ('seg_map_path', read_mask)):
                if key in info:
                    _ = read(info[key])  # raises an error that names the file
            if not isinstance(error, cv2.error):
                raise
            height, width = read_image(info['img_path']).shape[:2]
            raise ValueError(
                f'{info["img_path"]}: the image of {width}x{height} (width x height) cannot be '
                f'prepared by the pipeline ({error.err or error}): cut it to a usual shape, or '
                'take it out of the split'
            ) from error

    def _list_samples(self) -> Iterable[dict]:
        return super().load_data_list()

    def _same_for_all(self) -> dict:
        classes = len(self._metainfo['classes'])
        return dict(num_classes=classes, ignore_index=self.ignore_index, group=None)

    def _add_groups(self, samples: SampleTable) -> None:
        if not self.group_file:
            return
        path = os.path.join(self.data_root or '', self.group_file)
        if not os.path.isfile(path):
            raise FileNotFoundError(f'{path}: no such group file; {self._advice()}')
        groups = read_groups(path)
        stems = (self.stem_of(image) for image in samples.column('img_path'))
        groups_of([stem for stem in stems if stem not in groups], groups, source=path)
        self._metainfo['group_unit'] = group_unit(path)
        stems = (self.stem_of(image) for image in samples.column('img_path'))
        samples.add('group', (groups[stem] for stem in stems))

    def stem_of(self, img_path: str) -> str:
        """Return the stem as in split and group files: the path below the folder, no suffix."""
        return stem_below(img_path, self.data_prefix['img_path'] or '.', self.img_suffix)

    def _check_folders(self) -> None:
        # From the outermost folder inwards, so that the message names the real cause.
        for folder in (self.data_root, *self.data_prefix.values()):
            if folder and not os.path.isdir(folder):
                raise FileNotFoundError(f'{folder}: no such folder; {self._advice()}')
        if self.ann_file and not os.path.exists(self.ann_file):
            raise FileNotFoundError(f'{self.ann_file}: no such split file; {self._advice()}')

    def _check_files(self, paths: Iterable[str]) -> None:
        present: dict = {}
        missing = []
        for path in paths:
            folder, name = os.path.split(path)
            if folder not in present:  # one listing is much cheaper than a check of every file
                present[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
            if name not in present[folder]:
                missing.append(path)
        if missing:
            others = f' (and {len(missing) - 1} more)' if len(missing) > 1 else ''
            raise FileNotFoundError(
                f'{missing[0]}: no such file{others}, though '
                f'{self.ann_file or "its partner"} names it; {self._advice()}'
            )

    def _advice(self) -> str:
        advice = (
            f'data_root of {type(self).__name__} is {self.data_root!r}, relative to '
            f'{os.getcwd()}: put the data there, set MMSEG_EXT_DATA to the folder that '
            'holds it, or change data_root in the config'
        )
        return f'{advice}; or {self.how_to_get}' if self.how_to_get else advice
