"""Settings without which converted weights fit by name, but not by behaviour.

Strides, dilations, aligned corners, epsilons and the range of images leave no trace in names and
shapes. A converter writes those that its source implies into the file, as plain values by the path
of the setting in ``model``; whoever loads the file compares them with the network that is built.
"""

import inspect
import logging
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import torch
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import nn

from .checkpoints import read_checkpoint

Settings = Dict[str, Any]

# Arguments and attributes that do not change what given weights compute at a test: for training,
# for speed, for the start, or seen in the shapes of the weights, which are compared elsewhere.
_FREE = (
    *('training', 'inplace', 'momentum', 'norm_momentum', 'p', 'dropout', 'with_cp', 'norm_eval'),
    *('frozen_stages', 'ignore_index', 'mix_first', 'pretrained', 'img_size', 'fp16_enabled'),
    *('in_channels', 'out_channels', 'channels', 'num_classes', 'num_features', 'in_features'),
    *('out_features', 'loss_definition', 'sampler', 'requires_grad'),
)
_FREE_STARTS = ('drop', 'init', 'pretrain', 'loss', 'zero_init', 'use_checkpoint', 'attn_drop')
_IDENTITIES = ('Dropout', 'DropPath', 'Identity')  # at a test
# What a training that starts from a backbone may choose: weights serve any resolution.
_GEOMETRY = (
    *('stride', 'strides', 'dilation', 'dilations', 'padding', 'output_stride', 'exit_dilation'),
    *('ceil_mode', 'contract_dilation', 'align_corners'),
)
# How networks name the maps that they return.
_MAPS = ('out_indices', 'taps', 'out')
_PARTS = ('backbone', 'neck', 'decode_head', 'auxiliary_head')
_IMAGES = 'data_preprocessor'


class Difference(NamedTuple):
    """A setting that is not the same for the weights and in the config."""

    setting: str
    file: Any
    config: Any


# --- writing --------------------------------------------------------------------------------------


def settings_of(model: Mapping[str, Any], images: Optional[Mapping[str, Any]] = None) -> Settings:
    """List the settings of a model's parts, defaults included, as plain values by their path.

    Args:
        model: Configs of the parts, and plain settings of the model itself.
        images: ``mean``, ``std`` and ``bgr_to_rgb`` of the preprocessor; ``None``: not known.
    """
    given = {**model, _IMAGES: dict(images)} if images is not None else dict(model)
    return {
        path: value
        for name, part in given.items()
        for path, value in _flatten(_effective(part), name)
        if not _is_free(path)
    }


def _effective(part: Any) -> Any:
    """A part's config with the defaults of its class."""
    if not isinstance(part, Mapping) or 'type' not in part:
        return part
    return {**_defaults(MODELS.get(part['type'])), **part}


def _defaults(kind: Any) -> Dict[str, Any]:
    """Defaults of a class's own arguments; what it hands on may be fixed by it."""
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _flatten(value: Any, path: str) -> Iterator[Tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f'{path}.{key}')
    else:
        plain = _plain(value)
        if plain is not None or value is None:
            yield path, plain


def _plain(value: Any) -> Any:
    """A number, text or list of such; ``None`` for what is none."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        inner = [_plain(item) for item in value]
        return None if None in inner else inner
    return None


def _is_free(path: str) -> bool:
    return any(name in _FREE or name.startswith(_FREE_STARTS) for name in path.split('.'))


# --- comparing ------------------------------------------------------------------------------------


def check_settings(model: Mapping[str, Any], meta: Any, name: Any) -> None:
    """Refuse converted weights whose network, or whose images, are not those of a config.

    Args:
        model: Config of the model.
        meta: What the checkpoint says of itself; nothing is compared unless a converter wrote it.
        name: Of the checkpoint.

    Raises:
        ValueError: If a setting differs, with both values and what to do.
    """
    found = list(_differences(model, _settings_in(meta)))
    if found:
        raise ValueError(_explain(found, name))


def check_starts(model: Mapping[str, Any]) -> None:
    """The same for files that parts of a model start from, which serve any resolution.

    Images of another range than the weights were trained on are told in the log, and allowed.

    Args:
        model: Config of the model.

    Raises:
        ValueError: If a setting other than strides and dilations differs.
    """
    for name in _PARTS:
        part = model.get(name)
        if not isinstance(part, Mapping):
            continue
        for path in _start_files(part.get('init_cfg')):
            recorded = _settings_in(read_meta(path))
            found = _start_differences(name, part, recorded)
            if found:
                raise ValueError(_explain(found, path))
            _tell_of_images(model, recorded, path)


def _start_files(init_cfg: Any) -> List[str]:
    inits = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    paths = [str(i.get('checkpoint') or '') for i in inits if isinstance(i, Mapping)]
    return [path for path in paths if Path(path).is_file()]


def _start_differences(name: str, part: Mapping, recorded: Settings) -> List[Difference]:
    if f'{name}.type' not in recorded:
        return []
    return _part_differences(name, part, recorded, start=True)


def _tell_of_images(model: Mapping, recorded: Settings, path: str) -> None:
    found = list(_image_differences(model, recorded))
    if found:
        text = '; '.join(f'{d.setting} {d.file} there, {d.config} here' for d in found)
        message = f'{path} was trained on other images than the config gives it: {text}'
        print_log(message, 'current', logging.WARNING)


def read_meta(checkpoint: Any) -> Any:
    """What a checkpoint file says of itself; nothing for an address or a file without such."""
    if not Path(str(checkpoint)).is_file():
        return {}
    return read_checkpoint(checkpoint).get('meta') or {}


def _settings_in(meta: Any) -> Settings:
    came = meta.get('converted_from') if isinstance(meta, Mapping) else None
    return dict(came.get('settings') or {}) if isinstance(came, Mapping) else {}


def _explain(found: Sequence[Difference], name: Any) -> str:
    told = '; '.join(f'{d.setting} is {d.file} there and {d.config} here' for d in found[:3])
    more = f'; and {len(found) - 3} more' if len(found) > 3 else ''
    options = ' '.join(
        f'model.{d.setting}={str(d.file).replace(" ", "")}'
        for d in found
        if '(' not in d.setting and d.file is not None
    )
    option = f'--cfg-options {options}, or ' if options else ''
    return (
        f"{name}: these weights fit the config's network by name, but were converted for another "
        f'one: {told}{more}. Use {option}the config that tools/model_converters/convert.py prints '
        'for them; if they were trained otherwise than it assumed, convert them again with its '
        '--option'
    )


def _differences(model: Mapping[str, Any], recorded: Settings) -> Iterator[Difference]:
    parts = {key.split('.')[0] for key in recorded}
    for name in _PARTS:
        if name in parts and isinstance(model.get(name), Mapping):
            yield from _part_differences(name, model[name], recorded)
    yield from _map_differences(model, recorded)
    yield from _image_differences(model, recorded)
    yield from _model_differences(model, recorded)


def _part_differences(
    name: str, part: Mapping, recorded: Settings, *, start: bool = False
) -> List[Difference]:
    """Differences of a part, told by the settings that explain them where there are any.

    Args:
        name: Of the part.
        part: Its config.
        recorded: What the file says.
        start: Let it have other strides, dilations and outputs, and modules of its own.
    """
    theirs = _nested(recorded)[name]
    kind, ours = MODELS.get(theirs['type']), MODELS.get(part['type'])
    if kind is not None and not (inspect.isclass(ours) and issubclass(ours, kind)):
        return [Difference(f'{name}.type', theirs['type'], part['type'])]
    given, configured = _facts(_build(theirs, part)), _effective(part)
    found = _inner_differences(given, part, start)
    if not found:
        return []
    explained: List[Difference] = []
    for key in (key for key in theirs if key != 'type'):
        told = _told(f'{name}.{key}', theirs[key], configured.get(key))
        repaired = {**part, key: theirs[key]}
        if told and len(_inner_differences(given, repaired, start)) < len(found):
            explained += told
    return explained or [Difference(_path(name, d.setting), d.file, d.config) for d in found]


def _path(name: str, attribute: str) -> str:
    """Name an attribute: a part keeps most arguments under their own names, its modules not."""
    return f'{name} ({attribute})' if '.' in attribute else f'{name}.{attribute}'


def _told(path: str, theirs: Any, ours: Any) -> List[Difference]:
    """Differences of a setting that may hold others."""
    given, configured = dict(_flatten(theirs, path)), dict(_flatten(ours, path))
    return [
        Difference(key, given.get(key), configured.get(key))
        for key in {**given, **configured}
        if not _same(given.get(key), configured.get(key))
    ]


def _inner_differences(given: Mapping, part: Mapping, start: bool) -> List[Difference]:
    """Compare what the modules of both networks hold, whatever their configs are written like."""
    built = _facts(_build(part))
    return [
        Difference(path, given.get(path), built.get(path))
        for path in {**given, **built}
        if not _same(given.get(path), built.get(path))
        and not (start and _may_start_with(path, given, built))
    ]


def _may_start_with(path: str, given: Mapping, built: Mapping) -> bool:
    inner, _, attribute = path.rpartition('.')
    return not inner or attribute in _GEOMETRY or path not in given or path not in built


def _build(config: Mapping, shapes: Optional[Mapping] = None) -> nn.Module:
    """Build a part without weights to load, with the sizes of another config of it."""
    sizes = ('in_channels', 'channels', 'num_classes', 'out_channels', 'img_size')
    taken = {key: shapes[key] for key in sizes if key in shapes} if shapes else {}
    plain = {k: v for k, v in config.items() if k not in ('init_cfg', 'pretrained', 'loss_decode')}
    if 'num_classes' in {**plain, **taken}:
        plain['loss_decode'] = dict(type='CrossEntropyLoss', avg_non_ignore=True)
    try:
        with torch.device('meta'):  # no memory, no random numbers
            return MODELS.build({**plain, **taken})
    except Exception:
        return _build_on_cpu({**plain, **taken})


def _build_on_cpu(config: dict) -> nn.Module:
    """Build what reads numbers off tensors on the way, such as mmseg's transformers."""
    try:
        with torch.random.fork_rng(devices=[]):
            return MODELS.build(config)
    except Exception as error:
        raise ValueError(
            f'{config["type"]} cannot be built with the settings that a converted checkpoint '
            f'needs ({error}): convert it again'
        ) from error


def _facts(network: nn.Module) -> Dict[str, Any]:
    """Plain attributes and kinds of all modules, by path."""
    facts = {}
    for path, module in network.named_modules():
        kind = type(module).__name__
        if _is_free(path):
            continue
        if path:  # the network's own class is compared as a setting
            facts[path] = _kind(kind)
        if facts.get(path) == 'Identity':
            continue
        for key, value in vars(module).items():
            if not (key.startswith('_') or _is_free(key) or key in (*_MAPS, 'in_index')):
                plain = _plain(value)
                if plain is not None:
                    facts[f'{path}.{key}'.lstrip('.')] = plain
    return facts


def _kind(name: str) -> str:
    if any(word in name for word in _IDENTITIES):
        return 'Identity'
    return 'BatchNorm' if 'BatchNorm' in name else name


def _map_differences(model: Mapping, recorded: Settings) -> Iterator[Difference]:
    """Compare which of the backbone's maps each head reads."""
    for head in ('decode_head', 'auxiliary_head'):
        if f'{head}.type' in recorded and isinstance(model.get(head), Mapping):
            theirs, ours = _maps_read(_nested(recorded), head), _maps_read(model, head)
            if theirs is not None and ours is not None and not _same(theirs, ours):
                yield Difference(f'{head}.in_index (maps of the backbone)', theirs, ours)


def _maps_read(model: Mapping, head: str) -> Optional[List[Any]]:
    backbone, reader = _effective(model.get('backbone')), _effective(model[head])
    if not isinstance(backbone, Mapping):
        return None
    names = next((list(backbone[key]) for key in _MAPS if backbone.get(key) is not None), None)
    index = reader.get('in_index', -1)
    if names is None:
        return None
    if index is None:
        return names
    places = [index] if isinstance(index, int) else list(index)
    return [names[place] if -len(names) <= place < len(names) else None for place in places]


def _image_differences(model: Mapping, recorded: Settings) -> Iterator[Difference]:
    ours = model.get(_IMAGES)
    if not isinstance(ours, Mapping):
        return
    usual = dict(mean=[0.0], std=[1.0], bgr_to_rgb=False)
    for key, default in usual.items():
        path = f'{_IMAGES}.{key}'
        if path in recorded:
            value = ours.get(key)
            value = default if value is None else value
            if not _same(*_spread(recorded[path], value), tolerance=1e-3):
                yield Difference(path, recorded[path], _plain(value))


def _spread(a: Any, b: Any) -> Tuple[Any, Any]:
    """One value for all channels as many."""
    if not isinstance(a, list) or not isinstance(b, (list, tuple)):
        return a, b
    size = max(len(a), len(b))
    first, second = (list(x) * size if len(x) == 1 else list(x) for x in (a, b))
    return first, second


def _model_differences(model: Mapping, recorded: Settings) -> Iterator[Difference]:
    """Compare settings of the model itself, such as the scales of its input."""
    configured = _effective(model) if 'type' in model else model
    for path, value in recorded.items():
        if path.split('.')[0] not in (*_PARTS, _IMAGES) and not _same(value, configured.get(path)):
            yield Difference(path, value, _plain(configured.get(path)))


def _nested(flat: Settings) -> Dict[str, Any]:
    nested: Dict[str, Any] = {}
    for path, value in flat.items():
        *folders, leaf = path.split('.')
        place = nested
        for folder in folders:
            place = place.setdefault(folder, {})
        place[leaf] = value
    return nested


def _same(a: Any, b: Any, *, tolerance: float = 1e-9) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(_same(x, y, tolerance=tolerance) for x, y in zip(a, b))
    numbers = all(isinstance(x, (int, float)) for x in (a, b))
    return abs(a - b) <= tolerance if numbers else a == b
