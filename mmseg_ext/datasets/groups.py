"""Group files (``stem,group``) for samples that belong together, such as slices of one patient.

If training and test set share a patient, all scores are too high. So splits and folds keep groups
together.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from ..core.files import replacing

# Names of the first column in a line of column names.
_STEM_NAMES = ('stem', 'image', 'img', 'file', 'filename', 'path', 'slice', 'frame', 'name', '')
_SUFFIXES = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.bmp', '.webp', '.gif')


def read_groups(path: str) -> dict[str, str]:
    """Read a CSV file of two columns, stem and group.

    A stem is the path of an image below its folder; a suffix such as ``.png`` is removed. The file
    may have a line of column names, and stems that the data set does not have.

    Raises:
        ValueError: If the file is not UTF-8 text, or a line does not have two filled columns or
            gives a stem a second group.
    """
    try:  # Excel writes UTF-8 with a byte order mark
        text = Path(path).read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is no UTF-8 text ({error}): save it as CSV in UTF-8') from error
    groups: dict[str, str] = {}
    for number, row in enumerate(_rows(text, path), 1):
        fields = [field.strip() for field in row]
        if not any(fields):
            continue
        if len(fields) != 2 or not all(fields):
            raise ValueError(
                f'{path}, line {number}: expected two columns, stem,group, separated by a '
                f'comma; got {",".join(row)!r}'
            )
        stem, group = _without_suffix(fields[0]), fields[1]
        if groups.setdefault(stem, group) != group:
            raise ValueError(
                f'{path}, line {number}: {stem!r} is in group {group!r} here and in '
                f'{groups[stem]!r} above: keep one of the two lines'
            )
    return groups


def group_unit(path: str) -> str:
    """Return the name of the group column, such as ``patient``; ``group`` without column names.

    Args:
        path: A file that :func:`read_groups` reads.
    """
    text = Path(path).read_text(encoding='utf-8-sig')
    first = next((row for row in _rows(text, path) if any(field.strip() for field in row)), [])
    names = [re.sub(r'[\s_-]*(id|name|no)?$', '', field.strip().lower()) for field in first]
    known = len(names) == 2 and names[0] in _STEM_NAMES and names[1].isalpha()
    return names[1] if known else 'group'


def _rows(text: str, path: str) -> list[list[str]]:
    try:
        return list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise ValueError(f'{path} is no CSV file ({error}): give lines of stem,group') from error


def groups_of(stems: Sequence[str], groups: dict[str, str], *, source: str) -> dict[str, str]:
    """Return the group of each stem, in their order.

    Args:
        stems: Stems, all of which must have a group.
        groups: Stem to group.
        source: Where the groups come from, for the message.

    Raises:
        ValueError: If a stem has no group.
    """
    missing = [stem for stem in stems if stem not in groups]
    if missing:
        others = f' (and {len(missing) - 1} more)' if len(missing) > 1 else ''
        # The message shows stems, because spreadsheets turn 0026 into 26.
        known = f', but for {len(groups)} others such as {next(iter(groups))!r}' if groups else ''
        raise ValueError(
            f'{source}: no group for {missing[0]!r}{others}{known}: give every image a group'
        )
    return {stem: groups[stem] for stem in stems}


def write_groups(path: Path, groups: dict[str, str], *, name: str = 'group') -> None:
    """Write a file for ``read_groups`` with the column names ``stem`` and ``name``.

    A stem that ends as a file does gets an ending, which is removed when it is read.
    """
    rows = [(s if _without_suffix(s) == s else f'{s}.png', group) for s, group in groups.items()]
    with replacing(path) as unfinished, open(unfinished, 'w', newline='', encoding='utf-8') as file:
        csv.writer(file, lineterminator='\n').writerows([('stem', name), *rows])


def _without_suffix(name: str) -> str:
    ending = next((s for s in _SUFFIXES if name.lower().endswith(s)), '')
    return name[: len(name) - len(ending)]
