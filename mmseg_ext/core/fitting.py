"""What weights a checkpoint holds, and whether they fit a model and its classes."""

from collections.abc import Sequence
from typing import Any, Optional

import torch
from torch import Tensor

from .files import PathLike
from .words import count_names

State = dict[str, Tensor]


def weights_of(content: dict, name: PathLike) -> State:
    """Weights in what a checkpoint file holds, without a data-parallel prefix.

    Args:
        content: From :func:`.checkpoints.read_checkpoint`.
        name: Of the file, for messages.

    Raises:
        ValueError: If there are none.
    """
    state: Any = content.get('state_dict', content.get('model', content))  # 'model': many others
    named = isinstance(state, dict) and all(isinstance(key, str) for key in state)
    if not named or not any(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f'{name} holds no weights: expected a dict of tensors or a "state_dict"')
    for key, value in state.items():
        if isinstance(value, Tensor) and not _is_plain(value):
            raise ValueError(
                f'{name}: {key} is sparse, quantized or complex, which no network here has: save '
                'plain tensors where it comes from'
            )
    return {key.removeprefix('module.'): value for key, value in state.items()}


def _is_plain(value: Any) -> bool:
    """Whether a value is a tensor of real numbers, all of them there."""
    if not isinstance(value, Tensor) or value.is_complex() or value.is_quantized:
        return False
    return value.layout == torch.strided and not value.is_meta


def check_finite(state: State, name: PathLike) -> None:
    """Refuse weights that are not all numbers: whatever is computed with them means nothing.

    Args:
        state: Weights by name.
        name: Of the file, for the message.

    Raises:
        ValueError: Naming the first tensor with NaN or an infinity.
    """
    for key, value in state.items():
        if _is_plain(value) and value.is_floating_point() and not value.isfinite().all():
            raise ValueError(
                f'{name}: {key} is not finite (NaN or infinity), the training has diverged: take '
                'an earlier checkpoint, or train again with a lower rate'
            )


def check_fit(wanted: State, given: State, name: PathLike, *, complete: bool) -> None:
    """Refuse weights that would leave a model with random ones.

    Args:
        wanted: The model's own.
        given: Those of the file.
        name: Of the file, for the message.
        complete: Require every weight (testing, resuming); otherwise (fine-tuning) at least
            half of the smaller of the two sets must match by name and shape.

    Raises:
        ValueError: If too few weights match, with counts and examples.
    """
    matched = {
        k for k, v in wanted.items() if _is_plain(given.get(k)) and given[k].shape == v.shape
    }
    # a BN counter is absent from old files and changes no output
    missing = [k for k in wanted if k not in matched and not k.endswith('num_batches_tracked')]
    enough = not missing if complete else 2 * len(matched) >= min(len(wanted), len(given))
    if enough:
        return
    reshaped = [k for k in missing if k in given]
    absent = [k for k in missing if k not in given]
    unexpected = [k for k in given if k not in wanted]
    lists = {
        'missing from the file': absent,
        'of another shape': reshaped,
        'not in the model': unexpected,
    }
    raise ValueError(
        f'{name} belongs to another model: {len(matched)} of {len(wanted)} tensors match; '
        f'{"; ".join(count_names(what, names) for what, names in lists.items())}. '
        'Use the config that the checkpoint was trained with'
    )


def check_classes(
    meta: Optional[dict], classes: Optional[Sequence[str]], name: PathLike = 'the checkpoint'
) -> None:
    """Refuse a checkpoint that knows other classes than the data: its scores would mean nothing.

    Args:
        meta: What the checkpoint says of itself; without classes in it everything passes.
        classes: Those of the data set, in order; ``None`` passes.
        name: Of the file, for the message.

    Raises:
        ValueError: If they differ in number, name or order.
    """
    known = meta.get('dataset_meta') if isinstance(meta, dict) else None
    trained = known.get('classes') if isinstance(known, dict) else None
    if not trained or not classes or list(trained) == list(classes):
        return
    raise ValueError(
        f'{name} was trained on the {len(trained)} classes ({_listed(trained)}), the data set has '
        f'the {len(classes)} classes ({_listed(classes)}): take a checkpoint that was trained on '
        'these classes, or the data set (--dataset, or the config) that this one was trained on'
    )


def _listed(names: Sequence[str]) -> str:
    shown = [str(name) for name in names]
    return ', '.join(shown if len(shown) <= 30 else [*shown[:29], '...', shown[-1]])
