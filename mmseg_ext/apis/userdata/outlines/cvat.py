"""Objects of CVAT's XML files ("CVAT for images"): polygons, boxes, ellipses and masks.

Source: https://docs.cvat.ai/docs/manual/advanced/xml_format/. Boxes and ellipses count as objects,
as in CVAT's own export of masks.
"""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Optional
from xml.etree.ElementTree import Element, ParseError, fromstring

import numpy as np

from ....core.files import PathLike
from .drawn import Drawing, Drawn, Region, Size, fill_polygon, find_image, split_of
from .labelme import round_outline

_THIN = ('points', 'polyline', 'cuboid', 'skeleton')


def read_xml(path: PathLike) -> Optional[Element]:
    """Read an XML file; ``None`` if it is none, or declares entities, which may never end."""
    try:
        with open(path, 'rb') as stream:
            data = stream.read()
        return None if b'<!DOCTYPE' in data else fromstring(data)
    except (ParseError, OSError, ValueError):
        return None


def is_cvat(content: Any) -> bool:
    """Tell whether the content of an XML file has CVAT's format."""
    return isinstance(content, Element) and content.tag == 'annotations' and (
        content.find('image') is not None or content.find('track') is not None
    )  # fmt: skip


def read_cvat(files: dict[str, Element], images: list[str]) -> Drawn:
    """Read the objects of CVAT's XML files.

    Args:
        files: Path of each file below the root -> its content.
        images: Paths of the images below the root.

    Raises:
        ValueError: If a file contradicts itself, is of a video, or none of its images is there.
    """
    names: dict[str, None] = {}
    drawings: list[Drawing] = []
    notes: list[str] = []
    for path, content in sorted(files.items()):
        if content.find('track') is not None:
            raise ValueError(
                f'{path}: CVAT for video names no images: export the task as "CVAT for images 1.1"'
            )
        labels = content.findall('meta//label/name')
        names.update(dict.fromkeys((label.text or '').strip() for label in labels))
        try:
            _add_file(path, content, images, drawings, notes)
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f'{path}: no valid CVAT file ({error!r})') from error
    seen = (region.name for drawing in drawings for region in drawing.regions)
    names.update(dict.fromkeys(seen))
    known = {drawing.image for drawing in drawings}
    rest = [image for image in images if image not in known]
    if rest:
        notes.append(f'{len(rest)} images have no entry, such as {rest[0]}: left out')
    return Drawn(drawings, [name for name in names if name], notes)


def _add_file(
    path: str, content: Element, images: list[str], drawings: list[Drawing], notes: list[str]
) -> None:
    entries, missing, thin = content.findall('image'), [], 0
    for entry in entries:
        name, subset = entry.attrib['name'], entry.get('subset', '')
        image = find_image(name, path, images)
        if image is None:
            missing.append(name)
            continue
        split = split_of(f'{subset}/x') or split_of(path) or split_of(_folder(image))
        regions = [_region(shape, path) for shape in entry if shape.tag not in (*_THIN, 'tag')]
        thin += sum(shape.tag in _THIN for shape in entry)
        size = (int(entry.attrib['height']), int(entry.attrib['width']))
        drawings.append(Drawing(image, size, split, regions))
    if len(missing) == len(entries):
        raise ValueError(f'{path}: none of its {len(missing)} images is there ({missing[:1]})')
    if missing:
        notes.append(f'{path}: {len(missing)} images are not there, such as {missing[0]}')
    if thin:
        notes.append(f'{path}: {thin} points, lines and the like: left out, as they have no area')


def _folder(image: str) -> str:
    return str(PurePosixPath(image).parent)


def _region(shape: Element, path: str) -> Region:
    try:
        return read_object(shape)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def read_object(shape: Element) -> Region:
    """Read an object with an area: a mask, polygon, box or ellipse.

    Raises:
        KeyError: If it has no class or lacks one of its numbers.
        ValueError: If it is of another kind, or its numbers make no outline; a mask that reaches
            beyond the image is refused when it is painted.
    """
    if shape.tag not in _READERS:
        raise ValueError(f'an object of kind {shape.tag}, which is not read: remove it')
    name = shape.attrib['label']
    try:
        return Region(name, _READERS[shape.tag](shape), int(shape.get('z_order', 0)))
    except ValueError as error:
        raise ValueError(f'a {shape.tag} of {name} cannot be read ({error})') from error


def _numbers(shape: Element, *keys: str) -> np.ndarray:
    values = np.array([float(shape.attrib[key]) for key in keys])
    if not np.isfinite(values).all():
        raise ValueError(f'{", ".join(keys)} are no numbers')
    return values


def _filled(points: np.ndarray) -> Callable[[Size], np.ndarray]:
    if len(points) < 3 or not np.isfinite(points).all():
        raise ValueError('an outline needs x and y of at least three points')
    return lambda size: fill_polygon(points, size)


def _polygon(shape: Element) -> Callable[[Size], np.ndarray]:
    points = [pair.split(',') for pair in shape.attrib['points'].split(';')]
    return _filled(np.array(points, np.float64).reshape(-1, 2))


def _box(shape: Element) -> Callable[[Size], np.ndarray]:
    left, top, right, bottom = _numbers(shape, 'xtl', 'ytl', 'xbr', 'ybr')
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return _filled(_rotated(corners, corners.mean(axis=0), shape))


def _ellipse(shape: Element) -> Callable[[Size], np.ndarray]:
    numbers = _numbers(shape, 'cx', 'cy', 'rx', 'ry')
    centre = numbers[:2]
    return _filled(_rotated(round_outline(centre, numbers[2:]), centre, shape))


def _rotated(points_N2: np.ndarray, centre: np.ndarray, shape: Element) -> np.ndarray:
    """Turn an outline clockwise around its centre by the object's ``rotation`` in degrees."""
    turn = np.deg2rad(float(shape.get('rotation', 0)))
    x, y = (points_N2 - centre).T
    turned = [x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)]
    return centre + np.stack(turned, axis=1)


def _mask(shape: Element) -> Callable[[Size], np.ndarray]:
    """Read alternating runs of background and object, row by row in the object's box."""
    left, top, width, height = (
        int(shape.attrib[key]) for key in ('left', 'top', 'width', 'height')
    )
    runs = np.array([int(run) for run in shape.attrib['rle'].split(',')], np.int64)
    if (runs < 0).any() or min(left, top, width, height) < 0 or runs.sum() != width * height:
        raise ValueError(f'its runs are {runs.sum()} pixels, and its box {width}x{height}')
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)

    def paint(size: Size) -> np.ndarray:
        if top + height > size[0] or left + width > size[1]:
            raise ValueError(f'a mask reaches beyond the image of {size[1]}x{size[0]}')
        pixels = np.zeros(size, bool)
        pixels[top : top + height, left : left + width] = values
        return pixels

    return paint


_READERS = dict(polygon=_polygon, box=_box, ellipse=_ellipse, mask=_mask)
