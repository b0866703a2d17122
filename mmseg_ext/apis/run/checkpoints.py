"""Refuse checkpoints of another model or of other classes.

:mod:`mmseg_ext.core.checkpoints` reads and writes the files. :mod:`mmseg_ext.core.saved` finds the
best and the last checkpoint of a run.
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
    """Check that local files with start weights exist; mmengine would check them much later.

    Args:
        model: Config of the model; every ``init_cfg`` in it is checked.

    Raises:
        FileNotFoundError: If a file is absent.
        ValueError: If an ``init_cfg`` is not a dict. ``--cfg-options`` turns a dict into a text.
    """
    for setting, path in _start_weights(model, 'model'):
        if '://' not in path and not Path(path).is_file():
            raise FileNotFoundError(
                f'{path}: no such weights, which {setting} names: put the file there '
                '(docs/install.md says where it comes from), set MMSEG_EXT_WEIGHTS to the folder '
                f'that holds it, or start from random weights with --cfg-options {setting}=None'
            )


def _start_weights(cfg: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield each setting that names start weights of a module, and their file."""
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
    """Read the weights of a checkpoint file, without a data-parallel prefix in their names.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If the file is not a checkpoint.
    """
    return weights_of(read_checkpoint(checkpoint), checkpoint)


def check_weights(
    model: nn.Module, checkpoint: PathLike, *, complete: bool, state: Optional[State] = None
) -> None:
    """Refuse a checkpoint that would leave a model with random or non-finite weights.

    Args:
        model: The model, which may be inside wrappers, such as one for test-time augmentation.
        checkpoint: File that will be loaded.
        complete: Whether every weight is required, as for testing and resuming. Otherwise, as for
            fine-tuning, names and shapes must match for at least half of the weights of the model
            or of the file, whichever has fewer.
        state: Weights of the file, if they are already read.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If too few weights match, or one of them is not finite. The message gives counts
            and examples.
    """
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    given = read_state_dict(checkpoint) if state is None else state
    check_fit(inner.state_dict(), given, checkpoint, complete=complete)
    check_finite(given, checkpoint)
