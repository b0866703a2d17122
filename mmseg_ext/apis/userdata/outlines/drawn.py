"""Images with outlined objects, the classes of these, and the pixels of an outline.

A pixel belongs to an object if its centre is inside the outline.
Shape letters: H row, W column, N point of an outline, E edge.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Optional
from urllib.parse import unquote, urlsplit

import numpy as np

from ....core.headers import shown_size
from ....core.labels import IGNORE, is_background, voc_palette
from ..find.folders import read_name
from ..find.found import Classes, check_names
from ..find.pairs import Folders, Layout

Size = tuple[int, int]

IGNORED = '__ignore__'  # the class name of unlabelled regions
_BELOW = -1  # layer of what is ignored wherever an outline says more
_MOST = 254  # most classes of an 8-bit mask besides background and ignored


class Region(NamedTuple):
    """An annotated object.

    Args:
        name: Name of its class.
        paint: Function from the image size (H, W) to the mask of the object, ``(H, W)`` bool.
        layer: Objects of a higher layer lie on top.
    """

    name: str
    paint: Callable[[Size], np.ndarray]
    layer: int = 0


class Drawing(NamedTuple):
    """An image with its objects.

    Args:
        image: Path of the image below the root.
        size: H and W given by the annotation, or ``None``.
        split: Split of the image, or empty.
        regions: Objects in the image.
    """

    image: str
    size: Optional[Size]
    split: str
    regions: list[Region]


class Drawn(NamedTuple):
    """The annotations of a folder's images.

    Args:
        drawings: The images.
        names: Possible classes in the order of their ids.
        notes: What was left out, one line each.
        whole: Whether every pixel is of an object or ignored, so that none is background.
    """

    drawings: list[Drawing]
    names: list[str]
    notes: list[str]
    whole: bool = False


def fill_polygon(points_N2: np.ndarray, size: Size) -> np.ndarray:
    """Return the pixels whose centre is inside a polygon (even-odd rule), ``(H, W)`` bool.

    Args:
        points_N2: x and y in pixels; the upper left corner of the image is (0, 0).
        size: H and W of the image.
    """
    height, width = size
    start_E2, end_E2 = points_N2, np.roll(points_N2, -1, axis=0)
    low = np.minimum(start_E2[:, 1], end_E2[:, 1])
    high = np.maximum(start_E2[:, 1], end_E2[:, 1])
    first = np.clip(np.ceil(low - 0.5), 0, height).astype(int)
    counts = np.clip(np.ceil(high - 0.5), 0, height).astype(int) - first
    edges = np.repeat(np.arange(len(counts)), counts)  # an edge for every row that it crosses
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edges]
    run, rise = (end_E2 - start_E2).T
    x = start_E2[edges, 0] + (rows + 0.5 - start_E2[edges, 1]) * run[edges] / rise[edges]
    columns = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
    crossed = np.zeros((height, width + 1), np.int64)
    np.add.at(crossed, (rows, columns), 1)
    return (np.cumsum(crossed, axis=1)[:, :width] % 2).astype(bool)


def ignored_box(corners_22: np.ndarray, *, shares: bool = False) -> Region:
    """Return an object of which a box alone is known: its pixels are ignored, not background.

    What an outline covers keeps its class.

    Args:
        corners_22: x and y of the upper left and of the lower right corner, in pixels.
        shares: Whether they are shares of width and height instead.
    """

    def paint(size: Size) -> np.ndarray:
        (left, top), (right, bottom) = corners_22 * ([size[1], size[0]] if shares else [1, 1])
        return fill_polygon(
            np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), size
        )

    return Region(IGNORED, paint, _BELOW)


def find_names(drawn: Drawn) -> tuple[list[str], bool]:
    """Return the classes that occur, any background first, and whether pixels are ignored.

    Raises:
        ValueError: If there are too many classes, or none.
    """
    seen = Counter(region.name for drawing in drawn.drawings for region in drawing.regions)
    own = [n for n in drawn.names if seen[n] and n != IGNORED]
    used = own if drawn.whole else [n for n in own if not is_background(n)]
    if not used:
        shown = ', '.join(drawing.image for drawing in drawn.drawings[:2])
        raise ValueError(f'no annotation of {shown}, ... outlines an object: nothing to tell apart')
    if drawn.whole and len(used) < 2:
        raise ValueError(f'every pixel is of the class {used[0]}: nothing to tell apart')
    if len(used) > _MOST:
        raise ValueError(f'{len(used)} classes of objects: at most {_MOST} are painted')
    return used if drawn.whole else ['background', *used], seen[IGNORED] > 0


def layers_of(drawn: Drawn) -> set[int]:
    """Return the layers of all objects but those of which a box alone is known."""
    regions = [region for drawing in drawn.drawings for region in drawing.regions]
    return {region.layer for region in regions if region.layer != _BELOW}


def classes_of_drawn(drawn: Drawn, names: Sequence[str] = ()) -> Classes:
    """Return the classes of masks made from annotations.

    Args:
        drawn: The annotations.
        names: New class names instead of those in the annotations, background first.

    Raises:
        ValueError: If the numbers of names and classes differ.
    """
    own, ignored = find_names(drawn)
    if names and len(names) != len(own):
        raise ValueError(f'{len(names)} names for the {len(own)} classes {own}')
    check_names(names, '--classes')
    known = (*own, *([IGNORED] if ignored else []))
    unused = [n for n in drawn.names if n not in known and not is_background(n)]
    notes = [f'no object is of the class {", ".join(unused[:8])}: left out'] if unused else []
    colors = [(red, green, blue) for red, green, blue in voc_palette(len(own))]
    values = list(range(len(own)))
    return Classes(list(names) or own, values, colors, [IGNORE] * ignored, notes=notes)


def layout_of_drawn(drawn: Drawn, root: Path, masks: str) -> Layout:
    """Return the layout of the images and of the masks to write.

    Args:
        drawn: The annotations.
        root: Folder of the data.
        masks: Folder of the masks, relative to the root.

    Raises:
        ValueError: If two images would have the same mask file.
    """
    twice = Counter(PurePosixPath(d.image).with_suffix('') for d in drawn.drawings)
    for stem, number in twice.items():
        if number > 1:
            raise ValueError(f'{root}/{stem}: two images have this name, or two entries: keep one')
    layout = Layout(root, {}, [], ['.png'], list(drawn.notes))
    layout.image_suffix = sorted({PurePosixPath(d.image).suffix.lower() for d in drawn.drawings})
    for split in sorted({drawing.split for drawing in drawn.drawings}):
        images = [PurePosixPath(d.image) for d in drawn.drawings if d.split == split]
        top = _common([path.parent for path in images])
        stems = sorted(path.relative_to(top).with_suffix('').as_posix() for path in images)
        own = PurePosixPath(masks, top).as_posix()
        layout.parts[split] = Folders(top.as_posix(), own, stems, whole=False)
    return layout


def _common(folders: Sequence[PurePosixPath]) -> PurePosixPath:
    shared = folders[0]
    while any(shared != folder and shared not in folder.parents for folder in folders):
        shared = shared.parent
    return shared


def check_sizes(drawn: Drawn, root: Path) -> None:
    """Refuse annotations whose image size differs from the image.

    Raises:
        ValueError: If an image cannot be read, or its size differs from its annotation.
    """
    wrong, turned = [], False
    for drawing in drawn.drawings:
        size = shown_size(root / drawing.image)
        if drawing.size is not None and drawing.size != size:
            turned |= drawing.size == size[::-1]
            wrong.append(
                f'{root / drawing.image} is {size[1]}x{size[0]} (width x height), and its '
                f'annotation says {drawing.size[1]}x{drawing.size[0]}'
            )
    if wrong:
        more = f' ({len(wrong) - 1} more differ)' if len(wrong) > 1 else ''
        remedy = 'scale one of them'
        if turned:
            remedy = (
                'if an EXIF tag turns images, and outlines were drawn without it, remove the tag'
            )
        raise ValueError(f'{wrong[0]}{more}: the outlines would not fit; {remedy}')


def split_of(path: str) -> str:
    """Return the split in the names of a path; the name nearest to the file counts."""
    parts = PurePosixPath(os.path.splitext(path)[0]).parts
    return next((read_name(p)[1] for p in reversed(parts) if read_name(p)[1]), '')


def find_image(name: str, path: str, images: list[str]) -> Optional[str]:
    """Find the image that an entry names: beside the file, below the root, or anywhere."""
    if '://' in name:
        name = unquote(urlsplit(name).path)
    name = Path(name.replace('\\', '/')).as_posix()
    known = set(images)
    for folder in (PurePosixPath(path).parent, PurePosixPath('.')):
        if (folder / name).as_posix() in known:
            return (folder / name).as_posix()
    base = PurePosixPath(name).name
    found = [image for image in images if f'/{image}'.endswith(f'/{name}')]
    found = found or [image for image in images if PurePosixPath(image).name == base]
    if len(found) > 1:  # one in each split
        found = [i for i in found if split_of(str(PurePosixPath(i).parent)) == split_of(path)]
    if len(found) > 1:
        raise ValueError(f'{path}: {name} may be {found[0]} or {found[1]}: give its path')
    return found[0] if found else None
