"""Read a data set file: check the type of each entry and report each mistake in one line."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ...core.files import PathLike
from ...core.labels import Color, voc_palette
from ...core.words import command
from ...datasets.folder import IMAGE_SUFFIXES, MASK_SUFFIXES
from .entries import as_color, as_list, as_mapping, as_path, as_text, from_one, whole_number, window
from .file import PARTS, DataFile, ignore_index_of
from .yaml_text import parse_yaml, shown

_KEYS = {
    'name', 'root', 'masks', 'classes', 'ignore_value', 'image_suffix', 'mask_suffix',
    'mask_threshold', 'crop_size', 'group_file', 'image_max_value', 'image_channels', 'unlabelled',
    'image_min_value', 'volume_file', *PARTS,
}  # fmt: skip
_CLASS_KEYS = {'name', 'value', 'color'}
_PART_KEYS = {'images', 'masks', 'list'}
_MOST_CLASSES = 65535  # labels have 16 bits, and one of them is the ignored label
_LARGEST_CROP = 16384
_LONGEST_NAME = 100


def read_data_file(path: PathLike) -> DataFile:
    """Read a data set file.

    Args:
        path: YAML, as ``python tools/dataset.py init`` writes it.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is not YAML, or an entry is missing, unknown, or contradicts another.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(
            f'{path}: a folder, not the file that describes it; {command("dataset")} init '
            f'{shlex.quote(str(path))} writes one'
        )
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such data set file; {command("dataset")} init FOLDER --out '
            f'{shlex.quote(str(path))} writes one'
        )
    return parse_data_file(path.read_bytes(), path)


def parse_data_file(content: bytes, path: Path) -> DataFile:
    """Parse the content of a data set file; see :func:`read_data_file`."""
    entries = parse_yaml(content, path)
    try:
        return _parse(entries, path)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


def _parse(content: Any, path: Path) -> DataFile:
    if content is None:
        raise ValueError(f'the file is empty; {command("dataset")} init writes one')
    entries = as_mapping(content, _KEYS, 'the file')
    absent = [key for key in ('classes', 'train', 'val') if not entries.get(key)]
    if absent:
        raise ValueError(f'{", ".join(absent)} must be given; see {command("dataset")} init')
    kind = entries.get('masks', 'values')
    if kind not in ('values', 'colors'):
        raise ValueError(f'masks must be values or colors, got {shown(kind)}')
    classes = _classes(entries)
    names = [entry['name'] for entry in classes]
    threshold = whole_number(entries, 'mask_threshold')
    if threshold is not None and (kind == 'colors' or len(names) != 2):
        raise ValueError('mask_threshold makes masks of 0 and 1: give two classes, masks: values')
    palette = _palette(classes, kind)
    values = _values(classes, palette, entries.get('ignore_value'), kind)
    if threshold is not None and values != {0: 0, 1: 1}:
        raise ValueError(
            'with mask_threshold the values are 0 and 1: leave value, ignore_value out'
        )
    black, white = window(entries)
    return DataFile(
        path=path,
        name=_name(entries.get('name', default_name(path))),
        root=(path.parent / as_path(entries.get('root') or '.', 'root')).absolute(),
        classes=tuple(names),
        palette=palette,
        values=values,
        parts={name: _part(entries[name], name) for name in PARTS if entries.get(name)},
        color_masks=kind == 'colors',
        mask_threshold=threshold,
        image_suffix=_suffixes(entries, 'image_suffix', IMAGE_SUFFIXES),
        mask_suffix=_suffixes(entries, 'mask_suffix', MASK_SUFFIXES),
        crop_size=_crop_size(entries.get('crop_size')),
        group_file=as_path(entries.get('group_file') or '', 'group_file'),
        image_max_value=white,
        image_channels=from_one(entries, 'image_channels'),
        image_min_value=black,
        volume_file=as_path(entries.get('volume_file') or '', 'volume_file'),
        unlabelled=_unlabelled(entries.get('unlabelled')),
    )


def _classes(entries: Mapping[str, Any]) -> list[dict]:
    """Name, value and color of each class, no two of one name."""
    listed = as_list(entries, 'classes')
    if len(listed) > _MOST_CLASSES:
        raise ValueError(f'{len(listed)} classes: labels have 16 bits, for at most {_MOST_CLASSES}')
    classes = [_class(entry, index) for index, entry in enumerate(listed)]
    names = [entry['name'] for entry in classes]
    twice = sorted(name for name, number in Counter(names).items() if number > 1)
    if twice or len(names) < 2:
        raise ValueError(
            f'two classes are called {shown(twice[0])}' if twice
            else 'at least two classes are needed; the background is one'
        )  # fmt: skip
    return classes


def default_name(path: Path) -> str:
    """Return the default name of a data set: that of the file, or of the folder for my_data.yml."""
    stem = path.absolute().parent.name if path.stem == 'my_data' else path.stem
    return as_name(stem)


def as_name(text: str) -> str:
    """Turn the name of a folder into a data set name, which is used in names of run folders."""
    return re.sub(r'[^\w.\-]+', '_', text).strip('_.-')[:_LONGEST_NAME] or 'my_data'


def _name(value: Any) -> str:
    name = as_text(value, 'name')
    if not re.fullmatch(r'\w[\w.\-]*', name) or len(name) > _LONGEST_NAME:
        raise ValueError(
            f'name must be of letters, digits, _, - and ., got {shown(name)}: it becomes part of '
            f'the name of run folders (at most {_LONGEST_NAME} letters)'
        )
    return name


def _class(entry: Any, index: int) -> dict:
    where = f'classes[{index}]'
    if not isinstance(entry, dict):
        return dict(name=as_text(entry, where), value=index)
    as_mapping(entry, _CLASS_KEYS, where)
    values = entry.get('value', index)
    for value in values if isinstance(values, list) else [values]:
        if value is None:
            raise ValueError(f'the value of {where} is empty: give the number that masks hold')
        whole_number(dict(value=value), 'value')
    if values == []:
        raise ValueError(f'the list of values of {where} is empty')
    color = entry.get('color')
    return dict(
        name=as_text(entry.get('name'), f'the name of {where}'),
        value=values,
        color=None if color is None else as_color(color, where),
    )


def _palette(classes: list[dict], kind: str) -> tuple[Color, ...]:
    without = [entry['name'] for entry in classes if entry.get('color') is None]
    if kind == 'colors' and without:
        raise ValueError(
            f'with masks: colors each class needs its color, as {{name: {without[0]}, color: '
            f'[255, 0, 0]}}; {shown(without)} have none'
        )
    spare = voc_palette(len(classes))
    return tuple(
        entry.get('color') or as_color(spare[index], 'classes')
        for index, entry in enumerate(classes)
    )


def _values(
    classes: list[dict], palette: Sequence[Color], ignored: Any, kind: str
) -> dict[Any, int]:
    """Map the value (or color) in the masks to the class id or the ignored label."""
    table: dict[Any, int] = {}
    for label, (entry, color) in enumerate(zip(classes, palette)):
        own = entry['value'] if isinstance(entry['value'], list) else [entry['value']]
        for value in [color] if kind == 'colors' else own:
            if value in table:
                raise ValueError(
                    f'classes {classes[table[value]]["name"]!r} and {entry["name"]!r} have the '
                    f'same {"color" if kind == "colors" else "value"} {value}'
                )
            table[value] = label
    for value in _ignored_values(ignored, kind):
        if value in table:
            name = classes[table[value]]['name']
            raise ValueError(f'ignore_value {value} is the value of class {name!r}, too')
        table[value] = ignore_index_of(len(classes))
    return table


def _ignored_values(ignored: Any, kind: str) -> list:
    if ignored is None:
        return []
    if kind == 'colors':
        nested = isinstance(ignored, list) and ignored and isinstance(ignored[0], list)
        return [as_color(color, 'ignore_value') for color in (ignored if nested else [ignored])]
    values = ignored if isinstance(ignored, list) else [ignored]
    if None in values:
        raise ValueError('ignore_value holds an empty entry: give numbers, or null alone for none')
    return list(dict.fromkeys(whole_number(dict(ignore_value=v), 'ignore_value') for v in values))


def _part(entry: Any, name: str) -> dict[str, str]:
    part = as_mapping(entry, _PART_KEYS, name)
    absent = [key for key in ('images', 'masks') if not part.get(key)]
    if absent:
        raise ValueError(f'{name} must name the folder of its {" and ".join(absent)}')
    return {key: as_path(value, f'{name}.{key}') for key, value in part.items() if value}


def _unlabelled(entry: Any) -> dict[str, str]:
    """A folder alone, or ``images`` and ``list``."""
    if entry is None:
        return {}
    part = as_mapping(
        entry if isinstance(entry, dict) else dict(images=entry), {'images', 'list'}, 'unlabelled'
    )
    if not part.get('images'):
        raise ValueError('unlabelled must name the folder of its images')
    return {key: as_path(value, f'unlabelled.{key}') for key, value in part.items() if value}


def _suffixes(entries: Mapping[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = entries.get(key)
    if value is None:
        return default
    return tuple(as_text(v, key).lower() for v in (value if isinstance(value, list) else [value]))


def _crop_size(value: Any) -> Optional[tuple[int, int]]:
    if value is None:
        return None
    sizes = value if isinstance(value, list) else [value, value]
    if len(sizes) != 2 or not all(type(v) is int and 0 < v <= _LARGEST_CROP for v in sizes):
        raise ValueError(
            f'crop_size must be [height, width] in pixels, at most {_LARGEST_CROP}, got '
            f'{shown(value)}'
        )
    return sizes[0], sizes[1]
