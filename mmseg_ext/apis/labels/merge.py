"""Masks that came back from a labelling tool, put into a data set; nothing is overwritten.

All are checked before the first is written: an image of that name, its size, names of classes. A
mask that is there and differs stays; the new one lies in a folder beside, and both are named.
Shape letters: H row, W column.
"""

import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...core.files import PathLike, replacing, short_path, write_bytes, write_lines
from ...core.headers import shown_size
from ...core.masks import read_mask
from ...datasets.folder import read_list
from ...datasets.loading import size_mismatch
from ...datasets.stem_files import files_by_stem
from ..userdata.file import DataFile
from ..userdata.pairing import image_files
from .exchange import Finished, match_name
from .offered import HeldOut, check_listable, check_namesakes, in_several

_PART = 'train'


@dataclass
class Merged:
    """What became of masks.

    Args:
        added: Stems of images that have a mask now.
        same: Of those that had the same one.
        kept: Files of old and new masks that differ.
        copied: Images that were copied into the data set.
        listed: Stems that were added to the list of the split.
        twice: Stem to pixels that were painted in two classes.
    """

    added: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    kept: list[tuple[Path, Path]] = field(default_factory=list)
    copied: list[Path] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    twice: dict[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """What to tell the user."""
        text = [f'{len(self.added)} masks added, {len(self.same)} were there already']
        text += [f'{len(self.copied)} images copied into the data set'] if self.copied else []
        text += [f'{len(self.listed)} names added to the list'] if self.listed else []
        text += [
            f'kept both: {short_path(old)} differs and stays in use, the new mask is '
            f'{short_path(new)}'
            for old, new in self.kept
        ]
        return text + [
            f'{stem}: {number} pixels are painted in two classes; the upper one holds'
            for stem, number in self.twice.items()
        ]


def merge_masks(
    data: DataFile, finished: Sequence[Finished], *, images: Sequence[PathLike] = ()
) -> Merged:
    """Put masks into the training split.

    Args:
        data: Where to.
        finished: What came back.
        images: Folders of images that are not in the split yet; those that got a mask are copied.

    Raises:
        FileNotFoundError: If there is no image of a name.
        ValueError: If a mask is of another size than its image, two are of one image, different
            images have its name, the image is in val or test, too, or the file has no value for
            ignored pixels that occur.
    """
    where = data.part(_PART)
    folders = {key: data.root / where[key] for key in ('images', 'masks')}
    there = image_files(data, folders['images'])
    others = [image_files(data, folder) for folder in images]
    every = in_several([there, *others])
    stems = _stems_of(data, finished, every, [str(folders['images']), *map(str, images)])
    check_listable({stem: every[stem][0] for stem in stems})
    sources, held_out, written = {}, HeldOut(data), {}
    for stem, one in zip(stems, finished):
        check_namesakes(data, stem, every[stem])
        sources[stem] = every[stem][0]
        _refuse_held_out(held_out, sources[stem])
        _check_size(one, sources[stem])
        written[stem] = stored(data, one.label, one.name)
    masks = files_by_stem(str(folders['masks']), data.mask_suffix)
    merged = Merged(twice={s: one.twice for s, one in zip(stems, finished) if one.twice})
    for stem in stems:
        _place(stem, written[stem], masks, folders['masks'], data, merged)
        if stem not in there:
            merged.copied.append(_copy(sources[stem], stem, folders['images'], data.image_suffix))
    if where.get('list'):
        _extend_list(data.path.parent / where['list'], stems, merged)
    return merged


def _refuse_held_out(held_out: HeldOut, path: str) -> None:
    """Images of val and test must not be trained on, whatever their names."""
    part = held_out.part_of(path)
    if part is not None:
        raise ValueError(
            f'{path} belongs to {part}, which is not to be trained on: take its mask out of what '
            f'is imported, or the image out of {part}'
        )


def _stems_of(
    data: DataFile,
    finished: Sequence[Finished],
    sources: dict[str, list[str]],
    folders: Sequence[str],
) -> list[str]:
    stems: dict[str, str] = {}
    for one in finished:
        stem = match_name(one.name, list(sources), data.image_suffix)
        if stem is None:
            raise FileNotFoundError(
                f'{one.name}: no image of this name, or several, in {", ".join(folders)}: give the '
                'folder of the images that were labelled with --images'
            )
        if stem in stems:
            raise ValueError(
                f'{stems[stem]} and {one.name} are both masks of {sources[stem][0]}: keep one'
            )
        stems[stem] = one.name
    return list(stems)


def _check_size(one: Finished, image: str) -> None:
    size = shown_size(image)
    if one.label.shape != size:
        raise ValueError(size_mismatch(f'the mask of {one.name}', one.label.shape, image, size))


def stored(data: DataFile, label_HW: np.ndarray, name: str) -> np.ndarray:
    """Ids as the data set's files hold them: values ``(H, W)``, or colors ``(H, W, 3)``.

    Raises:
        ValueError: If the file names no value for a label that occurs.
    """
    first: dict[int, Any] = {}
    for value, label in data.values.items():
        first.setdefault(label, value)
    if data.color_masks:
        mask = np.zeros((*label_HW.shape, 3), np.uint8)
    else:
        mask = np.zeros(label_HW.shape, np.min_scalar_type(max(first.values())))
    for label in np.unique(label_HW).tolist():
        if label not in first:
            raise ValueError(
                f'{name}: pixels are to be ignored, and {data.path} has no value for that: add '
                'ignore_value, such as 255'
            )
        mask[label_HW == label] = first[label]
    return mask


def _place(
    stem: str,
    mask: np.ndarray,
    masks: dict[str, str],
    folder: Path,
    data: DataFile,
    merged: Merged,
) -> None:
    old = masks.get(stem)
    if old is None:
        ending = _ending(data)
        write_bytes(folder / f'{stem}{ending}', encode_mask(mask, ending))
        merged.added.append(stem)
    elif _same(old, mask, data):
        merged.same.append(stem)
    else:
        merged.kept.append((Path(old), _write_beside(folder, stem, mask, _ending(data))))


def _same(old: str, mask: np.ndarray, data: DataFile) -> bool:
    """Whether a file holds the same classes, whatever values stand for them."""
    try:
        found = read_mask(old, colors=data.color_masks)
    except (OSError, ValueError):
        return False  # it stays where it is, and the check says what is wrong with it
    if found.shape != mask.shape:
        return False
    if data.mask_threshold is not None:
        found = (found >= data.mask_threshold).astype(np.uint8)
    if data.color_masks:
        return np.array_equal(found, mask)
    pairs = np.unique(found.astype(np.int64) << 32 | mask).tolist()
    known = data.values
    return all(known.get(pair >> 32) == known[pair & 2**32 - 1] for pair in pairs)


def _write_beside(folder: Path, stem: str, mask: np.ndarray, ending: str) -> Path:
    """Write a mask into ``<masks>_imported``, under the first name that is free or holds it."""
    content, beside = encode_mask(mask, ending), folder.with_name(f'{folder.name}_imported')
    number = 1
    while True:
        path = beside / (f'{stem}{ending}' if number == 1 else f'{stem}-{number}{ending}')
        if not path.exists():
            return write_bytes(path, content)
        if path.read_bytes() == content:
            return path
        number += 1


def _ending(data: DataFile) -> str:
    """Of new masks: the data set's own, PNG if that is one of them, such as ``_mask.png``."""
    return next((s for s in data.mask_suffix if s.endswith('.png')), data.mask_suffix[0])


def encode_mask(mask: np.ndarray, ending: str = '.png') -> bytes:
    """A mask as a file, lossless, of the kind of its ending."""
    buffer = io.BytesIO()
    kind = 'TIFF' if ending.endswith(('.tif', '.tiff')) else ending.rpartition('.')[2].upper()
    Image.fromarray(mask).save(buffer, format=kind)
    return buffer.getvalue()


def _copy(image: str, stem: str, folder: Path, endings: Sequence[str]) -> Path:
    ending = next(s for s in endings if image.lower().endswith(s))
    path = folder / f'{stem}{image[len(image) - len(ending) :]}'
    with replacing(path) as unfinished:
        shutil.copyfile(image, unfinished)
    return path


def _extend_list(path: Path, stems: Sequence[str], merged: Merged) -> None:
    known = set(read_list(path))
    merged.listed = [stem for stem in stems if stem not in known]
    if merged.listed:
        write_lines(path, [*read_list(path), *merged.listed])
