"""Find the weights in a checkpoint, and check that they fit a model and its classes."""

from collections.abc import Sequence
from typing import Any, Optional

import torch
from torch import Tensor

from .files import PathLike
from .words import count_names

State = dict[str, Tensor]


def weights_of(content: dict, name: PathLike) -> State:
    """Find the weights in the content of a checkpoint; remove a data-parallel prefix.

    Args:
        content: From :func:`.checkpoints.read_checkpoint`.
        name: Name of the file, for messages.

    Raises:
        ValueError: If there are no weights, or one of them is sparse, quantized or complex.
    """
    # other projects call it 'model', or save the weights alone
    state: Any = content.get('state_dict', content.get('model', content))
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
    """Whether a value is a dense tensor of real numbers with memory behind it."""
    if not isinstance(value, Tensor) or value.is_complex() or value.is_quantized:
        return False
    return value.layout == torch.strided and not value.is_meta


def check_finite(state: State, name: PathLike) -> None:
    """Refuse weights with NaN or infinity: whatever is computed with them means nothing.

    Args:
        state: Weights by name.
        name: Name of the file, for the message.

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
    """Refuse weights that would leave (much of) a model at its random initialisation.

    Args:
        wanted: The model's own weights by name.
        given: The weights of the file by name.
        name: Name of the file, for the message.
        complete: Require every weight, for testing and resuming. Otherwise, for fine-tuning, at
            least half of the smaller of the two sets must match by name and shape.

    Raises:
        ValueError: If too few weights match, with counts and examples.
    """
    matched = {
        k for k, v in wanted.items() if _is_plain(given.get(k)) and given[k].shape == v.shape
    }
    # old files lack batch normalisation's counter, which changes no output
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
    """Refuse a checkpoint trained on other classes than the data's: its scores would mean nothing.

    Args:
        meta: The checkpoint's meta data; if it names no classes, there is nothing to refuse.
        classes: Classes of the data set, in order; ``None`` if unknown, then nothing is refused.
        name: Name of the file, for the message.

    Raises:
        ValueError: If the classes differ in number, name or order.
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
