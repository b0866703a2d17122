"""Refuse converted weights whose tensors fit a config, but whose network computes something else.

Strides, dilations, aligned corners, epsilons and the range of images do not show in the names and
shapes of tensors. So a converter writes the settings that its source needs into the file. When the
file is loaded, they are compared with the network that the config builds.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from mmengine.logging import print_log
from mmseg.registry import MODELS

from .facts import MAPS, Use, build_part, facts, is_free, network_differences, plain_value, same
from .recorded import IMAGES, Settings, effective, flatten, nested_settings, read_meta, settings_in

_PARTS = ('backbone', 'neck', 'decode_head', 'auxiliary_head')


class Difference(NamedTuple):
    """A setting whose value in the file of the weights differs from that in the config."""

    setting: str
    file: Any
    config: Any


def check_settings(
    model: Mapping[str, Any], meta: Any, name: Any, *, complete: bool = True
) -> None:
    """Refuse converted weights if their network or their images differ from those of a config.

    Args:
        model: Config of the model.
        meta: Meta data of the checkpoint. Nothing is compared unless a converter wrote it. If that
            converter wrote no settings, a warning is logged.
        name: Name of the checkpoint, for messages.
        complete: Whether all weights are needed, as in a test. Otherwise (fine-tuning) parts and
            modules of another class are skipped, because their weights are not loaded either.

    Raises:
        ValueError: If a setting differs. The message gives both values and the remedy.
    """
    while isinstance(model.get('module'), Mapping):  # test-time augmentation
        model = model['module']
    use: Use = 'whole' if complete else 'tuned'
    recorded = settings_in(meta)
    if isinstance(meta, Mapping) and meta.get('converted_from') and not recorded:
        told = 'was converted without its settings: that it fits the config cannot be seen'
        print_log(f'{name} {told}; convert it again', 'current', logging.WARNING)
    found = list(_differences(model, recorded, use))
    if found:
        raise ValueError(_explain(found, name, use))


def check_starts(model: Mapping[str, Any]) -> None:
    """Check the files that parts of a model start from, whose weights fit any resolution.

    Images of another range than the weights were trained on are allowed, with a warning in the log.

    Args:
        model: Config of the model.

    Raises:
        ValueError: If a setting other than strides and dilations differs.
    """
    for path in _start_files(dict(model, pretrained=None)):  # ``init_cfg`` of the whole model
        check_settings(model, read_meta(path), path, complete=False)
    parts = {name: model[name] for name in _PARTS if isinstance(model.get(name), Mapping)}
    if model.get('pretrained') and 'backbone' in parts:  # mmseg passes it to the backbone
        parts['backbone'] = dict(parts['backbone'], pretrained=model['pretrained'])
    for name, part in parts.items():
        for path in _start_files(part):
            recorded = settings_in(read_meta(path))
            found = _part_differences(name, part, recorded, 'start')
            if found:
                raise ValueError(_explain(found, path, 'start'))
            _tell_of_images(model, recorded, path)


def _start_files(part: Mapping) -> list[str]:
    start = part.get('init_cfg')
    inits = start if isinstance(start, (list, tuple)) else [start]
    paths = [i.get('checkpoint') for i in inits if isinstance(i, Mapping)]
    return [str(path) for path in (*paths, part.get('pretrained')) if path and Path(path).is_file()]


def _tell_of_images(model: Mapping, recorded: Settings, path: str) -> None:
    found = list(_image_differences(model, recorded))
    if found:
        text = '; '.join(f'{d.setting} {d.file} there, {d.config} here' for d in found)
        message = f'{path} was trained on other images than the config gives it: {text}'
        print_log(message, 'current', logging.WARNING)


def _explain(found: Sequence[Difference], name: Any, use: Use) -> str:
    told = '; '.join(
        f'{d.setting} is {d.file} in the file and {d.config} in the config' for d in found[:3]
    )
    more = f'; and {len(found) - 3} more' if len(found) > 3 else ''
    options = ' '.join(
        f'model.{d.setting}={str(d.file).replace(" ", "")}'
        for d in found
        if '(' not in d.setting and d.file is not None
    )
    option = f'--cfg-options {options}, or ' if options else ''
    alone = (
        ", or start the backbone alone from them: model.backbone.init_cfg=dict(type='Pretrained', "
        f"checkpoint='{name}', prefix='backbone.')"
        if use == 'tuned'
        else ''
    )
    return (
        f"{name}: these weights fit the config's network by name, but were converted for another "
        f'one: {told}{more}. Use {option}the config that tools/model_converters/convert.py prints '
        f'for them{alone}; if they were trained otherwise than it assumed, convert them again '
        'with its --option'
    )


def _differences(model: Mapping[str, Any], recorded: Settings, use: Use) -> Iterator[Difference]:
    for name in _PARTS:
        if isinstance(model.get(name), Mapping):
            yield from _part_differences(name, model[name], recorded, use)
    yield from _map_differences(model, recorded, use)
    yield from _image_differences(model, recorded)
    if use == 'whole':
        yield from _model_differences(model, recorded)


def _part_differences(name: str, part: Mapping, recorded: Settings, use: Use) -> list[Difference]:
    """Return the differences of a part, as the settings that explain them if there are such."""
    theirs = nested_settings(recorded).get(name)
    if theirs is None:
        return []
    other = [Difference(f'{name}.type', theirs['type'], part['type'])]
    is_one, is_kin = _relation(theirs['type'], part['type'])
    if not is_one and (use == 'whole' or not is_kin):
        return other if use == 'whole' else []
    given = facts(build_part(theirs, part))
    found = network_differences(given, part, use)
    if not found or not is_one:
        return other if found else []

    def helps(repaired: dict) -> bool:
        return len(network_differences(given, repaired, use)) < len(found)

    explained = _explaining(name, theirs, part, helps)
    return explained or [Difference(_path(name, path), *values) for path, *values in found]


def _relation(theirs: str, ours: str) -> tuple[bool, bool]:
    """Return whether ``ours`` is a subclass of ``theirs`` or the same, and the other way round."""
    there, here = MODELS.get(theirs), MODELS.get(ours)
    if not inspect.isclass(there) or not inspect.isclass(here):
        return there is here, there is here
    return issubclass(here, there), issubclass(there, here)


def _explaining(
    name: str, theirs: Mapping, part: Mapping, helps: Callable[[dict], bool]
) -> list[Difference]:
    """Find the settings of a part that explain differences: taking the file's value helps."""
    configured, explained = effective(part), []
    for key in (key for key in theirs if key != 'type'):
        told = _told(f'{name}.{key}', theirs[key], configured.get(key))
        if told and helps({**part, key: theirs[key]}):
            explained += told
    return explained


def _path(name: str, attribute: str) -> str:
    """Name an attribute for a message; one of an inner module, no setting, is put in brackets."""
    return f'{name} ({attribute})' if '.' in attribute else f'{name}.{attribute}'


def _told(path: str, theirs: Any, ours: Any) -> list[Difference]:
    """Return the differences of a setting, which may be nested."""
    given, configured = dict(flatten(theirs, path)), dict(flatten(ours, path))
    return [
        Difference(key, given.get(key), configured.get(key))
        for key in {**given, **configured}
        if not same(given.get(key), configured.get(key)) and not is_free(key)
    ]


def _map_differences(model: Mapping, recorded: Settings, use: Use) -> Iterator[Difference]:
    """Compare which of the backbone's feature maps each head reads."""
    for head in ('decode_head', 'auxiliary_head'):
        kind = recorded.get(f'{head}.type')
        ours = model.get(head)
        if kind and isinstance(ours, Mapping) and (use == 'whole' or kind == ours['type']):
            theirs, read = _maps_read(nested_settings(recorded), head), _maps_read(model, head)
            if theirs is not None and read is not None and not same(theirs, read):
                yield Difference(f'{head}.in_index (maps of the backbone)', theirs, read)


def _maps_read(model: Mapping, head: str) -> Optional[list[Any]]:
    backbone, reader = effective(model.get('backbone')), effective(model[head])
    if not isinstance(backbone, Mapping):
        return None
    maps = next((backbone[key] for key in MAPS if backbone.get(key) is not None), None)
    index = reader.get('in_index', -1)
    if maps is None:
        return None
    names = [maps] if isinstance(maps, (int, str)) else list(maps)
    if index is None:
        return names
    places = [index] if isinstance(index, int) else list(index)
    return [names[place] if -len(names) <= place < len(names) else None for place in places]


def _image_differences(model: Mapping, recorded: Settings) -> Iterator[Difference]:
    ours = model.get(IMAGES)
    if not isinstance(ours, Mapping):
        return
    usual = dict(mean=[0.0], std=[1.0], bgr_to_rgb=False)
    for key, default in usual.items():
        path = f'{IMAGES}.{key}'
        if path in recorded:
            value = ours.get(key)
            value = default if value is None else value
            if not same(*_spread(recorded[path], value), tolerance=1e-3):
                yield Difference(path, recorded[path], plain_value(value))


def _spread(a: Any, b: Any) -> tuple[Any, Any]:
    """Repeat a single value, which holds for all channels, to the length of the other list."""
    if not isinstance(a, list) or not isinstance(b, (list, tuple)):
        return a, b
    size = max(len(a), len(b))
    first, second = (list(x) * size if len(x) == 1 else list(x) for x in (a, b))
    return first, second


def _model_differences(model: Mapping, recorded: Settings) -> Iterator[Difference]:
    """Compare settings of the model itself, such as the scales of its input."""
    configured = effective(model) if 'type' in model else model
    for path, value in recorded.items():
        if path.split('.')[0] not in (*_PARTS, IMAGES) and not same(value, configured.get(path)):
            yield Difference(path, value, plain_value(configured.get(path)))
