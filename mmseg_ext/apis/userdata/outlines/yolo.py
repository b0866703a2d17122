"""Objects in the text files of YOLO's segmentation format: a polygon in each line.

Source: https://docs.ultralytics.com/datasets/segment/, for the format. A line is the number of a
class, then x and y of each corner as shares of width and height. ``data.yaml`` names the classes
and the folders of the splits; an image without a file has no objects. Where a line is a box
(centre, width and height), the pixels of the box that no polygon covers are ignored.
"""

from pathlib import PurePosixPath
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import yaml

from ....core.files import PathLike
from .drawn import Drawing, Drawn, Region, Size, fill_polygon, ignored_box, split_of

_NAMES = ('classes.txt', 'obj.names')
_BEYOND = 0.01  # how far rounding may leave the image


class Rows(NamedTuple):
    """The lines of a text file of numbers."""

    rows: list[list[float]]


class Unread(NamedTuple):
    """Why a text file holds no objects, which is an error if it is an image's."""

    why: str


class Names(NamedTuple):
    """Class names by number, and folders of splits.

    Args:
        names: Number -> name.
        splits: Folder -> split.
        points: Whether lines hold points of a pose, and no outlines.
    """

    names: dict[int, str]
    splits: dict[str, str]
    points: bool = False


def read_yolo_file(path: PathLike) -> Any:
    """Read a text file of polygons, or of class names; ``None`` for any other."""
    place = PurePosixPath(path)
    try:
        with open(path, encoding='utf-8-sig') as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        return Unread(f'which cannot be read: {error}')
    if place.suffix.lower() in ('.yaml', '.yml'):
        return _from_yaml(text)
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if place.name.lower() in _NAMES:
        return Names({index: ' '.join(words) for index, words in enumerate(lines)}, {})
    return _rows(lines)


def _rows(lines: list[list[str]]) -> Union[Rows, Unread]:
    rows = []
    for number, words in enumerate(lines, 1):
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) < 5 or not row[0].is_integer():
            told = ' '.join(words)[:40]
            return Unread(f'line {number}: no class number with the corners of an object: {told!r}')
        rows.append(row)
    return Rows(rows)


def _from_yaml(text: str) -> Optional[Names]:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    names = content.get('names') if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(type(key) is int for key in names):
        return None
    splits = {}
    for split in ('train', 'val', 'test'):
        listed = content.get(split)
        for folder in listed if isinstance(listed, list) else [listed]:
            if isinstance(folder, str) and not folder.endswith('.txt'):
                splits[_plain(folder)] = split
    found = {key: str(name) for key, name in names.items()}
    return Names(found, splits, 'kpt_shape' in content)


def _plain(folder: str) -> str:
    parts = [part for part in folder.replace('\\', '/').split('/') if part not in ('', '.', '..')]
    return '/'.join(parts)


def is_yolo(content: Any) -> bool:
    """Tell whether a file's content is polygons, or names of classes, or text of another kind."""
    return isinstance(content, (Rows, Names, Unread))


def read_yolo(files: dict[str, Any], images: list[str]) -> Optional[Drawn]:
    """Read the polygons of images; ``None`` if no text file belongs to an image.

    Args:
        files: Path of each file below the root -> its content.
        images: Paths of the images below the root.

    Raises:
        ValueError: If a line is no polygon, numbers are no shares, or there are boxes alone.
    """
    rows = {path: content.rows for path, content in files.items() if isinstance(content, Rows)}
    owners = {image: path for image in images if (path := _file_of(image, rows))}
    if not any(rows[path] for path in owners.values()):
        return None
    _refuse_unread(files, images)
    named = [content for content in files.values() if isinstance(content, Names)]
    posed = next((path for path in files if getattr(files[path], 'points', False)), None)
    if posed:
        raise ValueError(f'{posed}: kpt_shape says that lines are points of poses, not outlines')
    # data.yaml, which names folders, too, counts more than classes.txt
    known = max(named, key=lambda n: (bool(n.splits), len(n.names)), default=Names({}, {}))
    folders = {PurePosixPath(image).parent for image in owners}
    drawings, boxes, bare, left = [], 0, 0, []
    for image in images:
        if PurePosixPath(image).parent not in folders:
            left.append(image)
            continue
        path = owners.get(image)
        bare += path is None
        own = rows[path] if path else []
        boxes += sum(len(row) == 5 for row in own)
        regions = [_region(row, f'{path}, line {n}', known) for n, row in enumerate(own, 1)]
        drawings.append(Drawing(image, None, _split(image, known), regions))
    if boxes and boxes == sum(len(rows[path]) for path in owners.values()):
        path = next(iter(owners.values()))
        raise ValueError(f'{path}: its objects are boxes, not polygons: no masks can be made')
    return Drawn(drawings, list(known.names.values()) or _numbered(drawings), [
        f'{number} {text}' for number, text in (
            (boxes, 'objects are boxes without a polygon: their pixels are ignored'),
            (bare, 'images have no text file: taken as background, as YOLO does'),
            (len(left), f'images are in folders without text files, such as {left[:1]}: left out'),
        ) if number
    ] + ([] if known.names else ['the names of the classes are made up: change them']))  # fmt: skip


def _refuse_unread(files: dict[str, Any], images: list[str]) -> None:
    """Refuse a text file of an image that cannot be read: no file would mean background."""
    texts = {path: content for path, content in files.items() if not isinstance(content, Names)}
    for image in images:
        path = _file_of(image, texts)
        if path and isinstance(texts[path], Unread):
            raise ValueError(f'{path}, {texts[path].why}')


def _numbered(drawings: list[Drawing]) -> list[str]:
    names = {region.name for drawing in drawings for region in drawing.regions}
    return sorted(names, key=lambda name: int(name.rpartition('_')[2]))


def _file_of(image: str, rows: dict[str, Any]) -> Optional[str]:
    """Return the text file of an image: in ``labels`` where it is in ``images``, or beside it."""
    place = PurePosixPath(image).with_suffix('.txt')
    at = [index for index, part in enumerate(place.parts) if part == 'images']
    moved = [PurePosixPath(*place.parts[:i], 'labels', *place.parts[i + 1 :]) for i in at[-1:]]
    return next((str(path) for path in (*moved, place) if str(path) in rows), None)


def _split(image: str, known: Names) -> str:
    folder = f'/{PurePosixPath(image).parent}/'
    said = next((s for place, s in known.splits.items() if place and f'/{place}/' in folder), '')
    return said or split_of(str(PurePosixPath(image).parent))


def _region(row: list[float], where: str, known: Names) -> Region:
    """Read an object; of a box, the pixels to ignore."""
    number, points = int(row[0]), np.array(row[1:])
    if known.names and number not in known.names:
        raise ValueError(f'{where}: class {number} has no name; there are {len(known.names)}')
    if len(row) != 5 and (len(points) % 2 or len(points) < 6):
        raise ValueError(f'{where}: a polygon needs x and y of at least three points')
    if not np.isfinite(points).all() or points.min() < -_BEYOND or points.max() > 1 + _BEYOND:
        raise ValueError(
            f'{where}: corners are shares of width and height, from 0 to 1; it has '
            f'{points.min():g} to {points.max():g}'
        )
    if len(row) == 5:
        middle, half = points[:2], points[2:] / 2
        return ignored_box(np.stack([middle - half, middle + half]), shares=True)
    corners = points.reshape(-1, 2)

    def paint(size: Size) -> np.ndarray:
        return fill_polygon(corners * [size[1], size[0]], size)

    return Region(known.names.get(number, f'class_{number}'), paint)
