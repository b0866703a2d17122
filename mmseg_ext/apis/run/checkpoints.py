"""Refuse checkpoints of another model or of other classes.

How they are read stands in :mod:`mmseg_ext.core.checkpoints`, which of a run is the best or the
last in :mod:`mmseg_ext.core.saved`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from ...core.checkpoints import read_checkpoint, settings_of, write_checkpoint
from ...core.files import PathLike
from ...core.fitting import State, check_classes, check_finite, check_fit, weights_of

__all__ = [
    'check_classes',
    'check_finite',
    'check_start_weights',
    'check_weights',
    'read_checkpoint',
    'read_state_dict',
    'settings_of',
    'weights_of',
    'write_checkpoint',
]


def check_start_weights(model: dict) -> None:
    """Check that the local files which a model starts from are there; mmengine looks much later.

    Args:
        model: Config of the model.

    Raises:
        FileNotFoundError: If one is absent.
        ValueError: If an ``init_cfg`` is a text, as ``--cfg-options`` makes it of a dict.
    """
    for setting, path in _start_weights(model, 'model'):
        if '://' not in path and not Path(path).is_file():
            raise FileNotFoundError(
                f'{path}: no such weights, which {setting} names: put the file there, set '
                'MMSEG_EXT_WEIGHTS to the folder that holds it, or start from random weights with '
                f'--cfg-options {setting}=None'
            )


def _start_weights(cfg: Any, name: str) -> Iterator[tuple[str, str]]:
    """Settings that start a module from a file, and the file."""
    if isinstance(cfg, (list, tuple)):
        for index, part in enumerate(cfg):
            yield from _start_weights(part, f'{name}.{index}')
    elif isinstance(cfg, dict):
        start = cfg.get('init_cfg') or []
        for init in start if isinstance(start, (list, tuple)) else [start]:
            if not isinstance(init, dict):
                raise ValueError(
                    f'{name}.init_cfg must be a dict, got {start!r}; on the command line: '
                    f'--cfg-options {name}.init_cfg.type=Pretrained {name}.init_cfg.checkpoint=FILE'
                )
            if init.get('checkpoint'):
                yield f'{name}.init_cfg', str(init['checkpoint'])
        for key, part in cfg.items():
            if key != 'init_cfg':
                yield from _start_weights(part, f'{name}.{key}')


def read_state_dict(checkpoint: PathLike) -> State:
    """The weights of a checkpoint file, without a data-parallel prefix.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is not a checkpoint.
    """
    return weights_of(read_checkpoint(checkpoint), checkpoint)


def check_weights(
    model: nn.Module, checkpoint: PathLike, *, complete: bool, state: Optional[State] = None
) -> None:
    """Refuse a checkpoint that would leave a model with random or non-finite weights.

    Args:
        model: Wrapped or not; a test-time augmentation wrapper is looked through.
        checkpoint: File to be loaded.
        complete: Require every weight (testing, resuming); otherwise (fine-tuning) at least
            half of the smaller of the two sets must match by name and shape.
        state: Its weights, if they are read already.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If too few weights match, with counts and examples, or one is not finite.
    """
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    given = read_state_dict(checkpoint) if state is None else state
    check_fit(inner.state_dict(), given, checkpoint, complete=complete)
    check_finite(given, checkpoint)
