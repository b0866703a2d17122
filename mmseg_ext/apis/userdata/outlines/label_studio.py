"""Objects in Label Studio's JSON export: brushes, polygons, rectangles and ellipses.

Source: https://labelstud.io/guide/export and the pages of the tags, such as
https://labelstud.io/tags/polygonlabels: numbers are per cent of the image's width and height, and a
rectangle turns clockwise around its upper left corner. Later objects lie on top.
Shape letters: H row, W column.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Optional
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from ....datasets.folder import IMAGE_SUFFIXES
from .brush import decode_brush
from .drawn import Drawing, Drawn, Region, Size, fill_polygon, find_image, split_of
from .labelme import round_outline

_WITH_AREA = ('brushlabels', 'polygonlabels', 'rectanglelabels', 'ellipselabels', 'labels')
_UPLOADED = re.compile(r'[0-9a-f]{8}-')  # before the name of an image that was uploaded
Paint = Callable[[Size], np.ndarray]


class Shape(NamedTuple):
    """An object with an area.

    Args:
        name: Its class.
        size: H and W of its image.
        paint: From that size to where it is, ``(H, W)`` bool.
    """

    name: str
    size: Size
    paint: Paint


def is_label_studio(content: Any) -> bool:
    """Tell whether the content of a JSON file is an export of tasks with annotations."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(t, dict) and isinstance(t.get('data'), dict) for t in content)
        and any(isinstance(task.get('annotations'), list) for task in content)
    )


def read_label_studio(files: dict[str, Any], images: list[str]) -> Drawn:
    """Read the objects of Label Studio's JSON exports.

    Of several annotations of an image, the one that was changed last counts; skipped ones, and
    those without any object, do not.

    Args:
        files: Path of each file below the root -> its content.
        images: Paths of the images below the root.

    Raises:
        ValueError: If an object is damaged, or none of the images is there.
    """
    drawings: list[Drawing] = []
    missing, waiting, thin = [], 0, 0
    for path, tasks in sorted(files.items()):
        for number, task in enumerate(tasks):
            where = f'{path}: task {task.get("id", number + 1)}'
            image = _image_of(task, path, images)
            if image is None:
                missing.append(where)
                continue
            results = (latest(task, where) or {}).get('result') or []
            shapes = [shape for item in results if (shape := read_shape(item, where))]
            thin += sum(_is_thin(item) for item in results)
            waiting += not shapes
            if shapes:
                drawings.append(_drawing(image, shapes, where))
    if not drawings:
        raise ValueError(
            f'{next(iter(files))}: {len(missing)} of its images are not there and {waiting} have '
            'no object: nothing to learn from (put the images, under their names, into the folder)'
        )
    return Drawn(drawings, _names(drawings), _notes(missing, waiting, thin))


def _names(drawings: list[Drawing]) -> list[str]:
    return sorted({region.name for drawing in drawings for region in drawing.regions})


def _notes(missing: list[str], waiting: int, thin: int) -> list[str]:
    counted = (
        (len(missing), f'tasks without an image in the folder, such as {missing[:1]}: left out'),
        (waiting, 'images without an object, or not labelled yet: left out'),
        (thin, 'points, lines and choices: left out, as they cover no area'),
    )
    return [f'{number} {text}' for number, text in counted if number]


def _drawing(image: str, shapes: list[Shape], where: str) -> Drawing:
    sizes = {shape.size for shape in shapes}
    if len(sizes) > 1:
        raise ValueError(f'{where}: objects of images of several sizes, {sorted(sizes)}')
    regions = [
        Region(shape.name, _naming(shape.paint, where), layer) for layer, shape in enumerate(shapes)
    ]
    return Drawing(image, sizes.pop(), split_of(str(PurePosixPath(image).parent)), regions)


def _naming(paint: Paint, where: str) -> Paint:
    """Let an error while painting name the task."""

    def named(size: Size) -> np.ndarray:
        try:
            return paint(size)
        except ValueError as error:
            raise ValueError(f'{where}: {error}') from error

    return named


def _image_of(task: dict, path: str, images: list[str]) -> Optional[str]:
    """Find the image that a task shows, by its path or its name before the upload."""
    texts = [text for text in task['data'].values() if isinstance(text, str)]
    for text in (*texts, str(task.get('file_upload') or '')):
        parts = urlsplit(text)
        name = unquote(parse_qs(parts.query).get('d', [parts.path])[0]).lstrip('/')
        if not name.lower().endswith(IMAGE_SUFFIXES):
            continue
        base = PurePosixPath(name).name
        for choice in (name, _UPLOADED.sub('', base, count=1)):
            found = find_image(choice, path, images)
            if found is not None:
                return found
    return None


def latest(task: dict, where: str) -> Optional[dict]:
    """Return the annotation of a task that was changed last; ``None`` without a finished one.

    Raises:
        ValueError: If its annotations are no list of entries.
    """
    every = task.get('annotations', [])
    if not isinstance(every, list) or not all(isinstance(entry, dict) for entry in every):
        raise ValueError(f'{where}: its annotations are no list of entries')
    done = [entry for entry in every if not entry.get('was_cancelled')]
    return max(done, key=lambda entry: str(entry.get('updated_at', '')), default=None)


def _is_thin(item: Any) -> bool:
    """Tell whether a result is none with an area, nor the unlabelled twin of one."""
    return item.get('type') not in (*_WITH_AREA, 'brush', 'polygon', 'rectangle', 'ellipse')


def read_shape(item: Any, where: str) -> Optional[Shape]:
    """Read one result of an annotation; ``None`` for what has no area, or no label.

    Raises:
        ValueError: If it is damaged, has several labels, or its image was turned.
    """
    value = item.get('value') if isinstance(item, Mapping) else None
    if not isinstance(item, Mapping) or not isinstance(value, Mapping):
        raise ValueError(f'{where}: a result without a value')
    kind = str(item.get('type'))
    if kind not in _WITH_AREA:
        return None
    if item.get('image_rotation'):
        raise ValueError(f'{where}: the image was turned by {item["image_rotation"]} degrees')
    labels = value.get(kind)
    if not isinstance(labels, list) or len(labels) != 1:
        raise ValueError(f'{where}: {kind} has the labels {labels!r}, where one is expected')
    height, width = (item.get(f'original_{side}') for side in ('height', 'width'))
    if type(height) is not int or type(width) is not int or min(height, width) < 1:
        raise ValueError(f'{where}: {kind} without the size of its image')
    return Shape(str(labels[0]), (height, width), _painter(kind, value, where))


def _painter(kind: str, value: Mapping, where: str) -> Paint:
    if value.get('format') == 'rle':
        data = value.get('rle') or []
        return lambda size: decode_brush(data, *size)
    try:
        outline = _outline(value)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{where}: the outline of {kind} cannot be read ({error!r})') from error
    return lambda size: fill_polygon(outline(size), size)


def _outline(value: Mapping) -> Callable[[Size], np.ndarray]:
    """Return a function from H and W to the corners in pixels, ``(N, 2)``: x and y."""
    if 'points' in value:
        points = _finite(value['points']).reshape(-1, 2)
        if len(points) < 3:
            raise ValueError('an outline needs x and y of at least three points')
        return lambda size: points * _scale(size)
    place, turn = _finite([value['x'], value['y']]), float(value.get('rotation') or 0)
    if 'radiusX' in value:
        radii = _finite([value['radiusX'], value['radiusY']])
        return lambda size: _turned(round_outline(place, radii), place, turn, size)
    width, height = _finite([value['width'], value['height']])
    corners = place + np.array([[0, 0], [width, 0], [width, height], [0, height]])
    return lambda size: _turned(corners, place, turn, size)


def _finite(numbers: Any) -> np.ndarray:
    found = np.array(numbers, np.float64)
    if not np.isfinite(found).all():
        raise ValueError('its numbers are none')
    return found


def _scale(size: Size) -> np.ndarray:
    """Pixels in a per cent of the width, and of the height."""
    return np.array([size[1], size[0]]) / 100


def _turned(points_N2: np.ndarray, around: np.ndarray, degrees: float, size: Size) -> np.ndarray:
    """Turn points, in per cent, clockwise; returns pixels."""
    centre, turn = around * _scale(size), np.deg2rad(degrees)
    x, y = (points_N2 * _scale(size) - centre).T
    turned = [x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)]
    return centre + np.stack(turned, axis=1)
