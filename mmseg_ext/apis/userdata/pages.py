"""Masks of several pages, one for each class: they become masks of class ids."""

import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ...core.files import write_bytes
from ...core.labels import is_background
from ...core.reading import read_image
from .find.found import Classes, spare_colors
from .find.names import Listed
from .find.pairs import Layout
from .made import made
from .scan import in_threads

_MOST = 255  # classes of an 8-bit mask


def join_pages(
    layout: Layout,
    paths: dict[str, tuple[str, str]],
    folder: Path,
    place: str,
    *,
    names: Sequence[str] = (),
    listed: Listed,
) -> Classes:
    """Write a mask of class ids for each mask whose pages are classes, and let the layout name it.

    Pixels that no page has are background. Of several pages, the later one wins.

    Args:
        layout: Changed in place.
        paths: File of each mask -> its split and stem.
        folder: Folder to write to; it is removed if anything goes wrong.
        place: The same, relative to the root of the layout.
        names: Class names in the order of the pages.
        listed: Class names from a file beside the masks.

    Raises:
        ValueError: If a mask cannot be read, numbers of pages or names differ, or a page is not
            of two values.
    """
    with made(folder):
        jobs = [(path, _out(layout, part, stem)) for path, (part, stem) in paths.items()]
        done = in_threads(lambda job: _join(job[0], folder / job[1]), jobs, title='join pages')
        pages = done[0][0]
        for path, (number, _) in zip(paths, done):
            if number != pages:
                raise ValueError(f'{path}: {number} pages, and {next(iter(paths))} has {pages}')
        found = _classes(pages, names, listed, covered=all(full for _, full in done))
    for part in layout.parts.values():
        part.masks = PurePosixPath(place, part.masks).as_posix()
    layout.mask_suffix = ['.png']
    return found


def _out(layout: Layout, part: str, stem: str) -> str:
    return f'{layout.parts[part].masks}/{stem}.png'


def _join(path: str, out: Path) -> tuple[int, bool]:
    """Write a mask; return the number of its pages, and whether they cover all pixels."""
    pages_HWK = read_image(path)
    if pages_HWK.shape[2] < 2:
        raise ValueError(f'{path}: one page, where --pages classes expects one for each class')
    if pages_HWK.shape[2] > _MOST:
        raise ValueError(f'{path}: {pages_HWK.shape[2]} pages, at most {_MOST} are classes')
    for page in np.moveaxis(pages_HWK, 2, 0):
        values = np.unique(page)
        if len(values) > 2 or (len(values) == 2 and values[0] != 0):
            raise ValueError(
                f'{path}: a page holds the values {values[:4].tolist()}: a page of a class is 0 '
                'where it is not, and one other value where it is'
            )
    labels = np.zeros(pages_HWK.shape[:2], np.uint8)
    for index, page in enumerate(np.moveaxis(pages_HWK, 2, 0), start=1):
        labels[page > 0] = index
    stream = io.BytesIO()
    Image.fromarray(labels).save(stream, 'png')
    write_bytes(out, stream.getvalue())
    return pages_HWK.shape[2], bool(labels.all())


def _classes(pages: int, names: Sequence[str], listed: Listed, *, covered: bool) -> Classes:
    """Return the classes of the pages; pixels of none are one more, unless there are no such."""
    own = list(names) or [entry.name for entry in listed.names]
    notes = [f'the {pages} pages of each mask are classes']
    if len(own) == pages + 1 and is_background(own[0]):
        own = own[1:]
    if names and len(own) != pages:
        raise ValueError(f'{len(names)} names for {pages} pages of classes')
    if len(own) != pages:
        own = [f'page_{number}' for number in range(1, pages + 1)]
        notes.append('the names of the classes are made up: change them')
    values = list(range(1, pages + 1))
    if not covered:
        if any(is_background(name) for name in own):
            raise ValueError(
                'a page is called background, and pixels are in no page: is the order of the names '
                'that of the pages?'
            )
        own, values = ['background', *own], [0, *values]
        notes.append('pixels of no page are background')
    return Classes(own, values, spare_colors(len(own)), notes=notes)
