"""Which settings of a training have changed since the checkpoint from which it is resumed.

Both configs are compared as the text that a checkpoint keeps, so that a setting which cannot be
written as text differs from itself in neither. Watched is what decides about the steps of a
training: network, losses, images, batches, optimisers, schedules, hooks. Left out is what does not
change a step: worker processes, where files lie, weights that the first step started from, what is
kept in memory, validation, test, logs and pictures.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..core.checkpoints import settings_of

_WATCHED = (
    'model',
    'train_dataloader',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
    'auto_scale_lr',
    'custom_hooks',
)
_INDIFFERENT = {
    *('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor', 'timeout'),
    *('multiprocessing_context', 'backend_args', 'file_client_args', 'serialize_data', 'lazy_init'),
    *('max_refetch', 'how_to_get', 'init_cfg', 'pretrained', 'with_cp', 'test_cfg'),
    *('val_interval', 'val_begin', 'dynamic_intervals'),
}
# Of these the last name counts, as data that moved are still the same.
_PATHS = {'data_root', 'ann_file', 'group_file'}
_SILENT_HOOKS = {'RecomputeHook', 'SegVisualizationHook'}
_RECORD = 'user_data'  # what a run notes of a user's data, see apis/userdata/record.py
_LONGEST = 120  # characters of a value in a message


class Change(NamedTuple):
    """A setting that has changed.

    Args:
        path: Its place in the config, with dots.
        old: Its value in the checkpoint's config, ``None`` if there was none.
        new: That of the run.
    """

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f'{self.path}: {_short(self.old)} -> {_short(self.new)}'


def find_changes(then: dict, now: dict) -> list[Change]:
    """List the settings that change the training.

    Args:
        then: Settings of the checkpoint, from :func:`.settings_of`; empty if unknown.
        now: Those of the run, read from its text likewise.
    """
    if not then:
        return []
    found = [
        change
        for key in _WATCHED
        for change in _compare(key, _shown(key, then.get(key)), _shown(key, now.get(key)))
    ]
    return [*found, *_compare_records(then.get(_RECORD), now.get(_RECORD))]


def settings_of_run(runner: Any) -> dict:
    """Read the settings of a run as they will be read from its checkpoints."""
    return settings_of(dict(cfg=runner.cfg.pretty_text))


def _shown(key: str, value: Any) -> Any:
    if key != 'custom_hooks' or not isinstance(value, list):
        return value
    kinds = [str(hook.get('type')) if isinstance(hook, dict) else None for hook in value]
    return [hook for hook, kind in zip(value, kinds) if kind not in _SILENT_HOOKS]


def _compare_records(then: Any, now: Any) -> Iterator[Change]:
    """Compare which images a user's data set file lists for the training."""
    old, new = (r.get('train_images') if isinstance(r, dict) else None for r in (then, now))
    if old and new and old != new:
        file = Path(str(now.get('file'))).name
        yield Change(f'training images that {file} lists', 'those of then', 'others')


def _compare(path: str, old: Any, new: Any) -> Iterator[Change]:
    key = path.rpartition('.')[2]
    if key in _INDIFFERENT or old == new or not (_is_filled(old) or _is_filled(new)):
        return
    if key in _PATHS and _last_name(old) == _last_name(new):
        return
    if _are(dict, old, new):
        old, new = _without_display(old or {}), _without_display(new or {})
        for name in dict.fromkeys([*old, *new]):
            yield from _compare(f'{path}.{name}', old.get(name), new.get(name))
    elif _are(list, old, new) and all(
        isinstance(item, dict) for item in [*(old or []), *(new or [])]
    ):
        yield from _compare_parts(path, old or [], new or [])
    else:
        yield Change(path, old, new)


def _without_display(part: dict) -> dict:
    """Leave out the colors of classes, which are for pictures unless masks hold them."""
    meta = part.get('metainfo')
    if not isinstance(meta, dict) or part.get('mask_format') == 'color':
        return part
    return {**part, 'metainfo': {key: value for key, value in meta.items() if key != 'palette'}}


def _compare_parts(path: str, old: list[dict], new: list[dict]) -> Iterator[Change]:
    """Compare hooks, steps of a pipeline and the like: which there are, then each with its own."""
    kinds, others = ([item.get('type') for item in items] for items in (old, new))
    if kinds == others:
        for index, pair in enumerate(zip(old, new)):
            yield from _compare(f'{path}.{index}', *pair)
        return
    yield Change(f'{path}.type', _listed(kinds), _listed(others))
    then, now = (
        dict(zip(_numbered(items), parts)) for items, parts in ((kinds, old), (others, new))
    )
    for name in [name for name in then if name in now]:
        yield from _compare(f'{path}.{name}', then[name], now[name])


def _numbered(kinds: Sequence[Any]) -> list[str]:
    """Name parts by their type; the second of a type has the name with a 2."""
    counts = [list(kinds[: place + 1]).count(kind) for place, kind in enumerate(kinds)]
    return [str(kind) if count == 1 else f'{kind}{count}' for kind, count in zip(kinds, counts)]


def _listed(kinds: Sequence[Any]) -> Optional[str]:
    return ', '.join(map(str, kinds)) or None


def _are(kind: type, *values: Any) -> bool:
    """Whether all values are of a kind or absent."""
    return all(value is None or isinstance(value, kind) for value in values)


def _is_filled(value: Any) -> bool:
    """Whether a value is more than an empty list or dict, which say nothing."""
    return value is not None and value not in ([], {}, '')


def _last_name(value: Any) -> Any:
    return Path(value).name if isinstance(value, str) else value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...'
