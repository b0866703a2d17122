"""Objects of COCO's JSON files: polygons, and plain or compressed run lengths."""

import math
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from .drawn import (
    Drawing,
    Drawn,
    Region,
    Size,
    fill_polygon,
    find_image,
    ignored_box,
    split_of,
)

_LISTS = ('images', 'annotations', 'categories')


def is_coco(content: Any) -> bool:
    """Tell whether the content of a JSON file has COCO's format."""
    return isinstance(content, dict) and all(isinstance(content.get(k), list) for k in _LISTS)


def with_outlines(files: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Leave files of captions and of points of poses out, if there are others.

    Args:
        files: Path of each of COCO's files below the root -> its content.

    Returns:
        The files that are left, and notes on the others.
    """
    others = {path for path, content in files.items() if _is_of_something_else(content)}
    if len(others) == len(files):
        return files, []
    kept = {path: content for path, content in files.items() if path not in others}
    return kept, [f'{path}: captions or points of poses, not read' for path in sorted(others)]


def _is_of_something_else(content: dict) -> bool:
    items = [item for item in content['annotations'] if isinstance(item, dict)]
    posed = any(isinstance(c, dict) and 'keypoints' in c for c in content['categories'])
    return posed or (bool(items) and all('caption' in item for item in items))


def read_coco(files: dict[str, Any], images: list[str]) -> Drawn:
    """Read the objects of COCO's JSON files.

    Several files, such as those of three splits, may number categories differently, so categories
    are matched by name. Crowds count as objects of their category. Of an object without an outline
    the pixels in its box are ignored, unless another object covers them.

    Args:
        files: Path of each file below the root -> its content.
        images: Paths of the images below the root.

    Raises:
        ValueError: If a file contradicts itself, or no object has an outline.
    """
    names: dict[str, None] = {}
    drawings: list[Drawing] = []
    notes: list[str] = []
    for path in sorted(files, key=lambda path: (split_of(path) != 'train', path)):
        content = files[path]
        try:
            _add_file(path, content, images, names, drawings, notes)
        except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise ValueError(f'{path}: no valid COCO file ({error!r})') from error
    _refuse_two_files(files, drawings, images)
    known = {drawing.image for drawing in drawings}
    rest = [image for image in images if image not in known]
    if rest:
        notes.append(f'{len(rest)} images have no entry, such as {rest[0]}: left out')
    return Drawn(drawings, list(names), notes)


def _refuse_two_files(files: dict[str, Any], drawings: list[Drawing], images: list[str]) -> None:
    """Refuse an image that two files describe.

    Raises:
        ValueError: If there is one, naming the files.
    """
    twice = [image for image, n in Counter(d.image for d in drawings).items() if n > 1]
    if twice:
        own = [
            path for path, content in files.items()
            if any(find_image(str(e['file_name']), path, images) == twice[0]
                   for e in content['images'])
        ]  # fmt: skip
        raise ValueError(
            f'{" and ".join(own)}: {twice[0]} has several entries ({len(twice)} images): keep one '
            'of the files, or of the entries'
        )


def _add_file(
    path: str,
    content: dict,
    images: list[str],
    names: dict[str, None],
    drawings: list[Drawing],
    notes: list[str],
) -> None:
    _refuse_twice(path, content)
    categories = {c['id']: str(c['name']) for c in sorted(content['categories'], key=_id)}
    names.update(dict.fromkeys(categories.values()))
    objects: dict[Any, list[Region]] = {entry['id']: [] for entry in content['images']}
    boxes = 0
    for item in content['annotations']:
        if item['category_id'] not in categories or item['image_id'] not in objects:
            raise ValueError(
                f'{path}: annotation {item.get("id")} names the category {item["category_id"]} '
                f'and the image {item["image_id"]}, one of which the file does not have'
            )
        if item.get('segmentation'):
            region = Region(categories[item['category_id']], _Segmentation(path, item))
            objects[item['image_id']].append(region)
        else:
            boxes += 1
            objects[item['image_id']] += _boxed(path, item)
    if boxes and boxes == len(content['annotations']):
        raise ValueError(f'{path}: its objects have boxes and no outlines: no masks can be made')
    if boxes:
        notes.append(
            f'{path}: {boxes} objects have no outline: the pixels in their boxes are ignored'
        )
    missing = []
    split = split_of(path)
    for entry in content['images']:
        image = find_image(str(entry['file_name']), path, images)
        if image is None:
            missing.append(str(entry['file_name']))
            continue
        size = (int(entry['height']), int(entry['width'])) if 'height' in entry else None
        own = split or split_of(str(PurePosixPath(image).parent))
        drawings.append(Drawing(image, size, own, objects[entry['id']]))
    if missing:
        notes.append(f'{path}: {len(missing)} images are not there, such as {missing[0]}')
    if len(missing) == len(content['images']):
        raise ValueError(f'{path}: none of its {len(missing)} images is there ({missing[:1]})')


def _boxed(path: str, item: dict) -> list[Region]:
    """Return the pixels that may be an object without an outline; none without a box, either."""
    if not item.get('bbox'):
        return []
    numbers = isinstance(item['bbox'], list) and all(
        isinstance(value, (int, float)) and math.isfinite(value) for value in item['bbox']
    )
    box = np.array(item['bbox'] if numbers else [], np.float64)
    if len(box) != 4:
        raise ValueError(f'{path}: annotation {item.get("id")}: its box is not x, y, width, height')
    return [ignored_box(np.stack([box[:2], box[:2] + box[2:]]))]


def _refuse_twice(path: str, content: dict) -> None:
    for kind in ('images', 'categories'):
        twice = [i for i, n in Counter(entry['id'] for entry in content[kind]).items() if n > 1]
        if twice:
            raise ValueError(f'{path}: two {kind} have the id {twice[0]}: which one is meant?')


def _id(category: dict) -> tuple[bool, Any]:
    return isinstance(category['id'], str), category['id']


class _Segmentation:
    """Converts the segmentation of an annotation to a mask."""

    def __init__(self, path: str, item: dict) -> None:
        self.where = f'{path}: annotation {item.get("id")}'
        self.segmentation = item['segmentation']

    def __call__(self, size: Size) -> np.ndarray:
        if isinstance(self.segmentation, dict):
            return self._run_lengths(size)
        pixels = np.zeros(size, bool)
        for part in self.segmentation:
            if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
                raise ValueError(f'{self.where}: a polygon needs x and y of at least three points')
            points = np.array(part, np.float64).reshape(-1, 2)
            if not np.isfinite(points).all():
                raise ValueError(f'{self.where}: its polygon has points that are no numbers')
            pixels |= fill_polygon(points, size)
        return pixels

    def _run_lengths(self, size: Size) -> np.ndarray:
        """Decode alternating runs of background and object, column by column."""
        own = self.segmentation.get('size')
        counts = self.segmentation.get('counts')
        if isinstance(counts, str):
            counts = decode_counts(counts)
        runs = np.array(counts, np.int64)
        if (
            own != list(size)
            or runs.ndim != 1
            or (runs < 0).any()
            or runs.sum() != size[0] * size[1]
        ):
            raise ValueError(
                f'{self.where}: its run lengths are for {own} (height, width), its image is '
                f'{list(size)}'
            )
        values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return values.reshape(size[1], size[0]).T


def decode_counts(text: str) -> list[int]:
    """Read COCO's compressed run lengths.

    A number is stored in groups of five bits, lowest group first, as characters from '0' on. The
    sixth bit means that another group follows; the fifth bit of the last group is the sign. From
    the fourth number on, the difference to the number two places before is stored.
    """
    counts: list[int] = []
    number, shift = 0, 0
    for character in text:
        group = ord(character) - 48
        number |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number, shift = 0, 0
    return counts
