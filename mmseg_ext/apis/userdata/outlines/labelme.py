"""Objects of LabelMe's JSON files, one beside each image.

Source: ``labelme/_label_file.py`` and ``labelme/utils/shape.py`` of LabelMe 6.3
(https://github.com/wkentaro/labelme), for the kinds of shapes and their order: later ones lie on
top. Differs from it: a pixel belongs to an outline if its centre is inside, where LabelMe's own
converter adds the pixels that the outline touches; lines and points, which it draws 10 pixels wide,
are left out.
"""

import base64
import binascii
import io
from pathlib import PurePosixPath
from typing import Any, Optional

import numpy as np
from PIL import Image

from .drawn import Drawing, Drawn, Region, Size, fill_polygon, split_of

_CORNERS = 64  # corners of the polygon for a circle
_THIN = ('point', 'points', 'line', 'linestrip')


def is_labelme(content: Any) -> bool:
    """Tell whether the content of a JSON file has LabelMe's format."""
    return isinstance(content, dict) and isinstance(content.get('shapes'), list)


def read_labelme(files: dict[str, Any], images: list[str]) -> Drawn:
    """Read the objects of LabelMe's JSON files: polygons, rectangles, circles and masks.

    Args:
        files: Path of each file below the root -> its content.
        images: Paths of the images below the root.

    Raises:
        ValueError: If a file contradicts itself, or no file has its image.
    """
    drawings, notes, missing, thin = [], [], [], 0
    for path, content in sorted(files.items()):
        image = _image_of(path, content, images)
        if image is None:
            missing.append(path)
            continue
        try:
            regions = [_region(s, path, layer) for layer, s in enumerate(content['shapes'])]
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f'{path}: no valid LabelMe file ({error!r})') from error
        thin += regions.count(None)
        split = split_of(str(PurePosixPath(image).parent))
        drawings.append(Drawing(image, _size(content), split, [r for r in regions if r]))
    if not drawings:
        inside = all(files[path].get('imageData') for path in missing)
        raise ValueError(
            f'{missing[0]} and {len(missing) - 1} others: no such images'
            + inside * '; they are inside the files (imageData): save them beside these'
        )
    known = {drawing.image for drawing in drawings}
    rest = [image for image in images if image not in known]
    for number, what in (
        (len(missing), f'annotations without an image, such as {missing[:1]}: left out'),
        (len(rest), f'images without an annotation, such as {rest[:1]}: left out'),
        (thin, 'points and lines: left out, as they cover no area'),
    ):
        if number:
            notes.append(f'{number} {what}')
    names = sorted({region.name for drawing in drawings for region in drawing.regions})
    return Drawn(drawings, names, notes)


def _image_of(path: str, content: dict, images: list[str]) -> Optional[str]:
    """Find the image that a file names, or one with its own name, beside it or anywhere."""
    folder = PurePosixPath(path).parent
    named = PurePosixPath(str(content.get('imagePath') or '').replace('\\', '/')).name
    stem = PurePosixPath(path).stem
    beside = [image for image in images if PurePosixPath(image).parent == folder]
    for place in (beside, images):
        by_name = [image for image in place if PurePosixPath(image).name == named]
        by_stem = [image for image in place if PurePosixPath(image).stem == stem]
        for found in (by_name, by_stem):
            if len(found) == 1:
                return found[0]
    return None


def _size(content: dict) -> Optional[Size]:
    height, width = content.get('imageHeight'), content.get('imageWidth')
    return (height, width) if type(height) is int and type(width) is int else None


def _region(shape: dict, path: str, layer: int) -> Optional[Region]:
    """Read an object; ``None`` for points and lines."""
    kind, name = shape.get('shape_type') or 'polygon', str(shape['label'])
    if kind in _THIN:
        return None
    points = np.array(shape['points'], np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError(f'{path}: a shape has points that are no numbers')
    if kind == 'mask':
        stored = _stored_mask(shape, path)
        return Region(name, lambda size: _placed(stored, points[0], size), layer)
    outline = _outline(kind, points)
    if outline is None:
        raise ValueError(
            f'{path}: a shape of {name}, a {kind} of {len(points)} points, is not read: remove it, '
            'or draw it as a polygon of three or more'
        )
    return Region(name, lambda size: fill_polygon(outline, size), layer)


def _outline(kind: str, points: np.ndarray) -> Optional[np.ndarray]:
    if kind == 'rectangle' and len(points) == 2:
        (left, top), (right, bottom) = points
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    if kind == 'circle' and len(points) == 2:  # the centre and a point on the circle
        radius = np.hypot(*(points[1] - points[0]))
        return round_outline(points[0], np.array([radius, radius]))
    known = ('polygon', 'rectangle', 'oriented_rectangle')
    return points if kind in known and len(points) > 2 else None


def round_outline(centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return the corners of a polygon for an ellipse, ``(64, 2)``: x and y."""
    turns = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
    return centre + radii * np.stack([np.cos(turns), np.sin(turns)], axis=1)


def _stored_mask(shape: dict, path: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape['mask'], validate=True))) as image:
            return np.array(image.convert('L')) > 0
    except (binascii.Error, OSError, ValueError) as error:
        raise ValueError(f'{path}: the mask of a shape cannot be decoded ({error})') from error


def _placed(stored: np.ndarray, corner: np.ndarray, size: Size) -> np.ndarray:
    """Place a stored mask at its upper left corner in the image."""
    pixels = np.zeros(size, bool)
    left, top = (max(int(round(value)), 0) for value in corner)
    place = pixels[top : top + stored.shape[0], left : left + stored.shape[1]]
    place |= stored[: place.shape[0], : place.shape[1]]
    return pixels
