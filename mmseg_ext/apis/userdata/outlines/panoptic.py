"""Segments of COCO's panoptic JSON files and their PNG masks.

Source: https://cocodataset.org/#format-data ("Panoptic Segmentation"): the color of a pixel is the
number of its segment, R + 256 G + 256^2 B, and ``segments_info`` names the category of each. Pixels
of 0 are of no segment: they are ignored, and no pixel is background. The masks of ``a.json`` lie in
the folder ``a`` beside it, or under their names anywhere.
Shape letters: H row, W column.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Optional

import numpy as np

from ....core.files import path_below, read_foreign_json
from ....core.masks import read_mask
from ....datasets.folder import IMAGE_SUFFIXES
from ..find.folders import data_files, kind_of
from .coco import is_coco
from .drawn import IGNORED, Drawing, Drawn, Region, Size, check_sizes, find_image, split_of

_VOID = 0


def find_panoptic(root: Path, own: Sequence[Path] = ()) -> Optional[Drawn]:
    """Read the segments of COCO's panoptic files; ``None`` if there is none, or there are masks.

    Args:
        root: The folder.
        own: Folders that init writes itself.

    Raises:
        ValueError: If a file contradicts itself, or a mask is not there.
    """
    paths = [path_below(path, root) for path in data_files(root, own)]
    jsons = [path for path in paths if path.lower().endswith('.json')]
    read = {p: read_foreign_json(root / p) for p in jsons if _names(root / p, b'segments_info')}
    files = {path: content for path, content in read.items() if is_panoptic(content)}
    if not files:
        return None
    pictures = [path for path in paths if path.lower().endswith(IMAGE_SUFFIXES)]
    if _has_other_masks(files, pictures):
        return None
    drawn = _read(root, files, pictures)
    check_sizes(drawn, root)
    others = sorted(p for p in jsons if p not in files and _names(root / p, b'"annotations"'))
    text = (
        f'masks are painted from the segments of {", ".join(sorted(files)[:3])}; what none covers '
        'is ignored, as in COCO (if it is background, move these files away and give outlines)'
    )
    left = [f'{", ".join(others[:3])}: not read, as the segments cover the image'] * bool(others)
    return drawn._replace(notes=[text, *left, *drawn.notes])


def _has_other_masks(files: dict[str, Any], pictures: list[str]) -> bool:
    """Tell whether there are masks of classes, too, as in Cityscapes: these need no segments."""
    own = {mask for path in files for mask in _masks_of(path, pictures)}
    rest = {str(PurePosixPath(picture).parent) for picture in pictures if picture not in own}
    return any(kind_of(folder).role == 'mask' for folder in rest)


def _names(path: Path, word: bytes) -> bool:
    """Tell whether a word stands in a file, which is much faster than reading it as JSON."""
    try:
        return word in path.read_bytes()
    except OSError:
        return False


def is_panoptic(content: Any) -> bool:
    """Tell whether the content of a JSON file has COCO's panoptic format."""
    return is_coco(content) and any(
        isinstance(item, dict) and 'segments_info' in item for item in content['annotations']
    )


def _read(root: Path, files: dict[str, Any], pictures: list[str]) -> Drawn:
    """Read the files; ``pictures`` are the paths of images and masks below the root."""
    names: dict[str, None] = {}
    drawings: list[Drawing] = []
    notes: list[str] = []
    for path, content in sorted(files.items()):
        try:
            _add_file(root, path, content, pictures, names, drawings, notes)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f'{root / path}: no valid panoptic file ({error!r})') from error
    return Drawn(drawings, list(names), notes, whole=True)


def _add_file(
    root: Path,
    path: str,
    content: dict,
    pictures: list[str],
    names: dict[str, None],
    drawings: list[Drawing],
    notes: list[str],
) -> None:
    categories = {c['id']: str(c['name']) for c in sorted(content['categories'], key=_id)}
    names.update(dict.fromkeys(categories.values()))
    entries = {entry['id']: entry for entry in content['images']}
    masks = _masks_of(path, pictures)
    images = [picture for picture in pictures if picture not in masks]
    missing = []
    for item in content['annotations']:
        entry = entries[item['image_id']]
        image = find_image(str(entry['file_name']), path, images)
        if image is None:
            missing.append(str(entry['file_name']))
            continue
        mask = find_image(str(item['file_name']), path, masks)
        if mask is None:
            raise ValueError(
                f'{root / path}: its mask {item["file_name"]} is not there: put the masks into '
                f'{PurePosixPath(path).with_suffix("")}'
            )
        size = (int(entry['height']), int(entry['width'])) if 'height' in entry else None
        split = split_of(path) or split_of(str(PurePosixPath(image).parent))
        drawings.append(Drawing(image, size, split, _regions(root / mask, item, categories)))
    if missing:
        notes.append(f'{path}: {len(missing)} images are not there, such as {missing[0]}')
    if len(missing) == len(content['annotations']):
        raise ValueError(f'{root / path}: none of its {len(missing)} images is there {missing[:1]}')


def _masks_of(path: str, pictures: list[str]) -> list[str]:
    """Return the files in the folder of a JSON file's name, else all in folders of masks."""
    own = PurePosixPath(path).with_suffix('').as_posix()
    found = [picture for picture in pictures if picture.startswith(f'{own}/')]
    return found or [p for p in pictures if 'panoptic' in str(PurePosixPath(p).parent).lower()]


def _id(category: dict) -> tuple[bool, Any]:
    return isinstance(category['id'], str), category['id']


def _regions(mask: Path, item: dict, categories: dict[Any, str]) -> list[Region]:
    numbers = {int(s['id']): categories[s['category_id']] for s in item['segments_info']}
    known = np.array([_VOID, *numbers])
    named = [Region(name, _painter(mask, number, known)) for number, name in numbers.items()]
    return [Region(IGNORED, _painter(mask, _VOID, known)), *named]


def _painter(mask: Path, number: int, known: np.ndarray) -> Callable[[Size], np.ndarray]:
    def paint(size: Size) -> np.ndarray:
        segments = _segments(str(mask))
        if segments.shape != size:
            raise ValueError(f'{mask} is {segments.shape}, and its image {size} (height, width)')
        unknown = np.setdiff1d(segments, known)
        if number == _VOID and len(unknown):
            raise ValueError(
                f'{mask} holds the segment {unknown[0]}, which its JSON file does not name'
            )
        return segments == number

    return paint


@lru_cache(maxsize=1)  # the segments of an image are painted one after the other
def _segments(mask: str) -> np.ndarray:
    """The numbers of the segments, ``(H, W)`` int64."""
    return read_mask(mask, colors=True).astype(np.int64) @ np.array([1, 256, 256**2])
