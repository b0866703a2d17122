"""A data set file of a round: the images, or regions, that have labels; the rest as it was.

Shape letters: H row, W column.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import yaml

from ...core.files import PathLike, replacing_folder, write_bytes, write_lines
from ...core.masks import read_mask
from ...core.reading import read_shown
from ..userdata.file import DataFile
from ..userdata.scan import Pair, pair_files
from ..userdata.yaml_text import read_yaml
from .merge import encode_mask
from .offered import check_listable
from .regions import available_kind, regions_of

_LIST, _MASKS, _FILE = 'images.txt', 'masks', 'data.yml'


@dataclass(frozen=True)
class Pool:
    """All images that labels could be asked for, with the masks that they have in truth.

    Args:
        data: The data set.
        pairs: Stem to files.
        regions: Kind of regions that get labels one by one; ``None`` for whole images.
        size: Side of a region in pixels.
    """

    data: DataFile
    pairs: dict[str, Pair]
    regions: Optional[str] = None
    size: int = 64

    @classmethod
    def of(cls, data: DataFile, regions: Optional[str] = None, size: int = 64) -> 'Pool':
        """The training split of a data set file.

        Raises:
            FileNotFoundError: If an image has no mask: their labels are to be known.
            ValueError: If masks cannot hold ignored pixels, and regions are wanted, or a name
                cannot be listed.
        """
        found = pair_files(data, 'train')
        if found.no_mask:
            raise FileNotFoundError(
                f'{data.path}: the image {found.no_mask[0]!r} of train has no mask; rounds with '
                'people go by tools/label.py'
            )
        if regions is not None and data.ignore_index not in data.values.values():
            raise ValueError(
                f'{data.path}: regions without a label are ignored: add ignore_value, a value that '
                'masks can hold'
            )
        check_listable({pair.stem: pair.image for pair in found.pairs}, encoded=False)
        kind = None if regions is None else available_kind(regions)
        return cls(data, {pair.stem: pair for pair in found.pairs}, kind, size)

    def names(self) -> list[str]:
        """What labels are asked for: stems, or ``STEM#NUMBER`` of each region."""
        if self.regions is None:
            return sorted(self.pairs)
        numbers = {stem: int(self.regions_of(stem).max()) + 1 for stem in sorted(self.pairs)}
        return [f'{stem}#{index}' for stem, number in numbers.items() for index in range(number)]

    def regions_of(self, stem: str) -> np.ndarray:
        """Number of each pixel's region, ``(H, W)``."""
        assert self.regions is not None
        return regions_of(read_shown(self.pairs[stem].image), self.regions, self.size)

    def images(self, names: Iterable[str]) -> dict[str, str]:
        """Stem to file of the images that names are of."""
        stems = dict.fromkeys(self.stem_of(name) for name in names)
        return {stem: self.pairs[stem].image for stem in stems}

    def stem_of(self, name: str) -> str:
        """The image of a region; an image's own name."""
        return name if self.regions is None else name.rpartition('#')[0]


def write_subset(pool: Pool, names: Iterable[str], folder: PathLike) -> Path:
    """Write the data set file of a round, its list and, of regions, its masks; the file last.

    Args:
        pool: All images.
        names: What has labels.
        folder: To write to.

    Returns:
        The data set file.
    """
    folder = Path(folder)
    chosen: dict[str, list[str]] = defaultdict(list)
    for name in names:
        chosen[pool.stem_of(name)].append(name)
    part: dict[str, Any] = dict(pool.data.part('train'), list=_LIST)
    if pool.regions is not None:
        part['masks'] = str((folder / _MASKS).absolute())
        _write_masks(pool, chosen, folder / _MASKS)
    write_lines(folder / _LIST, chosen)
    content = dict(_content(pool.data), train=part)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return write_bytes(folder / _FILE, text.encode())


def _content(data: DataFile) -> dict:
    """The entries of a data set file, readable from any folder."""
    content = dict(read_yaml(data.path), name=data.name, root=str(data.root))
    if data.mask_suffix and '.png' not in data.mask_suffix:
        content['mask_suffix'] = [*data.mask_suffix, '.png']
    for key in ('val', 'test'):
        if content.get(key, {}).get('list'):
            path = data.path.parent.absolute() / content[key]['list']
            content[key] = dict(content[key], list=os.path.normpath(path))
    return content


def _write_masks(pool: Pool, chosen: Mapping[str, list[str]], folder: Path) -> None:
    """Write the masks of images, ignored outside of the regions that have labels."""
    ignored = next(v for v, k in pool.data.values.items() if k == pool.data.ignore_index)
    with replacing_folder(folder) as unfinished:
        for stem, names in chosen.items():
            mask = read_mask(pool.pairs[stem].mask, colors=pool.data.color_masks)
            if pool.data.color_masks and mask.ndim == 2:
                mask = np.repeat(mask[..., None], 3, 2)
            numbers = [int(name.rpartition('#')[2]) for name in names]
            mask = mask.copy()
            mask[~np.isin(pool.regions_of(stem), numbers)] = ignored
            path = unfinished / f'{stem}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_mask(mask))
