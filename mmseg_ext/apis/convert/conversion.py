"""Rename the weights of public checkpoints to our names, for any source.

A source maps its names to ours and gives the configs of our modules that the tensors fit. The
modules are built, so a conversion either matches every name and shape, or fails with a list of the
differences.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from mmseg.registry import MODELS
from torch import Tensor

from ...core.fitting import State
from ...core.words import count_names
from .source import Source

# Tensors that can be computed or do not change the output; old files lack them.
_COMPUTED = ('num_batches_tracked', 'relative_position_index')


@dataclass(frozen=True)
class Converted:
    """Weights under our names, with the modules that they fit.

    ``left_out`` lists public names that are not used, ``absent`` our names whose weights stay
    random, ``options`` the values of the source's options.
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
        options: Values of the source's options, by name or alias; the default is the first choice.

    Raises:
        ValueError: If a tensor is unknown, missing or has another shape, or an option or its value
            does not exist.
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
    if not unknown:  # otherwise an adjustment could fail
        renamed = source.adjust(renamed)
    ours, absent = _complete(renamed, wanted, source.absent)
    _check(ours, wanted, absent, unknown, source.title)
    if list(model) == ['backbone']:
        ours = {key.removeprefix('backbone.'): value for key, value in ours.items()}
    return Converted(ours, model, left_out, absent, chosen)


def choose_options(source: Source, given: Mapping[str, Any]) -> dict[str, int]:
    """Return the index of the chosen value of every option.

    Args:
        source: The source with its options.
        given: Values by name or alias, as number or text.

    Raises:
        ValueError: If an option or value is unknown; the message lists the valid ones.
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
        else:  # also if a name of ours gets a second tensor
            unknown.append(key)
    return renamed, left_out, unknown


def _matches(key: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, key) for pattern in patterns)


def _build_state(model: dict[str, dict]) -> State:
    return {
        f'{part}.{key}': value
        for part, cfg in model.items()
        for key, value in MODELS.build(with_loss(cfg)).state_dict().items()
    }


def with_loss(cfg: Mapping[str, Any]) -> dict:
    """Set the loss of our configs in a head; mmseg's default causes a warning."""
    loss = dict(type='CrossEntropyLoss', avg_non_ignore=True)
    return dict(cfg, loss_decode=loss) if 'num_classes' in cfg else dict(cfg)


def _complete(renamed: State, wanted: State, patterns: Sequence[str]) -> tuple[State, list[str]]:
    """Order tensors as ours, add computed ones, and list those that stay random."""
    ours: State = {}
    absent = []
    for key, value in wanted.items():
        if key in renamed:
            ours[key] = renamed.pop(key)
        elif _matches(key, patterns):
            absent.append(key)
        elif key.endswith(_COMPUTED):
            ours[key] = value
    return {**ours, **renamed}, absent  # tensors without a place are kept and reported


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
