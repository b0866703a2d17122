"""Reading of public checkpoints, and writing of converted ones with meta data.

The weights are not trained here: results of converted weights belong to their authors, and the meta
data of the file say so.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from mmengine.config import Config

from ...core.files import PathLike
from ...core.fitting import State
from ...core.words import count_names
from ..run.checkpoints import read_state_dict, write_checkpoint
from ..run.network.recorded import settings_of
from .conversion import Converted, choose_options, convert, with_loss
from .source import Option, Source


def read_public_weights(path: PathLike) -> State:
    """Read a checkpoint of torch or safetensors, or arrays of numpy.

    Raises:
        FileNotFoundError: If the file is not there.
        ImportError: If the package for its format is not there.
        ValueError: If it is not a checkpoint.
    """
    readers = {'.safetensors': _read_safetensors, '.npz': _read_arrays}
    read = readers.get(Path(path).suffix)
    if read is None:
        return read_state_dict(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f'no checkpoint {path}')
    try:
        return read(path)
    except ImportError:
        raise
    except Exception as error:  # each package raises its own type
        raise ValueError(f'{path} cannot be read as a checkpoint: {error}') from error


def _read_safetensors(path: PathLike) -> State:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise ImportError(f'{path}: pip install safetensors, to read this format') from None
    return load_file(str(path))


def _read_arrays(path: PathLike) -> State:
    with np.load(path) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def converted_meta(
    path: PathLike, *, source: str, origin: str, settings: Optional[Mapping[str, Any]] = None
) -> dict[str, Any]:
    """Return the meta data on the origin of weights, which results and cards show.

    Args:
        path: The public file, of which only the name is stored.
        source: Name of the kind of checkpoint.
        origin: Its address.
        settings: Settings that loading compares with the config, see
            :mod:`~..run.network.settings`.
    """
    came: dict[str, Any] = dict(file=Path(path).name, source=source, origin=origin)
    if settings:
        came['settings'] = dict(settings)
    return dict(converted_from=came, note='training not reproduced')


def convert_file(
    path: PathLike,
    target: PathLike,
    *,
    name: str,
    source: Source,
    options: Optional[Mapping[str, Any]] = None,
    prefix: str = '',
) -> Converted:
    """Convert a public checkpoint into a file of ours.

    Args:
        path: File, or address of a torch checkpoint.
        target: File to write; an older one is replaced.
        name: Name of the source.
        source: What the weights are.
        options: See :func:`~.conversion.convert`.
        prefix: What names in the file begin with, as an ``init_cfg`` with a ``prefix`` asks for.

    Raises:
        FileNotFoundError: If ``path`` does not exist.
        ValueError: If it has other weights, or ``target`` is the same file.
    """
    if Path(target).exists() and Path(path).exists() and Path(path).samefile(target):
        raise ValueError(f'{target} is the file to read: name another one to write')
    choose_options(source, options or {})  # reports a mistake before the file is read
    converted = convert(read_public_weights(path), source, options)
    settings = settings_of(converted.model, source.images_for(converted.options))
    meta = converted_meta(path, source=name, origin=source.origin, settings=settings)
    state = {f'{prefix}{key}': value for key, value in converted.state.items()}
    write_checkpoint(dict(state_dict=state, meta=meta), target)
    return converted


def describe(converted: Converted, target: PathLike, source: Source, *, prefix: str = '') -> str:
    """Return the text of a config that fits the weights; for a whole model it can predict.

    Args:
        converted: From :func:`convert_file`.
        target: The written file.
        source: What the weights are.
        prefix: As it was written with.
    """
    parts = {part: with_loss(cfg) for part, cfg in converted.model.items()}
    if list(parts) == ['backbone']:
        start = dict(prefix=prefix) if prefix else {}
        parts['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=str(target), **start)
        return Config(dict(model=parts)).pretty_text.strip()
    images = source.images_for(converted.options)
    config = dict(
        default_scope='mmseg',
        custom_imports=dict(imports=['mmseg_ext'], allow_failed_imports=False),
        test_pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
        model=dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', **images),
            **parts,
            test_cfg=dict(mode='whole'),
        ),
    )
    return Config(config).pretty_text.strip()


def notes(converted: Converted, target: PathLike, source: Source) -> list[str]:
    """Describe a conversion and its assumptions, one sentence per line; arguments as above."""
    lines = [
        f'{target}: {len(converted.state)} tensors written',
        count_names('of the file left out', converted.left_out),
        count_names('of the model not in the file, random', converted.absent),
        f'images: {source.images}',
        *(_assumption(source.options[key], key, value) for key, value in converted.options.items()),
        *([source.note] if source.note else []),
        f'from {source.origin}; training not reproduced',
    ]
    return lines


def _assumption(option: Option, name: str, value: int) -> str:
    others = ' or '.join(f'--option {name}={c}' for c in option.choices if c != value)
    called = f' ({option.alias} there)' if option.alias else ''
    return f'{option.meaning} {value}{called}, which the weights do not show; else {others}'
