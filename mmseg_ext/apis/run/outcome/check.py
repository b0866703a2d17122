"""Check the content of ``results.json`` and ``split.json``, so that no other code has to."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from ....core.files import PathLike

_DICTS = ('calibration', 'per_class_intervals')
_TEXTS = (
    'config', 'checkpoint', 'init', 'commit', 'hardware', 'torch', 'stack', 'date', 'absent_policy',
)  # fmt: skip
_COUNTS = ('version', 'num_images', 'iterations', 'fold', 'num_folds')
NEEDED = ('metrics', 'per_class', 'confusion')


def check_results(results: Any, path: PathLike, needed: Sequence[str] = NEEDED) -> None:
    """Refuse content that cannot be that of a test's ``results.json``.

    Args:
        results: Content of the file.
        path: The file, for the message.
        needed: Entries that must be there.

    Raises:
        ValueError: If an entry is missing or wrong. The message names the file and the entry.
    """
    if not isinstance(results, dict):
        raise ValueError(f'{path} holds no results: test the run again')
    absent = [key for key in needed if key not in results]
    if absent:
        raise ValueError(f'{path} lacks {", ".join(absent)}; test again with SegMetric')
    wrong = _first_wrong(results)
    if wrong:
        raise ValueError(f'{path}: {wrong} is damaged: test the run again')


def check_split(split: Any, path: PathLike) -> None:
    """Refuse content that cannot be that of a fold's ``split.json``.

    Args:
        split: Content of the file.
        path: The file, for the message.

    Raises:
        ValueError: If an entry is missing or wrong. The message names the file and the entry.
    """
    if not isinstance(split, dict):
        raise ValueError(f'{path} describes no fold: run the fold again')
    checks: dict[str, Callable[[Any], bool]] = {
        **dict.fromkeys(('fold', 'num_folds', 'split_seed'), lambda v: isinstance(v, int)),
        **dict.fromkeys(('pool', 'splitter'), lambda v: isinstance(v, str)),
        'val_ids': lambda v: v is not None and _are_texts(v),
        'val_groups': _are_texts,
    }
    for key, is_right in checks.items():
        if not is_right(split.get(key)):
            raise ValueError(f'{path}: {key} is damaged: run the fold again')
    groups = split.get('val_groups')
    if groups is not None and len(groups) != len(split['val_ids']):
        raise ValueError(f'{path}: val_groups is damaged: run the fold again')


def _first_wrong(results: dict[str, Any]) -> str:
    checks: dict[str, Callable[[Any], bool]] = {
        'metrics': _are_metrics,
        'per_class': _are_scores,
        'absent_classes': _are_texts,
        'intervals': _are_units,
        'dataset': _is_dataset,
        **dict.fromkeys(_DICTS, lambda value: value is None or isinstance(value, dict)),
        **dict.fromkeys(_TEXTS, lambda value: value is None or isinstance(value, str)),
        **dict.fromkeys(_COUNTS, _is_count),
    }
    for key, is_right in checks.items():
        if key in results and not is_right(results[key]):
            return key
    classes = list((results.get('per_class') or {'IoU': ()})['IoU'])
    if 'confusion' in results and not _is_confusion(results['confusion'], len(classes)):
        return 'confusion'
    if not _are_intervals(results.get('per_class_intervals') or {}, classes):
        return 'per_class_intervals'
    name = results.get('checkpoint')  # will be joined to the path of the run's folder
    inside = name is None or ('/' not in name and '\\' not in name and '\0' not in name)
    return '' if inside else 'checkpoint'


def _is_number(value: Any) -> bool:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is None or (plain and abs(value) < 1e15 and math.isfinite(value))


def _is_count(value: Any) -> bool:
    return value is None or (isinstance(value, int) and 0 <= value < 1 << 62)


def _are_texts(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(v, str) for v in value))


def _are_units(value: Any) -> bool:
    """Check the units of the intervals; files of older versions have none."""
    if not value:
        return value is None or value == {}
    if not isinstance(value, dict) or not isinstance(value.get('unit'), str):
        return False
    counts = [value.get(key) or {} for key in ('class_units', 'videos')]
    return (
        isinstance(value.get('units'), int)
        and _is_number(value.get('level', 0.95))
        and all(isinstance(count, dict) for count in counts)
        and all(isinstance(n, int) and _is_count(n) for count in counts for n in count.values())
    )


def _is_dataset(value: Any) -> bool:
    known = value if isinstance(value, dict) else {}
    texts = all(isinstance(known.get(key) or '', str) for key in ('name', 'split'))
    return (
        (value is None or isinstance(value, dict)) and texts and _is_count(known.get('num_images'))
    )


def _are_metrics(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(entry, dict)
        and 'value' in entry
        and all(_is_number(entry.get(key)) for key in ('value', 'low', 'high'))
        for entry in value.values()
    )


def _are_scores(value: Any) -> bool:
    """Check the scores by class: each kind of score must list the same classes."""
    if not isinstance(value, dict) or not isinstance(value.get('IoU'), dict):
        return False
    classes = list(value['IoU'])
    return bool(classes) and all(
        isinstance(scores, dict)
        and list(scores) == classes
        and all(map(_is_number, scores.values()))
        for scores in value.values()
    )


def _is_confusion(value: Any, count: int) -> bool:
    rows = value if isinstance(value, list) else []
    return len(rows) == count and all(
        isinstance(row, list)
        and len(row) == count
        and all(isinstance(part, int) and _is_count(part) for part in row)
        for row in rows
    )


def _are_intervals(value: Any, classes: list) -> bool:
    return isinstance(value, dict) and all(
        isinstance(by_class, dict)
        and set(by_class) <= set(classes)
        and all(
            isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends))
            for ends in by_class.values()
        )
        for by_class in value.values()
    )
