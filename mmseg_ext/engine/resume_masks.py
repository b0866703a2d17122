"""Refuse to go on with masks that mean something else than those a training has learnt from.

The settings of a data set say which class a value, or a color, of a mask stands for. Values that
are named for the first time are no change, as a mask with one of them was refused before.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.labels import IGNORE

_IGNORED = 'ignored'
_WAY = ('mask_format', 'mask_threshold', 'reduce_zero_label')


def check_masks(then: dict, now: dict, name: Path) -> None:
    """Compare how the training data of both configs read masks.

    Args:
        then: Settings of the checkpoint, from :func:`.settings_of`.
        now: Those of the run, read from its text likewise.
        name: File of the checkpoint, for the message.

    Raises:
        ValueError: If a value or color stands for another class now, or masks are read in another
            way.
    """
    before, after = (
        dict(_datasets('train_dataloader', one.get('train_dataloader'))) for one in (then, now)
    )
    for path, old in before.items():
        change = path in after and (
            _way_changed(old, after[path]) or _meaning_changed(old, after[path])
        )
        if change:
            raise ValueError(
                f'{name} was trained with masks in which {change} ({path}): go on with the data '
                f'set as it was, or train in another --work-dir, from its weights with '
                f'load_from={name}'
            )


def _datasets(path: str, value: Any) -> Iterator[tuple[str, dict]]:
    """Find the data sets that read images, also within others."""
    if not isinstance(value, dict):
        return
    yield path, value
    yield from _datasets(f'{path}.dataset', value.get('dataset'))
    for index, one in enumerate(_list(value.get('datasets'))):
        yield from _datasets(f'{path}.datasets.{index}', one)


def _way_changed(old: dict, new: dict) -> str:
    for key, was, now in zip(_WAY, _way(old), _way(new)):
        if was != now:
            return f'{key} was {was}, and now it is {now}'
    return ''


def _way(dataset: dict) -> tuple[Any, ...]:
    """Values of ``_WAY``; a step of the pipeline may reduce the labels, too."""
    places = [dataset, *_list(dataset.get('pipeline'))]
    reduced = any(bool(_dict(one).get('reduce_zero_label')) for one in places)
    return dataset.get('mask_format') or 'index', dataset.get('mask_threshold'), reduced


def _meaning_changed(old: dict, new: dict) -> str:
    names = _classes(new)
    for value in dict.fromkeys([*_named(old), *_named(new)]):
        was, now = _meaning(old, value), _meaning(new, value)
        if None not in (was, now) and was != now:
            was, now = (names[one] if one in range(len(names)) else one for one in (was, now))
            what = 'color' if isinstance(value, tuple) else 'value'
            return f'the {what} {value} meant {was}, and now it means {now}'
    return ''


def _named(dataset: dict) -> list[Any]:
    """Values, or colors, that the settings name."""
    if dataset.get('mask_format') == 'color':
        return [*_palette(dataset), *_colors(dataset.get('void_colors'))]
    return list(_mapped(dataset))


def _meaning(dataset: dict, value: Any) -> Any:
    """Class id of a value or color, or ``'ignored'``; ``None`` if a mask with it is refused."""
    ignored, count = dataset.get('ignore_index', IGNORE), len(_classes(dataset))
    if dataset.get('mask_format') == 'color':
        void = dict.fromkeys(_colors(dataset.get('void_colors')), _IGNORED)
        return {**void, **_palette(dataset)}.get(value)
    label = _mapped(dataset).get(value)
    if label is None:
        known = value == ignored or not count or value in range(count)
        label = value if known and not dataset.get('strict_label_map') else None
    return _IGNORED if label == ignored else label


def _mapped(dataset: dict) -> dict:
    return _dict(dataset.get('label_map'))


def _palette(dataset: dict) -> dict[Any, int]:
    colors = _colors(_dict(dataset.get('metainfo')).get('palette'))
    return {color: index for index, color in enumerate(colors)}


def _colors(value: Any) -> list[tuple]:
    colors = [color for color in _list(value) if all(isinstance(v, int) for v in _list(color))]
    return [tuple(_list(color)) for color in colors]


def _classes(dataset: dict) -> list:
    return _list(_dict(dataset.get('metainfo')).get('classes'))


def _dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []
