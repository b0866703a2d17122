"""Write a data set file from a folder of data; ``file.py`` describes its content."""

import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

from ...core.files import PathLike, path_below, write_bytes
from ...core.labels import evenly
from ...core.words import check_choice, command
from ...datasets.splits import write_lists
from .depth import note_depth
from .file import PARTS
from .find.classes import MaskContent, classes_of, find_classes, read_content
from .find.folders import MADE, look_below
from .find.found import Classes
from .find.layout import find_layout, has_masks
from .find.names import names_in
from .find.pairs import Folders, Layout
from .find.signs import images_are_masks
from .find.splits import SplitBy, add_splits
from .joining import join_channels
from .outlines.annotations import find_annotations, refuse_panoptic
from .outlines.drawn import Drawn, classes_of_drawn, layout_of_drawn, paint_masks
from .outlines.object_masks import find_object_masks
from .pages import join_pages
from .pairing import pair_files
from .read import as_name, read_data_file
from .scan import in_threads, shows_mask_of

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
        force: Replace existing files.

    Returns:
        Notes on findings and guesses.

    Raises:
        FileExistsError: If ``out`` or its lists exist, and ``force`` is not given.
        FileNotFoundError: If there is no such folder.
        ValueError: If ``out`` is a folder, there are no pairs, a mask cannot be read, or the values
            of the masks are not classes.
    """
    out = Path(out)
    if out.is_dir():
        raise ValueError(f'{out} is a folder: name the file to write, such as {out}/my_data.yml')
    own = [out.with_name(f'{out.stem}_{what}') for what in ('splits', 'masks')]
    joined = out.with_name(f'{out.stem}_images')
    for path in (out, *own, joined / MADE):
        if path.exists() and not force:
            raise FileExistsError(f'{path} is there already: give --force to replace it, or --out')
    if pages:
        check_choice('pages', pages, ('classes',))
    root = Path(folder)
    how = SplitBy(ratio, seed, groups)
    how.check()
    chosen = bool(images or masks)
    drawn = None if pages or chosen or not root.is_dir() else _find_drawn(root, own)
    if drawn is not None:
        found = classes_of_drawn(drawn, classes)
        layout = layout_of_drawn(drawn, root, path_below(own[1], root))
        add_splits(layout, how, own=own)
        paint_masks(drawn, root, own[1])
    else:
        place = path_below(joined, root)
        layout = find_layout(root, how=how, images=images, masks=masks, own=own, joined=place)
        found = _find_classes(layout, own, classes, pages=pages)
    if layout.channels:
        join_channels(layout, joined)
    else:
        note_depth(layout, _some_images(layout))
    _write(layout, found, out, own[0])
    sizes = ', '.join(f'{name} {len(part.stems)}' for name, part in layout.parts.items())
    notes = [*layout.notes, *found.notes, *_warnings(out)]
    return [f'{out}: {len(found.names)} classes, images: {sizes}', *notes]


def _find_drawn(root: Path, own: Sequence[Path]) -> Optional[Drawn]:
    """Read objects that are outlined, or whose masks lie in a file each."""
    refuse_panoptic(root, own)
    if has_masks(root, own):
        return find_object_masks(look_below(root, own))
    return find_annotations(root, own)


def _find_classes(
    layout: Layout, own: Sequence[Path], names: Sequence[str], *, pages: str
) -> Classes:
    """Detect the classes of the masks, or of their pages, which are joined then."""
    listed = names_in(layout.root, own)
    paths = _mask_paths(layout)
    if pages:
        place = path_below(own[1], layout.root)
        return join_pages(layout, paths, own[1], place, names=names, listed=listed)
    contents = _read_masks(layout)
    found = classes_of(contents, names=names, listed=listed)
    _leave_out_unlabelled(layout, contents, found)
    return found


def _write(layout: Layout, found: Classes, out: Path, lists: Path) -> None:
    text = _as_yaml(layout, found, out)
    made = {name: part.stems for name, part in layout.parts.items() if not part.whole}
    if made:
        write_lists(str(lists), made)
        write_bytes(lists / MADE, b'')
    write_bytes(out, text.encode())
    read_data_file(out)  # check that our own file can be read


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


# ---------------------------------------------------------------------------------- file


def _as_yaml(layout: Layout, found: Classes, out: Path) -> str:
    """Return the text of the file, with one line per entry."""
    home = out.parent.absolute()
    root = layout.root.absolute()
    inside = root == home or home in root.parents
    shown = path_below(root, home) if inside else root.as_posix()
    kind = 'values' if found.values else 'colors'
    lines = [
        f'# What {command("dataset")} init found; correct what is wrong, then',
        f'# {command("dataset")} check {shlex.quote(out.name)}',
        f'name: {json.dumps(as_name(root.resolve().name), ensure_ascii=False)}',
        f'root: {json.dumps(shown, ensure_ascii=False)}  # relative to this file',
        f'masks: {kind}  # what they hold: class values, or the colors of the classes',
        'classes:  # in the order of their ids',
    ]
    for index, (name, color) in enumerate(zip(found.names, found.colors)):
        value = f', value: {found.values[index]}' if kind == 'values' else ''
        text = json.dumps(name, ensure_ascii=False)
        lines.append(f'- {{name: {text}{value}, color: {list(color)}}}')
    if found.threshold is not None:
        lines.append(f'mask_threshold: {found.threshold}  # masks are 1 from here on')
    else:
        ignored = [list(v) if isinstance(v, tuple) else v for v in found.ignored]
        lines.append(f'ignore_value: {json.dumps(ignored or None)}  # no label; counts nowhere')
    lines += [
        f'image_suffix: {json.dumps(layout.image_suffix)}',
        f'mask_suffix: {json.dumps(layout.mask_suffix)}',
    ]
    for key in ('image_channels', 'image_max_value'):
        if getattr(layout, key) is not None:
            lines.append(f'{key}: {getattr(layout, key)}')
    for name in PARTS:
        if name in layout.parts:
            lines.append(f'{name}: {_part_line(layout.parts[name], name, out)}')
    return '\n'.join(lines) + '\n'


def _part_line(part: Folders, name: str, out: Path) -> str:
    entries = dict(images=part.images, masks=part.masks)
    if not part.whole:
        entries['list'] = f'{out.stem}_splits/{name}.txt'
    return (
        '{'
        + ', '.join(f'{k}: {json.dumps(v, ensure_ascii=False)}' for k, v in entries.items())
        + '}'
    )
