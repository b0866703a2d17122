"""Find checkpoints and refuse those of another model."""

from pathlib import Path
from typing import Any, Iterator, Tuple, Union

from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner.checkpoint import _load_checkpoint
from torch import nn

PathLike = Union[str, Path]


def newest_checkpoint(work_dir: PathLike) -> Path:
    """The best checkpoint of a run, else the last, else the newest.

    Args:
        work_dir: Folder of the run.

    Raises:
        FileNotFoundError: If there is none.
    """
    folder = Path(work_dir)
    for pattern in ('best_*.pth', 'iter_*.pth', 'epoch_*.pth', '*.pth'):
        found = sorted(folder.glob(pattern), key=lambda p: p.stat().st_mtime)
        if found:
            return found[-1]
    raise FileNotFoundError(f'no checkpoint (*.pth) in {folder}: train first, or name one')


def last_checkpoint(work_dir: PathLike) -> Path:
    """The checkpoint that a run wrote last, whatever its score.

    mmengine names it in the file ``last_checkpoint`` once it is whole; the folder may have been
    moved since.

    Raises:
        FileNotFoundError: If there is none.
    """
    named = Path(work_dir) / 'last_checkpoint'
    if named.is_file():
        path = Path(work_dir) / Path(named.read_text().strip()).name
        if path.is_file():
            return path
    raise FileNotFoundError(f'no last checkpoint in {work_dir}: train first, or name one')


def check_start_weights(model: dict) -> None:
    """Check that the local files which a model starts from are there; mmengine looks much later.

    Args:
        model: Config of the model.

    Raises:
        FileNotFoundError: If one is absent.
    """
    for setting, path in _start_weights(model, 'model'):
        if '://' not in path and not Path(path).is_file():
            raise FileNotFoundError(
                f'{path}: no such weights, which {setting} names: put the file there, set '
                'MMSEG_EXT_WEIGHTS to the folder that holds it, or start from random weights with '
                f'--cfg-options {setting}=None'
            )


def _start_weights(cfg: Any, name: str) -> Iterator[Tuple[str, str]]:
    """Settings that start a module from a file, and the file."""
    if isinstance(cfg, (list, tuple)):
        for index, part in enumerate(cfg):
            yield from _start_weights(part, f'{name}.{index}')
    elif isinstance(cfg, dict):
        start = cfg.get('init_cfg') or []
        for init in [start] if isinstance(start, dict) else start:
            if init.get('checkpoint'):
                yield f'{name}.init_cfg', str(init['checkpoint'])
        for key, part in cfg.items():
            if key != 'init_cfg':
                yield from _start_weights(part, f'{name}.{key}')


def read_state_dict(checkpoint: PathLike) -> dict:
    """The weights of a checkpoint file, without a data-parallel prefix.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is not a checkpoint.
    """
    name = str(checkpoint)
    if '://' not in name and not Path(name).is_file():
        raise FileNotFoundError(f'no checkpoint {name}')
    try:
        loaded: Any = _load_checkpoint(name, map_location='cpu')
    except Exception as error:  # torch raises many kinds for files that it cannot read
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f'{name} cannot be read as a checkpoint: {first}') from error
    state = loaded
    if isinstance(loaded, dict):  # 'model' is what several public repositories write
        state = loaded.get('state_dict', loaded.get('model', loaded))
    if not isinstance(state, dict) or not any(hasattr(v, 'shape') for v in state.values()):
        raise ValueError(f'{name} holds no weights: expected a dict of tensors or a "state_dict"')
    return {key.removeprefix('module.'): value for key, value in state.items()}


def check_weights(model: nn.Module, checkpoint: PathLike, *, complete: bool) -> None:
    """Refuse a checkpoint that would leave a model with random weights.

    Args:
        model: Wrapped or not; a test-time augmentation wrapper is looked through.
        checkpoint: File to be loaded.
        complete: Require every weight (testing, resuming); otherwise (fine-tuning) at least
            half of the smaller of the two sets must match by name and shape.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If too few weights match, with counts and examples.
    """
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    wanted = inner.state_dict()
    given = read_state_dict(checkpoint)
    matched = {
        k for k, v in wanted.items() if k in given and getattr(given[k], 'shape', None) == v.shape
    }
    # a BN counter is absent from old files and changes no output
    missing = [k for k in wanted if k not in matched and not k.endswith('num_batches_tracked')]
    enough = not missing if complete else 2 * len(matched) >= min(len(wanted), len(given))
    if enough:
        return
    reshaped = [k for k in missing if k in given]
    absent = [k for k in missing if k not in given]
    unexpected = [k for k in given if k not in wanted]
    raise ValueError(
        f'{checkpoint} belongs to another model: {len(matched)} of {len(wanted)} tensors match; '
        f'{_count("missing from the file", absent)}; {_count("of another shape", reshaped)}; '
        f'{_count("not in the model", unexpected)}. '
        'Use the config that the checkpoint was trained with'
    )


def _count(what: str, names: list) -> str:
    return f'{len(names)} {what}' + (f' (e.g. {names[0]})' if names else '')
