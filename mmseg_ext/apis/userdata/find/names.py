"""Class names in files of the data set: text files, and JSON of several tools."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ....core.files import read_foreign_json
from ....core.labels import Color
from .folders import data_files

_TEXTS = (
    'classes.txt', 'class_names.txt', 'classnames.txt', 'names.txt', 'labels.txt', 'labelmap.txt',
    'label_colors.txt', 'class_dict.csv', 'classes.csv', '_classes.csv', 'label_names.txt',
)  # fmt: skip
_PER_FOLDER = ('label_names.txt', '_classes.csv')  # of labelme_json_to_dataset, and Roboflow
_JSONS = (
    'classes.json', 'class_names.json', 'dataset.json', 'labels.json', 'names.json',
    'categories.json', 'label_map.json', 'labelmap.json', 'meta.json',
)  # fmt: skip
_LISTS = ('classes', 'labels', 'names', 'categories', 'class_names')  # keys of lists of names
IGNORE_NAME = 'ignore'  # nnU-Net's name of unlabelled pixels
UNLABELLED = '__ignore__'  # LabelMe's
_REGIONS = (
    'names regions, which overlap: a class is what nnU-Net writes with its value, a region without '
    'those that are written over it'
)
_HEADS = (['name', 'r', 'g', 'b'], ['Pixel', 'Value', 'Class'])  # the last one is Roboflow's
_VALUES = ('value', 'id', 'index', 'class_id', 'category_id')
_NAMES = ('name', 'title', 'label', 'class', 'class_name')


class Name(NamedTuple):
    """A class name, with its value or color if the file has it."""

    name: str
    value: Optional[int] = None
    color: Optional[Color] = None


class Listed(NamedTuple):
    """Class names and the file that they come from; no names if the file was not understood."""

    names: list[Name]
    source: str = ''
    note: str = ''


def names_in(folder: Optional[Path], own: Sequence[Path] = ()) -> Listed:
    """Read the class names from the first usual file in a folder that has some.

    Lines of text are ``name``, ``id name``, ``r g b name``, or ``name,r,g,b`` and ``name:r,g,b::``.
    JSON is a list of names, or of dicts of a name and its value or color; or a dict from names
    to values or colors, or from values to names (``dataset.json`` of nnU-Net).

    Args:
        folder: Folder to search, with its subfolders.
        own: Folders that init writes itself.
    """
    if folder is None:
        return Listed([])
    found: dict[str, list[Path]] = {}
    for path in data_files(folder, own):
        found.setdefault(path.name.lower(), []).append(path)
    unread = ''
    for name in _PER_FOLDER:
        _refuse_several(found.get(name, []))
    for name in (*_TEXTS, *_JSONS):
        for path in sorted(found.get(name, [])):
            source = path.relative_to(folder).as_posix()
            content: Any = read_foreign_json(path) if name in _JSONS else None
            regions = _regions(content)
            if regions:
                return Listed(regions, source, f'{source} {_REGIONS}')
            names, note = (_names_of(content), '') if name in _JSONS else _from_text(path)
            if names:
                return Listed(names, source, note and f'{source} {note}')
            unread = unread or source
    return Listed([], unread)


def _refuse_several(paths: Sequence[Path]) -> None:
    """Refuse files that number the classes of their own folder, if they differ.

    Raises:
        ValueError: If they do.
    """
    read = [_from_text(path)[0] for path in sorted(paths)]
    other = next((path for path, names in zip(sorted(paths), read) if names != read[0]), None)
    if other is not None:
        raise ValueError(
            f'{min(paths)} and {other} number the classes differently, each for the masks of its '
            'own folder: make masks that agree, or take the JSON files of LabelMe themselves'
        )


def _decoded(path: Path) -> tuple[str, str]:
    """Return the text of a file, and a note if it had to be guessed how letters are stored."""
    content = path.read_bytes()
    wide = content[:2] in (b'\xff\xfe', b'\xfe\xff')
    try:
        return content.decode('utf-16' if wide else 'utf-8-sig'), ''
    except UnicodeDecodeError:
        note = 'is no UTF-8, and read as Windows-1252: are its names right?'
        return content.decode('cp1252', errors='replace'), note


def _from_text(path: Path) -> tuple[list[Name], str]:
    """Return the names in a text file, and a note on it."""
    text, note = _decoded(path)
    lines = [line.strip() for line in text.splitlines()]
    names = _of_lines([line for line in lines if line and line[0] != '#'])
    if names and names[0].value is None and names[0].name.lower() == UNLABELLED:
        # LabelMe numbers its labels from -1
        return names[1:], f'begins with {UNLABELLED}, which is no value of the masks, as in LabelMe'
    return names, note


def _of_lines(lines: list[str]) -> list[Name]:
    """Read lines that are alike: of names alone, or of names with a value or a color each."""
    split = [[w.strip('"') for w in re.split(r'[\s,;:]+', line) if w.strip('"')] for line in lines]
    kinds = [sum(_is_number(word) for word in words) for words in split]
    if split and (split[0] in _HEADS or _is_head(lines, split, kinds)):
        lines, split, kinds = lines[1:], split[1:], kinds[1:]
    if any(len(words) == number for words, number in zip(split, kinds)):
        return []  # a line without a name
    names = [' '.join(w for w in words if not _is_number(w)) for words in split]
    if len(set(kinds)) == 1 and kinds[0] in (0, 1, 3) and len(set(names)) == len(names):
        found = [_named(name, words) for name, words in zip(names, split)]
        return found if kinds[0] < 3 or all(name.color for name in found) else []
    if max(kinds, default=9) < 3:  # class 1, class 2: numbers belong to the names
        return [Name(line.strip('"')) for line in lines]
    return []


def _is_head(lines: list[str], split: list[list[str]], kinds: list[int]) -> bool:
    """Tell whether the first line names the columns of the others."""
    rest = set(kinds[1:])
    columns = len(split[0]) == max(rest, default=0) + 1 and re.search('[,;\t]', lines[0])
    return kinds[0] == 0 and rest in ({1}, {3}) and bool(columns)


def _is_number(word: str) -> bool:
    return re.fullmatch(r'\d{1,5}', word) is not None


def _named(name: str, words: list[str]) -> Name:
    numbers = [int(word) for word in words if _is_number(word)]
    color = _color(numbers)
    return Name(name, numbers[0] if len(numbers) == 1 else None, color)


def _names_of(content: Any) -> list[Name]:
    if isinstance(content, list):
        found = [_entry(item) for item in content]
        return [name for name in found if name] if all(found) else []
    if not isinstance(content, dict):
        return []
    for key in _LISTS:
        if isinstance(content.get(key), (list, dict)):
            return _names_of(content[key])
    found = [_item(str(key), value) for key, value in content.items()]
    return [name for name in found if name] if found and all(found) else []


def _regions(content: Any) -> list[Name]:
    """Read nnU-Net's regions, sets of values that overlap; a value is named by the last one.

    nnU-Net writes the regions one over the other, each as its value in ``regions_class_order``.
    """
    labels = content.get('labels') if isinstance(content, dict) else None
    order = content.get('regions_class_order') if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not isinstance(order, list):
        return []
    plain = {
        name: value for name, value in labels.items() if value in (0, [0]) or name == IGNORE_NAME
    }
    named = dict(zip([name for name in labels if name not in plain], order))
    values = {**{n: v[0] if isinstance(v, list) else v for n, v in plain.items()}, **named}
    whole = len(values) == len(labels) and all(type(value) is int for value in values.values())
    return [Name(name, value) for name, value in values.items()] if whole else []


def _entry(item: Any) -> Optional[Name]:
    """Read an entry of a list: a name or a dict."""
    if isinstance(item, str):
        return Name(item)
    if not isinstance(item, dict):
        return None
    name = next((item[key] for key in _NAMES if isinstance(item.get(key), str)), None)
    value = next((item[key] for key in _VALUES if type(item.get(key)) is int), None)
    return Name(name, value, _color(item.get('color'))) if name else None


def _item(key: str, value: Any) -> Optional[Name]:
    """Read an item of a dict: value to name, name to value, or name to color."""
    if re.fullmatch(r'\d{1,5}', key) and isinstance(value, str):
        return Name(value, int(key))
    if isinstance(value, list) and len(value) == 1:  # nnU-Net's region of one value
        value = value[0]
    if type(value) is int:
        return Name(key, value)
    color = _color(value)
    return Name(key, None, color) if color else None


def _color(value: Any) -> Optional[Color]:
    if isinstance(value, str) and re.fullmatch(r'#[0-9a-fA-F]{6}', value):
        return int(value[1:3], 16), int(value[3:5], 16), int(value[5:], 16)
    whole = isinstance(value, list) and len(value) == 3
    if whole and all(type(part) is int and 0 <= part <= 255 for part in value):
        return value[0], value[1], value[2]
    return None
