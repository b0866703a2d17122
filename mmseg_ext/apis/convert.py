"""Give the weights of public checkpoints our names: what all sources share.

A source says how it names a tensor here and which of our modules the tensors fit; the module is
built, so that a conversion is right in every name and shape or fails with both lists. No training
happens: results of converted weights are their authors', and the file says so in its meta data.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_ext.core.files import replacing

from .checkpoints import read_state_dict

PathLike = Union[str, Path]
State = Dict[str, Tensor]

# Tensors that follow from the others or change no output; old files lack them.
_COMPUTED = ('num_batches_tracked', 'relative_position_index')


def _same(state: State) -> State:
    return state


@dataclass(frozen=True)
class Source:
    """A kind of public checkpoint.

    Args:
        title: What it holds.
        origin: Address of the repository or package whose names it has.
        images: What images the weights expect, in the words of a ``data_preprocessor``.
        model: Weights to configs of the parts they fit, ``backbone`` first; raises ``KeyError`` or
            ``ValueError`` for weights of something else. A backbone alone gets names without
            prefix, for ``init_cfg=dict(type='Pretrained', ...)``; several parts the names of a
            whole model.
        names: Weights to a function from a public name to ours, with the part in front; ``None``
            for names it does not know.
        left_out: Regular expressions of public names that are known and have no place here.
        absent: Regular expressions of our names that the source does not hold, which stay random.
        prepare: First change, of values and names that no renaming can make ours; raises as
            ``model``, which gets what it returns.
        adjust: Last change of values, on our names.
        note: What is not the same as there.
    """

    title: str
    origin: str
    images: str
    model: Callable[[State], Dict[str, dict]]
    names: Callable[[State], Callable[[str], Optional[str]]]
    left_out: Sequence[str] = ()
    absent: Sequence[str] = ()
    prepare: Callable[[State], State] = _same
    adjust: Callable[[State], State] = _same
    note: str = ''


@dataclass(frozen=True)
class Converted:
    """Weights under our names, with what they fit.

    ``left_out`` lists public names without a place here, ``absent`` our names that stay random.
    """

    state: State
    model: Dict[str, dict]
    left_out: List[str]
    absent: List[str]


def convert(state: Mapping[str, Tensor], source: Source) -> Converted:
    """Rename the weights of a public checkpoint and check them against our modules.

    Args:
        state: Weights under their public names.
        source: What they are.

    Raises:
        ValueError: If they are not such weights: a tensor is unknown, missing or of another shape.
    """
    try:
        given = source.prepare(dict(state))
        model = source.model(given)
    except (KeyError, ValueError) as error:
        raise ValueError(f'not the weights of {source.title}: no {error.args[0]}') from None
    renamed, left_out, unknown = _rename(given, source)
    if not renamed:
        raise ValueError(f'not the weights of {source.title}: none of {len(given)} names is known')
    wanted = _build_state(model)
    if not unknown:  # else a repair may meet what it does not expect
        renamed = source.adjust(renamed)
    ours, absent = _complete(renamed, wanted, source.absent)
    _check(ours, wanted, absent, unknown, source.title)
    if list(model) == ['backbone']:
        ours = {key.removeprefix('backbone.'): value for key, value in ours.items()}
    return Converted(ours, model, left_out, absent)


def _rename(state: State, source: Source) -> Tuple[State, List[str], List[str]]:
    name_of = source.names(state)
    renamed: State = {}
    left_out, unknown = [], []
    for key, value in state.items():
        ours = name_of(key)
        if ours is not None and ours not in renamed:
            renamed[ours] = value
        elif ours is None and _matches(key, source.left_out):
            left_out.append(key)
        else:  # also a second tensor for one of our names
            unknown.append(key)
    return renamed, left_out, unknown


def _matches(key: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, key) for pattern in patterns)


def _build_state(model: Dict[str, dict]) -> State:
    return {
        f'{part}.{key}': value
        for part, cfg in model.items()
        for key, value in MODELS.build(dict(cfg)).state_dict().items()
    }


def _complete(renamed: State, wanted: State, patterns: Sequence[str]) -> Tuple[State, List[str]]:
    """Put the tensors in our order, with those that are computed, and list those left random."""
    ours: State = {}
    absent = []
    for key, value in wanted.items():
        if key in renamed:
            ours[key] = renamed.pop(key)
        elif _matches(key, patterns):
            absent.append(key)
        elif key.endswith(_COMPUTED):
            ours[key] = value
    return {**ours, **renamed}, absent  # what is left has no place, and is reported


def _check(
    ours: State, wanted: State, absent: Sequence[str], unknown: Sequence[str], title: str
) -> None:
    lists = dict(
        missing=[key for key in wanted if key not in ours and key not in absent],
        unknown=[*unknown, *(key for key in ours if key not in wanted)],
    )
    lists['of another shape'] = [
        f'{key} is {tuple(value.shape)} instead of {tuple(wanted[key].shape)}'
        for key, value in ours.items()
        if key in wanted and value.shape != wanted[key].shape
    ]
    if any(lists.values()):
        found = ', '.join(count_names(what, names) for what, names in lists.items())
        raise ValueError(f'not the weights of {title}: {found}')


def count_names(what: str, names: Sequence[str]) -> str:
    """Write how many names there are, and the first of them."""
    return f'{len(names)} {what}' + (f' (such as {names[0]})' if names else '')


def by_table(table: Mapping[str, str]) -> Callable[[str], Optional[str]]:
    """Rename whole tensors, or modules with what stands behind the last dot kept.

    Args:
        table: Public name to ours; of a tensor, or of the module that holds it.
    """

    def name_of(key: str) -> Optional[str]:
        if key in table:
            return table[key]
        module, _, leaf = key.rpartition('.')
        return f'{table[module]}.{leaf}' if module in table else None

    return name_of


def rows(state: State, key: str) -> int:
    """Return the first size of a tensor, such as the number of classes of a classifier."""
    return len(state[key])


def count_modules(state: State, pattern: str) -> int:
    """Count the distinct numbers of the group of a pattern in the names; 0 for none."""
    return len({found[1] for key in state if (found := re.match(pattern, key))})


def read_public_weights(path: PathLike) -> State:
    """Read a checkpoint of torch, one of safetensors, or arrays of numpy.

    Raises:
        FileNotFoundError: If the file is not there.
        ImportError: If the package for its format is not there.
        ValueError: If it is no checkpoint.
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
    except Exception as error:  # a package raises a kind of its own
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


def converted_meta(path: PathLike, *, source: str, origin: str) -> Dict[str, Any]:
    """Say in a checkpoint where its weights come from; results and cards show it.

    Args:
        path: The public file; its name alone is kept.
        source: Name of the kind of checkpoint.
        origin: Its address.
    """
    return dict(
        converted_from=dict(file=Path(path).name, source=source, origin=origin),
        note='training not reproduced',
    )


def write_checkpoint(content: dict, target: PathLike) -> None:
    """Write a checkpoint, whole or not at all."""
    with replacing(target) as unfinished:
        torch.save(content, unfinished)


def convert_file(path: PathLike, target: PathLike, *, name: str, source: Source) -> Converted:
    """Convert a public checkpoint into a file of ours.

    Args:
        path: File, or address of a torch checkpoint.
        target: File to write, over an older one.
        name: Of the source.
        source: What the weights are.

    Raises:
        FileNotFoundError: If ``path`` is not there.
        ValueError: If it holds other weights, or ``target`` is the same file.
    """
    if Path(target).exists() and Path(path).exists() and Path(path).samefile(target):
        raise ValueError(f'{target} is the file to read: name another one to write')
    converted = convert(read_public_weights(path), source)
    meta = converted_meta(path, source=name, origin=source.origin)
    write_checkpoint(dict(state_dict=converted.state, meta=meta), target)
    return converted


def describe(converted: Converted, target: PathLike) -> str:
    """Write the config that the weights fit."""
    model = {part: dict(cfg) for part, cfg in converted.model.items()}
    if list(model) == ['backbone']:
        model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=str(target))
    return Config(dict(model=model)).pretty_text.strip()
