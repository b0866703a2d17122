"""Write a data set file from a folder of data; ``file.py`` describes its content."""

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple, Optional, Union

from ...core.files import PathLike, path_below
from ...core.labels import evenly
from ...core.words import check_choice
from ...datasets.groups import write_groups
from .depth import note_depth
from .find.classes import MaskContent, classes_of, find_classes, read_content
from .find.folders import MADE, look_below
from .find.found import Classes
from .find.layout import find_layout, has_masks
from .find.names import names_in
from .find.pairs import Layout
from .find.signs import images_are_masks
from .find.splits import SplitBy, add_splits
from .joining import join_channels
from .made import made
from .objects.find import find_object_masks
from .outlines.annotations import find_annotations
from .outlines.drawn import Drawn, classes_of_drawn, layout_of_drawn
from .outlines.paint import paint_masks
from .outlines.panoptic import find_panoptic
from .pages import join_pages
from .pairing import pair_files
from .read import read_data_file
from .scan import in_threads, shows_mask_of
from .unread import naming_unread
from .volumes.cut import Wanted, cut_volumes
from .volumes.find import Found as Volumes
from .volumes.find import find_volumes, pair_volumes
from .volumes.record import write_volumes
from .write import write_data_file

__all__ = ['find_classes', 'init_data_file']


_UNREADABLE = 0.2  # share of the masks: more are not accidental
_COMPARED = 20  # images to compare with their masks


def init_data_file(
    folder: PathLike,
    out: PathLike = 'my_data.yml',
    *,
    classes: Sequence[str] = (),
    ratio: Optional[float] = None,
    seed: Optional[int] = None,
    groups: str = '',
    images: str = '',
    masks: str = '',
    pages: str = '',
    axis: str = '',
    window: Sequence[int] = (),
    force: bool = False,
) -> list[str]:
    """Examine a folder of images and masks, and write its data set file. All masks are read.

    Example::

        for note in apis.init_data_file('photos', 'my_data.yml'):
            print(note)

    Args:
        folder: Folder of the data; ``find/layout.py`` lists the layouts that are understood.
        out: The file to write. If a split has to be made, its lists are written beside it.
        classes: Class names in the order of the values in the masks. Without them, a file of names
            in the folder is used, or names are made from the values.
        ratio: Share of training images if the folder has no split; 0.8 by default.
        seed: Seed of that split; 0 by default.
        groups: Regular expression for the patient or sequence in a stem; see ``SplitBy``.
        images: Folder of the images below ``folder``, if its name is not clear.
        masks: The same for masks.
        pages: ``'classes'`` if each page of a mask is a class.
        axis: Of volumes, ``'axial'``, ``'coronal'`` or ``'sagittal'`` slices; else those that lie
            farthest apart.
        window: Of volumes, the values that are black and white, such as ``(-160, 240)``.
        force: Replace existing files.

    Returns:
        Notes on findings and guesses.

    Raises:
        FileExistsError: If ``out`` or its lists exist, and ``force`` is not given.
        FileNotFoundError: If there is no such folder.
        ImportError: If there are volumes, and nibabel is not installed.
        ValueError: If ``out`` is a folder, there are no pairs, a mask cannot be read, or the values
            of the masks are not classes.
    """
    asked = _Asked(
        classes, SplitBy(ratio, seed, groups), images, masks, pages, Wanted(axis, window)
    )
    asked.check()
    places = _free_places(Path(out), force)
    root = Path(folder)
    layout, found = _examine(root, asked, places)
    write_data_file(layout, found, places.out, places.lists)
    sizes = ', '.join(f'{name} {len(part.stems)}' for name, part in layout.parts.items())
    notes = [*layout.notes, *found.notes, *_warnings(places.out)]
    return [f'{out}: {len(found.names)} classes, images: {sizes}', *notes]


class _Asked(NamedTuple):
    """What the user asks for; see :func:`init_data_file`."""

    classes: Sequence[str]
    how: SplitBy
    images: str
    masks: str
    pages: str
    volumes: Wanted

    def check(self) -> None:
        if self.pages:
            check_choice('pages', self.pages, ('classes',))
        self.how.check()
        self.volumes.check()


class _Places(NamedTuple):
    """What is written: the file, and beside it what the data need."""

    out: Path
    lists: Path
    masks: Path
    images: Path
    groups: Path
    volumes: Path

    @property
    def own(self) -> list[Path]:
        """Folders that belong to no data; that of images may be the user's."""
        return [self.lists, self.masks]


def _free_places(out: Path, force: bool) -> _Places:
    """Return where to write, if nothing is in the way."""
    if out.is_dir():
        raise ValueError(f'{out} is a folder: name the file to write, such as {out}/my_data.yml')
    names = ('splits', 'masks', 'images', 'groups.csv', 'volumes.json')
    places = _Places(out, *(out.with_name(f'{out.stem}_{name}') for name in names))
    for path in (out, *places.own, places.images / MADE, places.groups, places.volumes):
        if path.exists() and not force:
            raise FileExistsError(f'{path} is there already: give --force to replace it, or --out')
    return places


def _examine(root: Path, asked: _Asked, places: _Places) -> tuple[Layout, Classes]:
    """Find images, masks and classes, and write what is to be made of them."""
    chosen = bool(asked.pages or asked.images or asked.masks)
    with_masks = has_masks(root, places.own) if root.is_dir() else True
    volumes = None if with_masks else find_volumes(root, places.own)
    if volumes is not None:
        return _from_volumes(volumes, asked, places)
    asked.volumes.refuse(root)
    drawn = None if chosen or not root.is_dir() else _find_drawn(root, places.own, with_masks)
    if drawn is not None:
        return _from_drawn(drawn, root, asked, places)
    joined = path_below(places.images, root)
    with naming_unread(root, places.own) if not (chosen or with_masks) else nullcontext():
        layout = find_layout(
            root, how=asked.how, images=asked.images, masks=asked.masks, own=places.own,
            joined=joined,
        )  # fmt: skip
    found = _find_classes(layout, places, asked)
    if layout.channels:
        join_channels(layout, places.images)
    else:
        note_depth(layout, _some_images(layout))
    return layout, found


def _from_volumes(volumes: Volumes, asked: _Asked, places: _Places) -> tuple[Layout, Classes]:
    """Cut volumes into slices, and note patients and spacing in files."""
    if asked.pages:
        raise ValueError(f'{volumes.tree.root}: --pages is for TIFF files, and there are volumes')
    layout, cases = pair_volumes(
        volumes, asked.how, images=asked.images, masks=asked.masks, own=places.own
    )
    with made(places.images, places.masks):
        cut = cut_volumes(layout, cases, asked.volumes, places.images, places.masks)
        found = _find_classes(layout, places, asked)
        write_groups(places.groups, cut.groups(), name='patient')
        write_volumes(places.volumes, cut.axis, cut.volumes)
    layout.group_file = path_below(places.groups, layout.root)
    layout.volume_file = path_below(places.volumes, layout.root)
    return layout, found


def _from_drawn(drawn: Drawn, root: Path, asked: _Asked, places: _Places) -> tuple[Layout, Classes]:
    """Paint masks of objects."""
    found = classes_of_drawn(drawn, asked.classes)
    layout = layout_of_drawn(drawn, root, path_below(places.masks, root))
    add_splits(layout, asked.how, own=places.own)
    layout.notes += paint_masks(drawn, root, places.masks)
    note_depth(layout, _some_images(layout))
    return layout, found


def _find_drawn(root: Path, own: Sequence[Path], with_masks: bool) -> Optional[Drawn]:
    """Read objects that are outlined, or whose masks lie in a file each."""
    drawn = find_panoptic(root, own)
    if drawn is None and not with_masks:
        drawn = find_annotations(root, own)
    if drawn is not None:
        return drawn
    with naming_unread(root, own):
        tree = look_below(root, own)
    return find_object_masks(tree)


def _find_classes(layout: Layout, places: _Places, asked: _Asked) -> Classes:
    """Detect the classes of the masks, or of their pages, which are joined then."""
    listed, names = names_in(layout.root, places.own), asked.classes
    if asked.pages:
        place, paths = path_below(places.masks, layout.root), _mask_paths(layout)
        return join_pages(layout, paths, places.masks, place, names=names, listed=listed)
    contents = _read_masks(layout)
    found = classes_of(contents, names=names, listed=listed)
    _leave_out_unlabelled(layout, contents, found)
    return found


def _read_masks(layout: Layout) -> list[MaskContent]:
    """Read all masks; leave a few unreadable ones out of their splits, with a note.

    Raises:
        ValueError: If many masks cannot be read, or a split would be empty.
    """
    paths = _mask_paths(layout)
    results = in_threads(_read_or_reason, list(paths), title='read masks')
    reasons = {path: r for path, r in zip(paths, results) if isinstance(r, str)}
    if len(reasons) > _UNREADABLE * len(paths):
        more = f' (and {len(reasons) - 1} masks more)' if len(reasons) > 1 else ''
        raise ValueError(f'{next(iter(reasons.values()))}{more}')
    for path, reason in reasons.items():
        part, stem = paths[path]
        layout.parts[part].stems.remove(stem)
        layout.parts[part].whole = False
        layout.notes.append(f'left out of {part}: {reason}')
        if not layout.parts[part].stems:
            raise ValueError(reason)
    return [content for content in results if isinstance(content, MaskContent)]


def _leave_out_unlabelled(layout: Layout, contents: Sequence[MaskContent], found: Classes) -> None:
    """Leave a test split out whose masks are kept back (Cityscapes): they hold no class."""
    parts = {path: part for path, (part, _) in _mask_paths(layout).items()}
    ignored = set(found.ignored)
    labelled = {
        parts[content.facts.path]
        for content in contents
        if not set(content.values if found.values else content.colors) <= ignored
    }
    if 'test' in layout.parts and 'test' not in labelled:
        part = layout.parts.pop('test')
        layout.notes.append(f'{part.masks}: no mask holds a class: left out, and val is tested')


def _read_or_reason(path: str) -> Union[MaskContent, str]:
    try:
        return read_content(path)
    except (OSError, ValueError) as error:
        return str(error)


def _warnings(out: Path) -> list[str]:
    """Return the warnings of the check on images that are pictures of masks."""
    data = read_data_file(out)
    pairs = evenly(pair_files(data, 'train').pairs, _COMPARED)
    sign = images_are_masks(in_threads(lambda pair: shows_mask_of(data, pair), pairs))
    return [] if sign is None else [f'warning, {sign.kind}: {sign.text}']


def _mask_paths(layout: Layout) -> dict[str, tuple[str, str]]:
    """Map the masks of all splits to split and stem."""
    paths = {}
    for name, part in layout.parts.items():
        folder = layout.root / part.masks
        for stem in part.stems:
            place = f'{folder}/{stem}'  # a stem may end in / for the only file of a folder
            paths[str(_file_of(place, layout.mask_suffix))] = (name, stem)
    return paths


def _some_images(layout: Layout) -> list[str]:
    part = layout.parts['train']
    folder = layout.root / part.images
    return [str(_file_of(f'{folder}/{stem}', layout.image_suffix))
            for stem in evenly(part.stems, _COMPARED)]  # fmt: skip


def _file_of(stem: str, suffixes: Sequence[str]) -> Path:
    folder, name = os.path.split(stem)
    for path in sorted(Path(folder).glob(f'{_escaped(name)}*')):
        if path.name[len(name) :].lower() in suffixes:
            return path
    raise FileNotFoundError(f'{stem}: no file ending in {", ".join(suffixes)}')


def _escaped(name: str) -> str:
    return re.sub(r'([*?[])', r'[\1]', name)
