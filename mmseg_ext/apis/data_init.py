"""Write a data set file by looking at the data; see ``data_file.py`` for what it says."""

import io
import json
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from PIL import Image

from mmseg_ext.core.files import write_bytes
from mmseg_ext.datasets.loading import read_mask
from mmseg_ext.datasets.splits import write_lists

from .data_file import PARTS, read_data_file
from .data_layout import Folders, Layout, find_layout
from .data_scan import count_colors, in_threads
from .pictures import voc_palette

PathLike = Union[str, Path]
Color = Tuple[int, int, int]

_MAX_COLORS = 64  # more than any data set has classes with colours told apart by eye
_MAX_VALUES = 256
_VOC_BORDER = (224, 224, 192)
_NAME_FILES = (
    'classes.txt', 'class_names.txt', 'classnames.txt', 'names.txt', 'labels.txt', 'labelmap.txt',
    'label_colors.txt', 'class_dict.csv', 'classes.csv',
)  # fmt: skip


class _Content(NamedTuple):
    """What one mask holds: values (or colours) -> pixels, and the colours of its palette."""

    values: Dict[Any, int]
    palette: Optional[List[Color]]


@dataclass
class Classes:
    """The classes that masks were found to hold.

    Args:
        names: Of the classes, in the order of their values.
        values: Value of each; empty if the masks hold colours.
        colors: RGB of each.
        ignored: Values or colours without a class.
        threshold: Masks become 1 from this value on.
        notes: What was guessed, a line each.
    """

    names: List[str]
    values: List[int]
    colors: List[Color]
    ignored: List[Any] = field(default_factory=list)
    threshold: Optional[int] = None
    notes: List[str] = field(default_factory=list)


def init_data_file(
    folder: PathLike,
    out: PathLike = 'my_data.yml',
    *,
    classes: Sequence[str] = (),
    ratio: float = 0.8,
    seed: int = 0,
    groups: str = '',
    force: bool = False,
) -> List[str]:
    """Look at a folder of images and masks and write its data set file. All masks are read.

    Args:
        folder: Of the data; see ``data_layout.py`` for the layouts that are understood.
        out: The file to write. Lists of a split that had to be made lie beside it.
        classes: Names, in the order of the values in the masks; else a file of names in the
            folder, else names made up from the values.
        ratio: Share of training images where the folder has no split.
        seed: Of that split.
        groups: Regular expression for the patient or sequence of a stem; see ``find_layout``.
        force: Replace what is there.

    Returns:
        Notes on what was found and what was guessed.

    Raises:
        FileExistsError: If ``out`` or its lists are there, and ``force`` is not given.
        FileNotFoundError: If there is no such folder.
        ValueError: If ``out`` is a folder, there are no pairs, a mask cannot be read, or what the
            masks hold are no classes.
    """
    out = Path(out)
    if out.is_dir():
        raise ValueError(f'{out} is a folder: name the file to write, such as {out}/my_data.yml')
    lists = out.with_name(f'{out.stem}_splits')
    for path in (out, lists):
        if path.exists() and not force:
            raise FileExistsError(f'{path} is there already: give --force to replace it, or --out')
    root = Path(folder)
    layout = find_layout(root, ratio=ratio, seed=seed, groups=groups)
    found = find_classes(_mask_paths(layout), names=classes, folder=root)
    text = _as_yaml(layout, found, out)
    made = {name: part.stems for name, part in layout.parts.items() if not part.whole}
    if made:
        write_lists(str(lists), made)
    write_bytes(out, text.encode())
    read_data_file(out)  # what we write, we can read
    sizes = ', '.join(f'{name} {len(part.stems)}' for name, part in layout.parts.items())
    return [f'{out}: {len(found.names)} classes, images: {sizes}', *layout.notes, *found.notes]


def _mask_paths(layout: Layout) -> List[str]:
    """The masks of all splits."""
    paths = []
    for part in layout.parts.values():
        folder = layout.root / part.masks
        paths += [str(_file_of(folder / stem, layout.mask_suffix)) for stem in part.stems]
    return list(dict.fromkeys(paths))


def _file_of(stem: Path, suffixes: Sequence[str]) -> Path:
    for path in sorted(stem.parent.glob(f'{_escaped(stem.name)}*')):
        if path.name[len(stem.name) :].lower() in suffixes:
            return path
    raise FileNotFoundError(f'{stem}: no file ending in {", ".join(suffixes)}')


def _escaped(name: str) -> str:
    return re.sub(r'([*?[])', r'[\1]', name)


# ------------------------------------------------------------------------------ classes


def find_classes(
    paths: Sequence[str], *, names: Sequence[str] = (), folder: Optional[Path] = None
) -> Classes:
    """Find out what classes masks hold. All are read.

    Args:
        paths: Files of masks.
        names: Of the classes, in the order of their values.
        folder: Where a file of names may lie.

    Raises:
        ValueError: If a mask cannot be read, the masks hold too many values or colours to be
            classes, or there are not as many names as values.
    """
    contents = in_threads(_content, paths, title='read masks')
    colored = any(isinstance(value, tuple) for c in contents for value in c.values)
    pixels: Counter = Counter()
    for content in contents:
        for value, number in content.values.items():
            pixels[(value,) * 3 if colored and not isinstance(value, tuple) else value] += number
    listed = [] if names else _names_in(folder)
    palettes = [content.palette for content in contents if content.palette]
    if colored:
        found = _by_color(pixels, paths, listed)
    elif _is_soft(pixels) and not palettes:
        found = _soft(pixels)
    else:
        found = _by_value(pixels, paths, listed)
    if palettes and not colored:
        _use_palette(found, palettes[0])
    if names:
        if len(names) != len(found.names):
            seen: list = found.values or [list(color) for color in found.colors]
            raise ValueError(
                f'{len(names)} names for the {len(found.names)} classes of the masks: {seen}'
                + (f', {found.ignored} being ignored' if found.ignored else '')
            )
        found.names = list(names)
        found.notes = [note for note in found.notes if 'made up' not in note]
    return found


def _content(path: str) -> _Content:
    mask = read_mask(path)
    if mask.ndim == 3:
        if mask.shape[2] != 3:
            raise ValueError(f'{path}: a mask of {mask.shape[2]} channels is none')
        return _Content(dict(count_colors(mask)), None)
    values, numbers = np.unique(mask, return_counts=True)
    if mask.dtype.kind == 'f' and (values != values.astype(np.int64)).any():
        raise ValueError(f'{path}: a mask of fractions ({values[:4].tolist()}...): save class ids')
    return _Content(dict(zip(values.astype(np.int64).tolist(), numbers.tolist())), _palette(path))


def _palette(path: str) -> Optional[List[Color]]:
    """Colours of a palette image."""
    with Image.open(io.BytesIO(Path(path).read_bytes())) as image:
        flat = image.getpalette() if image.mode == 'P' else None
    if not flat:
        return None
    return [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3)]


def _by_value(pixels: Counter, paths: Sequence[str], listed: List[dict]) -> Classes:
    values = sorted(pixels)
    if len(values) > _MAX_VALUES or min(values) < 0:
        raise ValueError(
            f'{paths[0]} and others hold {len(values)} different values from {min(values)} to '
            f'{max(values)}: these are no class ids (of instances, a photograph, or a distance '
            'map?); save masks of class ids'
        )
    binary = values == [0, 255]
    ignored = [255] if 255 in values and not binary else []
    values = [value for value in values if value not in ignored]
    notes = [f'the value 255 ({_percent(pixels, 255)} of pixels) is taken as ignored'] * len(
        ignored
    )
    named = _match_names(values, listed)
    if named is None:
        named = [_made_up(value, pixels, binary) for value in values]
        notes.append('the names of the classes are made up: change them')
    if len(values) < 2:
        raise ValueError(f'the masks hold the value {values} only: nothing to tell apart')
    colors = _colors(len(values))
    return Classes(named, values, colors, ignored, notes=notes)


def _soft(pixels: Counter) -> Classes:
    middle = (max(pixels) + 1) // 2
    note = (
        f'the masks hold {len(pixels)} greys, nearly all at both ends, as after lossy compression '
        f'or scaling: class 1 from {middle} on; the names are made up'
    )
    names = ['background', 'foreground']
    return Classes(names, [0, 1], _colors(2), threshold=middle, notes=[note])


def _is_soft(pixels: Counter) -> bool:
    """Whether nearly all pixels lie at both ends of a scale of many greys.

    Class ids besides 255 leave the values just below it empty.
    """
    top = max(pixels)
    below = [value for value in range(top - 8, top) if value in pixels]
    if len(pixels) <= 16 or not 128 <= top <= 255 or len(below) < 4:
        return False
    ends = sum(number for value, number in pixels.items() if value <= 32 or value >= top - 32)
    return ends > 0.95 * sum(pixels.values())


def _made_up(value: int, pixels: Counter, binary: bool) -> str:
    if value == 0 and (binary or pixels[0] == max(pixels.values())):
        return 'background'
    return 'foreground' if binary else f'class_{value}'


def _percent(pixels: Counter, value: Any) -> str:
    return f'{100 * pixels[value] / sum(pixels.values()):.1f} %'


def _colors(count: int) -> List[Color]:
    return [(red, green, blue) for red, green, blue in voc_palette(count)]


def _by_color(pixels: Counter, paths: Sequence[str], listed: List[dict]) -> Classes:
    known = {entry['color']: entry['name'] for entry in listed if entry['color']}
    unknown = [color for color in pixels if color not in known]
    if len(unknown) > _MAX_COLORS:
        raise ValueError(
            f'{paths[0]} and others hold {len(pixels)} different colours, which is no palette of '
            'classes: if they were compressed (JPEG) or scaled with interpolation, make them anew '
            'as PNG; if some colours do have a class, list them in a file classes.txt in the '
            'folder, a line "red green blue name" each, and clean the masks of all others'
        )
    ignored = [_VOC_BORDER] if _VOC_BORDER in pixels and _VOC_BORDER not in known else []
    colors = [color for color in known if color in pixels or not unknown]
    colors += sorted(color for color in unknown if color not in ignored)
    names = [known.get(color) or _color_name(color, pixels) for color in colors]
    notes = [f'the colours of the masks are classes; {len(colors)} were found']
    if len(known) < len(colors):
        notes.append('the names of the classes are made up from their colours: change them')
    if ignored:
        notes.append(f'{list(_VOC_BORDER)}, the borders of PASCAL VOC, is taken as ignored')
    if len(colors) < 2:
        raise ValueError(f'the masks hold the colour {colors} only: nothing to tell apart')
    return Classes(names, [], colors, ignored, notes=notes)


def _color_name(color: Color, pixels: Counter) -> str:
    if color == (0, 0, 0) and pixels[color] == max(pixels.values()):
        return 'background'
    return 'color_{}_{}_{}'.format(*color)


def _use_palette(found: Classes, palette: List[Color]) -> None:
    """Take the colours of palette images, if they tell the classes apart."""
    if max(found.values) < len(palette):
        colors = [palette[value] for value in found.values]
        if len(set(colors)) == len(colors):
            found.colors = colors


def _names_in(folder: Optional[Path]) -> List[dict]:
    """Names, with values or colours where given, from a usual file of the folder.

    Lines are ``name``, ``id name``, ``r g b name``, or ``name,r,g,b`` and ``name:r,g,b::``.
    """
    for name in _NAME_FILES:
        for path in sorted(folder.rglob(name)) if folder is not None else []:
            text = path.read_text(encoding='utf-8', errors='replace')
            lines = [line.strip() for line in text.splitlines()]
            entries = [_name_line(line) for line in lines if line and line[0] != '#']
            found = [entry for entry in entries if entry]
            if found:
                return found
    return []


def _name_line(line: str) -> Optional[dict]:
    words = [word for word in re.split(r'[\s,;:]+', line) if word]
    numbers = [int(word) for word in words if re.fullmatch(r'\d{1,3}', word)]
    names = [word for word in words if not re.fullmatch(r'\d{1,3}', word)]
    if not names or len(numbers) not in (0, 1, 3) or names == ['name', 'r', 'g', 'b']:
        return None
    color = (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else None
    return dict(name=' '.join(names), value=numbers[0] if len(numbers) == 1 else None, color=color)


def _match_names(values: List[int], listed: List[dict]) -> Optional[List[str]]:
    """Names of values: by the values in the list, else by the order of its lines."""
    by_value = {entry['value']: entry['name'] for entry in listed if entry['value'] is not None}
    if not by_value:
        by_value = {index: entry['name'] for index, entry in enumerate(listed)}
        if not all(value in by_value for value in values) and len(listed) == len(values):
            by_value = dict(zip(values, by_value.values()))
    if not listed or not all(value in by_value for value in values):
        return None
    # A class of the list that no mask holds keeps its id.
    if by_value.keys() > set(values) and max(by_value) <= 255:
        values[:] = sorted(by_value)
    return [by_value[value] for value in values]


# ---------------------------------------------------------------------------------- file


def _as_yaml(layout: Layout, found: Classes, out: Path) -> str:
    """The text of the file, a line for each fact."""
    home = out.parent.absolute()
    root = layout.root.absolute()
    inside = root == home or home in root.parents
    shown = Path(os.path.relpath(root, home)).as_posix() if inside else root.as_posix()
    kind = 'values' if found.values else 'colors'
    lines = [
        '# What python tools/dataset.py init found; correct what is wrong, then',
        f'# python tools/dataset.py check {out.name}',
        f'name: {json.dumps(re.sub(r"[^a-z0-9_]+", "_", out.stem.lower()))}',
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
