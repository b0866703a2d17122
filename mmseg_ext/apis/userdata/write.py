"""Write a data set file, and the lists of its splits."""

import json
import shlex
from pathlib import Path

from ...core.files import path_below, write_bytes
from ...core.words import command
from ...datasets.splits import write_lists
from .file import PARTS
from .find.folders import MADE
from .find.found import Classes
from .find.pairs import Folders, Layout
from .read import as_name, parse_data_file


def write_data_file(layout: Layout, found: Classes, out: Path, lists: Path) -> None:
    """Write a data set file, and lists of its splits where these are not whole folders.

    Args:
        layout: Folders and stems.
        found: The classes.
        out: The file.
        lists: Folder of the lists.

    Raises:
        ValueError: If the file could not be read again; nothing is written then.
    """
    text = _as_yaml(layout, found, out)
    parse_data_file(text.encode(), out)
    made = {name: part.stems for name, part in layout.parts.items() if not part.whole}
    if made:
        write_lists(str(lists), made)
        write_bytes(lists / MADE, b'')
    write_bytes(out, text.encode())


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
    for key in ('image_channels', 'image_min_value', 'image_max_value'):
        if getattr(layout, key) is not None:
            lines.append(f'{key}: {getattr(layout, key)}')
    for key in ('group_file', 'volume_file'):
        if getattr(layout, key):
            lines.append(f'{key}: {json.dumps(getattr(layout, key), ensure_ascii=False)}')
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
