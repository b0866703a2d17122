"""Checks of single entries of a data set file, each with one line on what is wrong.

All raise a ``ValueError``; ``read.py`` puts the name of the file before it.
"""

from collections.abc import Mapping
from typing import Any, Optional

from ...core.labels import Color
from ...core.words import did_you_mean, nearest
from .yaml_text import shown

LARGEST_VALUE = 2**31 - 1  # masks have at most 32 bits


def as_mapping(value: Any, known: set, where: str) -> Mapping[str, Any]:
    """Return a mapping whose keys are all known."""
    if not isinstance(value, dict):
        raise ValueError(f'{where} must hold "key: value" lines, got {shown(value)}')
    for key in value:
        if key not in known:
            hint = did_you_mean(nearest(key, known)) or f'it has {", ".join(sorted(known))}'
            raise ValueError(f'{where} has no entry {shown(key)}; {hint}')
    return value


def as_list(entries: Mapping[str, Any], key: str) -> list:
    """Return an entry that is a list."""
    if not isinstance(entries[key], list):
        raise ValueError(f'{key} must be a list, one "- ..." line each')
    return entries[key]


def as_text(value: Any, where: str) -> str:
    """Return text as written, without space around it."""
    # YAML reads no, yes, on and off as truth values.
    if isinstance(value, (bool, dict, list)) or value is None or not str(value).strip():
        raise ValueError(f'{where} must be text, got {shown(value)}: put it into quotes')
    return str(value).strip()


def as_path(value: Any, key: str) -> str:
    """Return a path as written, if it is a valid one."""
    if value == '':
        return ''
    text = as_text(value, key)
    if (
        not text.isprintable()
        or len(text) > 4000
        or any(len(part.encode(errors='replace')) > 255 for part in text.split('/'))
    ):
        raise ValueError(f'{key} is no path: {shown(text)} ({len(text)} letters)')
    return text


def whole_number(entries: Mapping[str, Any], key: str) -> Optional[int]:
    """Return a whole number from 0 on; ``None`` if it is not given."""
    value = entries.get(key)
    if value is not None and not (type(value) is int and 0 <= value <= LARGEST_VALUE):
        raise ValueError(
            f'{key} must be a whole number from 0 to {LARGEST_VALUE}, got {shown(value)}'
        )
    return value


def from_one(entries: Mapping[str, Any], key: str) -> Optional[int]:
    """Return a whole number from 1 on; ``None`` if it is not given."""
    value = whole_number(entries, key)
    if value == 0:
        raise ValueError(f'{key} must be a whole number from 1, got 0')
    return value


def as_color(value: Any, where: str) -> Color:
    """Return a color as red, green and blue."""
    whole = isinstance(value, list) and len(value) == 3
    if not whole or not all(type(v) is int and 0 <= v <= 255 for v in value):
        raise ValueError(
            f'{where}: a color is [red, green, blue], 0 to 255 each, got {shown(value)}'
        )
    return value[0], value[1], value[2]


def window(entries: Mapping[str, Any]) -> tuple[Optional[int], Optional[int]]:
    """Return the values of images that count as black and as white, ``None`` where not given."""
    low, high = (_signed(entries, f'image_{which}_value') for which in ('min', 'max'))
    if low is not None and high is None:
        raise ValueError('image_min_value begins a window: give image_max_value, too')
    if high is not None and high <= (low or 0):
        raise ValueError(
            f'image_max_value must be a whole number from {(low or 0) + 1}, got {high}'
        )
    return low, high


def _signed(entries: Mapping[str, Any], key: str) -> Optional[int]:
    value = entries.get(key)
    if value is not None and not (type(value) is int and abs(value) <= LARGEST_VALUE):
        raise ValueError(
            f'{key} must be a whole number of at most {LARGEST_VALUE}, got {shown(value)}'
        )
    return value
