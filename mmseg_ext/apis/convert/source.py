"""Give the weights of public checkpoints our names: what all sources share.

A source says how it names a tensor here and which of our modules the tensors fit; the module is
built, so that a conversion is right in every name and shape or fails with both lists. No training
happens: results of converted weights are their authors', and the file says so in its meta data.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor

from ...core.files import PathLike
from ...core.words import count_names
from ..run.checkpoints import read_state_dict, write_checkpoint
from ..run.settings import settings_of

State = dict[str, Tensor]

# Tensors that follow from the others or change no output; old files lack them.
_COMPUTED = ('num_batches_tracked', 'relative_position_index')


def _same(state: State) -> State:
    return state


@dataclass(frozen=True)
class Option:
    """What weights do not show, so that whoever converts them has to say it.

    Args:
        choices: Values that there are, the one that is assumed first.
        meaning: In a word or two, for the note.
        alias: What the source's own code calls it.
    """

    choices: Sequence[int]
    meaning: str
    alias: str = ''


@dataclass(frozen=True)
class Source:
    """A kind of public checkpoint.

    Args:
        title: What it holds.
        origin: Address of the repository or package whose names it has.
        images: What images the weights expect, in the words of a ``data_preprocessor``.
        model: Weights, and values of ``options`` by name, to configs of the parts they fit,
            ``backbone`` first; raises ``KeyError`` or ``ValueError`` for weights of something else.
            A backbone alone gets names without prefix, for ``init_cfg=dict(type='Pretrained',
            ...)``; several parts the names of a whole model.
        names: Weights to a function from a public name to ours, with the part in front; ``None``
            for names it does not know.
        left_out: Regular expressions of public names that are known and have no place here.
        absent: Regular expressions of our names that the source does not hold, which stay random.
        prepare: First change, of values and names that no renaming can make ours; raises as
            ``model``, which gets what it returns.
        adjust: Last change of values, on our names.
        note: What is not the same as there.
        preprocessor: ``mean``, ``std`` and ``bgr_to_rgb`` that ``images`` stands for, or a function
            of the options that returns them.
        options: Settings that the weights do not show, by name.
    """

    title: str
    origin: str
    images: str
    model: Callable[..., dict[str, dict]]
    names: Callable[[State], Callable[[str], Optional[str]]]
    left_out: Sequence[str] = ()
    absent: Sequence[str] = ()
    prepare: Callable[[State], State] = _same
    adjust: Callable[[State], State] = _same
    note: str = ''
    preprocessor: Union[Mapping[str, Any], Callable[..., Mapping[str, Any]]] = field(
        default_factory=dict
    )
    options: Mapping[str, Option] = field(default_factory=dict)

    def images_for(self, options: Mapping[str, int]) -> dict[str, Any]:
        """Return the arguments of the preprocessor."""
        given = self.preprocessor
        return dict(given(**options) if callable(given) else given)


def _grey_unit_range(image_max: int = 255) -> dict[str, Any]:
    return dict(mean=[0.0] * 3, std=[float(image_max)] * 3)


# Networks of medical images, whose one channel is given three times.
GREY_UNIT_RANGE: dict[str, Any] = dict(
    images='one channel of 0..1 three times: mean 0, std the largest value of your images',
    preprocessor=_grey_unit_range,
    options=dict(image_max=Option((255, 1), 'images of values up to')),
)


@dataclass(frozen=True)
class Converted:
    """Weights under our names, with what they fit.

    ``left_out`` lists public names without a place here, ``absent`` our names that stay random,
    ``options`` the values of the source's options.
    """

    state: State
    model: dict[str, dict]
    left_out: list[str]
    absent: list[str]
    options: dict[str, int] = field(default_factory=dict)


def convert(
    state: Mapping[str, Tensor], source: Source, options: Optional[Mapping[str, Any]] = None
) -> Converted:
    """Rename the weights of a public checkpoint and check them against our modules.

    Args:
        state: Weights under their public names.
        source: What they are.
        options: Values of the source's options, by name or alias; the first choice of the others.

    Raises:
        ValueError: If they are not such weights: a tensor is unknown, missing or of another shape.
            If there is no such option, or not that choice.
    """
    chosen = choose_options(source, options or {})
    try:
        given = source.prepare(dict(state))
        model = source.model(given, **chosen)
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
    return Converted(ours, model, left_out, absent, chosen)


def choose_options(source: Source, given: Mapping[str, Any]) -> dict[str, int]:
    """Give every option of a source its value.

    Args:
        source: Has the options.
        given: Values by name or alias, as numbers or text.

    Raises:
        ValueError: If an option or a value is unknown; the message lists those that there are.
    """
    names = {name: name for name in source.options}
    names.update({option.alias: name for name, option in source.options.items() if option.alias})
    chosen = {name: option.choices[0] for name, option in source.options.items()}
    for key, value in given.items():
        if key not in names:
            known = ', '.join(source.options) or 'it has none'
            raise ValueError(f'no option {key} of {source.title}: {known}')
        choices = source.options[names[key]].choices
        if str(value) not in map(str, choices):
            listed = ' or '.join(map(str, choices))
            raise ValueError(f'{key} must be {listed}, got {value}')
        chosen[names[key]] = choices[[str(choice) for choice in choices].index(str(value))]
    return chosen


def _rename(state: State, source: Source) -> tuple[State, list[str], list[str]]:
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


def _build_state(model: dict[str, dict]) -> State:
    return {
        f'{part}.{key}': value
        for part, cfg in model.items()
        for key, value in MODELS.build(_with_loss(cfg)).state_dict().items()
    }


def _with_loss(cfg: Mapping[str, Any]) -> dict:
    """Give a head the loss of our configs; mmseg's warns of its own default."""
    loss = dict(type='CrossEntropyLoss', avg_non_ignore=True)
    return dict(cfg, loss_decode=loss) if 'num_classes' in cfg else dict(cfg)


def _complete(renamed: State, wanted: State, patterns: Sequence[str]) -> tuple[State, list[str]]:
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


def in_backbone(table: Mapping[str, str]) -> Callable[[str], Optional[str]]:
    """As :func:`by_table`, with ours in the backbone."""
    return by_table({theirs: f'backbone.{ours}' for theirs, ours in table.items()})


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


def converted_meta(
    path: PathLike, *, source: str, origin: str, settings: Optional[Mapping[str, Any]] = None
) -> dict[str, Any]:
    """Say in a checkpoint where its weights come from; results and cards show it.

    Args:
        path: The public file; its name alone is kept.
        source: Name of the kind of checkpoint.
        origin: Its address.
        settings: What loading compares with the config, see :mod:`.convert_settings`.
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
) -> Converted:
    """Convert a public checkpoint into a file of ours.

    Args:
        path: File, or address of a torch checkpoint.
        target: File to write, over an older one.
        name: Of the source.
        source: What the weights are.
        options: See :func:`convert`.

    Raises:
        FileNotFoundError: If ``path`` is not there.
        ValueError: If it holds other weights, or ``target`` is the same file.
    """
    if Path(target).exists() and Path(path).exists() and Path(path).samefile(target):
        raise ValueError(f'{target} is the file to read: name another one to write')
    choose_options(source, options or {})  # a mistake in them is told before the file is read
    converted = convert(read_public_weights(path), source, options)
    settings = settings_of(converted.model, source.images_for(converted.options))
    meta = converted_meta(path, source=name, origin=source.origin, settings=settings)
    write_checkpoint(dict(state_dict=converted.state, meta=meta), target)
    return converted


def describe(converted: Converted, target: PathLike, source: Source) -> str:
    """Write the config that the weights fit: a file of it loads, and predicts with a whole model.

    Args:
        converted: From :func:`convert_file`.
        target: The file that was written.
        source: What the weights are.
    """
    parts = {part: _with_loss(cfg) for part, cfg in converted.model.items()}
    if list(parts) == ['backbone']:
        parts['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint=str(target))
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
    """Say what a conversion did and what it assumed, a sentence a line; arguments as above."""
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
