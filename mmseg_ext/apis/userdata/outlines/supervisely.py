"""Objects of Supervisely's JSON files, one for each image: bitmaps, polygons, rectangles.

Source: https://developer.supervisely.com/getting-started/supervisely-annotation-format/objects, and
its SDK 6.74 for which pixels are meant: corners are pixels that belong to the object. Later objects
lie on top. Masks with opacity count wherever they are not transparent.
"""

import base64
import binascii
import io
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Optional

import cv2
import numpy as np
from PIL import Image

from .drawn import Drawing, Drawn, Region, Size, find_image, split_of

_THIN = ('point', 'line', 'graph', 'cuboid', 'cuboid_2d')
Paint = Callable[[Size], np.ndarray]


def is_supervisely(content: Any) -> bool:
    """Tell whether the content of a JSON file is an annotation, or the project's ``meta.json``."""
    return _is_annotation(content) or _is_meta(content)


def _is_annotation(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and isinstance(content.get('objects'), list)
        and isinstance(content.get('size'), dict)
    )


def _is_meta(content: Any) -> bool:
    classes = content.get('classes') if isinstance(content, dict) else None
    return isinstance(classes, list) and all(
        isinstance(c, dict) and 'title' in c and 'shape' in c for c in classes
    )


def read_supervisely(files: dict[str, Any], images: list[str]) -> Optional[Drawn]:
    """Read the objects of Supervisely's JSON files; ``None`` if there is only a ``meta.json``.

    Args:
        files: Path of each file below the root -> its content.
        images: Paths of the images below the root.

    Raises:
        ValueError: If a file contradicts itself, or none has its image.
    """
    own = {path: content for path, content in sorted(files.items()) if _is_annotation(content)}
    if not own:
        return None
    drawings, missing, thin = [], [], 0
    for path, content in own.items():
        image = _image_of(path, images)
        if image is None:
            missing.append(path)
            continue
        try:
            size = (int(content['size']['height']), int(content['size']['width']))
            read = [_region(item, n, path) for n, item in enumerate(content['objects'])]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f'{path}: no valid Supervisely file ({error!r})') from error
        thin += read.count(None)
        split = split_of(str(PurePosixPath(image).parent))
        drawings.append(Drawing(image, size, split, [region for region in read if region]))
    if not drawings:
        raise ValueError(f'{missing[0]} and {len(missing) - 1} others: no such images')
    metas = [content for content in files.values() if _is_meta(content)]
    listed = [str(entry['title']) for content in metas for entry in content['classes']]
    seen = [region.name for drawing in drawings for region in drawing.regions]
    counted = (
        (len(missing), f'annotations without an image, such as {missing[:1]}: left out'),
        (thin, 'points and lines: left out, as they cover no area'),
    )
    notes = [f'{number} {text}' for number, text in counted if number]
    return Drawn(drawings, list(dict.fromkeys([*listed, *sorted(seen)])), notes)


def _image_of(path: str, images: list[str]) -> Optional[str]:
    """Find ``set/img/a.jpg`` of ``set/ann/a.jpg.json``."""
    place = PurePosixPath(path)
    beside = f'{place.parent.parent.as_posix()}/img/{place.stem}'.removeprefix('./')
    return beside if beside in images else find_image(place.stem, path, images)


def _region(item: dict, layer: int, path: str) -> Optional[Region]:
    kind, name = item.get('geometryType'), str(item['classTitle'])
    if kind in _THIN:
        return None
    read = _READERS.get(str(kind))
    if read is None:
        raise ValueError(
            f'{path}: an object of {name} is of the kind {kind}, which is not read: convert it to '
            'a bitmap or a polygon, or remove it'
        )
    try:
        return Region(name, read(item), layer)
    except (ValueError, KeyError, TypeError, OSError, zlib.error) as error:
        raise ValueError(f'{path}: a {kind} of {name} cannot be read ({error!r})') from error


def _pixels(points: Any) -> np.ndarray:
    found = np.array(points, np.float64).reshape(-1, 2)
    if not np.isfinite(found).all():
        raise ValueError('its points are no numbers')
    return np.round(found).astype(np.int32)


def _polygon(item: dict) -> Paint:
    return _outlined(item['points'])


def _multipolygon(item: dict) -> Paint:
    parts = [_outlined(part) for part in item['parts']]

    def paint(size: Size) -> np.ndarray:
        mask = np.zeros(size, bool)
        for part in parts:
            mask |= part(size)
        return mask

    return paint


def _outlined(points: dict) -> Paint:
    outer = _pixels(points['exterior'])
    holes = [_pixels(hole) for hole in points.get('interior') or []]
    if len(outer) < 3:
        raise ValueError('an outline needs x and y of at least three points')

    def paint(size: Size) -> np.ndarray:
        mask = np.zeros(size, np.uint8)
        cv2.fillPoly(mask, [outer], 1)
        if holes:
            cv2.fillPoly(mask, holes, 0)
        return mask > 0

    return paint


def _rectangle(item: dict) -> Paint:
    corners = _pixels(item['points']['exterior'])
    if len(corners) != 2:
        raise ValueError('a rectangle has two corners')
    (left, top), (right, bottom) = corners.min(0).clip(0), corners.max(0) + 1

    def paint(size: Size) -> np.ndarray:
        mask = np.zeros(size, bool)
        mask[top:bottom, left:right] = True
        return mask

    return paint


def _turned_box(item: dict) -> Paint:
    """Read a box that is turned clockwise around its centre, by an angle in radians."""
    corners = np.array(item['points'], np.float64).reshape(-1, 2)
    turn = float(item.get('angle') or 0)
    if len(corners) != 2 or not np.isfinite([*corners.ravel(), turn]).all():
        raise ValueError('a turned box has two corners and an angle')
    (left, top), (right, bottom) = corners
    centre = (corners.sum(0) // 2).astype(np.int64)  # a pixel, as in the SDK
    x, y = (np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) - centre).T
    turned = [x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)]
    outline = (centre + np.stack(turned, axis=1)).astype(np.int32)  # cut off, as in the SDK

    def paint(size: Size) -> np.ndarray:
        return np.asarray(cv2.fillPoly(np.zeros(size, np.uint8), [outline], 1)) > 0

    return paint


def _bitmap(item: dict) -> Paint:
    stored = _decoded(item['bitmap']['data'])
    left, top = (int(number) for number in item['bitmap']['origin'])
    if min(left, top) < 0:
        raise ValueError(f'its origin is {left}, {top}')

    def paint(size: Size) -> np.ndarray:
        mask = np.zeros(size, bool)
        place = mask[top : top + stored.shape[0], left : left + stored.shape[1]]
        place |= stored[: place.shape[0], : place.shape[1]]
        return mask

    return paint


def _decoded(text: str) -> np.ndarray:
    """Read a PNG, compressed once more or not; the mask is its opacity, or what is not 0."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f'no base64 ({error})') from error
    with io.BytesIO(zlib.decompress(data) if data[:1] == b'\x78' else data) as stream:
        with Image.open(stream) as image:
            values = np.array(image)
    return (values if values.ndim == 2 else values[..., -1]) > 0


_READERS = dict(
    polygon=_polygon, multipolygon=_multipolygon, rectangle=_rectangle, oriented_bbox=_turned_box,
    bitmap=_bitmap, alpha_mask=_bitmap,
)  # fmt: skip
