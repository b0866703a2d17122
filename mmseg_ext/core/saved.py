"""Find the checkpoints of a run: the last, the best, the one to resume from. Writes nothing.

A checkpoint counts only if it can be read to its last byte, whatever its name or date says. Such a
checkpoint is called whole.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional

from .checkpoints import read_checkpoint, settings_of
from .files import PathLike
from .fitting import weights_of

LAST_NOTE = 'last_checkpoint'  # file in a run's folder that names its last checkpoint
# Key in a checkpoint's message hub: the iteration of the last completed validation. The name must
# not begin with 'val', because mmengine logs such values.
VALIDATED = 'last_validation'
STOPPED_EARLY = 'stopped_early'  # the same of the iteration at which the scores ended the run


@dataclass(frozen=True)
class Resumable:
    """The checkpoint from which a stopped training can be resumed.

    Args:
        path: The last whole checkpoint, ``None`` if there is none.
        skipped: Newer checkpoints that cannot be resumed from, each with the reason.
        iteration: Iterations that were trained up to ``path``.
        meta: Meta data of ``path``.
        validated: Iteration of the last completed validation in ``path``, ``None`` if none was.
        stopped: Whether early stopping ended the training there.
    """

    path: Optional[Path]
    skipped: tuple[tuple[Path, str], ...] = ()
    iteration: int = 0
    meta: Optional[dict] = None
    validated: Optional[int] = None
    stopped: bool = False


@dataclass(frozen=True)
class _Facts:
    """What was found in a checkpoint file.

    Args:
        problem: Why the file cannot be read; empty if it is whole.
        iteration: Iterations that were trained, 0 if unknown.
        lacking: Why the training cannot be resumed from it; empty if it can.
        best: Names of the best checkpoints, as the run noted them.
        meta: The checkpoint's meta data.
        validated: Iteration of the last completed validation.
        stopped: Whether early stopping ended the training there.
    """

    problem: str
    iteration: int = 0
    lacking: str = ''
    best: tuple[str, ...] = ()
    meta: Optional[dict] = None
    validated: Optional[int] = None
    stopped: bool = False


def find_resumable(folder: PathLike) -> Resumable:
    """Find the checkpoint with most iterations from which a stopped training can be resumed.

    Args:
        folder: Work folder of the run.

    Returns:
        That checkpoint, and the newer ones, which are damaged or incomplete.
    """
    skipped: list[tuple[Path, str]] = []
    for path in regular_checkpoints(folder):
        facts = _facts(path)
        problem = facts.problem or facts.lacking
        if not problem:
            done = (facts.iteration, facts.meta, facts.validated, facts.stopped)
            return Resumable(path, tuple(skipped), *done)
        skipped.append((path, problem))
    return Resumable(None, tuple(skipped))


def began_with(meta: Optional[dict], start: str) -> bool:
    """Whether the meta data of a checkpoint say that its training started from these weights."""
    began = settings_of(meta).get('load_from')
    return bool(began) and Path(str(began)).absolute() == Path(start).absolute()


def last_checkpoint(folder: PathLike) -> Path:
    """Find the whole checkpoint with most iterations, whatever its score.

    Raises:
        FileNotFoundError: If there is none; the message names the damaged ones.
    """
    broken = []
    for path in regular_checkpoints(folder):
        problem = _facts(path).problem
        if not problem:
            return path
        broken.append(problem)
    told = ''.join(f'; {problem}' for problem in broken)
    raise FileNotFoundError(f'no last checkpoint in {folder}: train first, or name one{told}')


def best_checkpoint(folder: PathLike) -> Path:
    """Find the whole checkpoint that the run noted as its best, else the latest ``best_*.pth``.

    Raises:
        FileNotFoundError: If there is none; the message names the damaged ones.
    """
    found = sorted(best_files(folder), key=lambda path: path.stat().st_mtime, reverse=True)
    if len(found) > 1:
        noted = _noted_best(Path(folder))
        found.sort(key=lambda path: path.name not in noted)  # stable: the noted one comes first
    broken = []
    for path in found:
        problem = _facts(path).problem
        if not problem:
            return path
        broken.append(problem)
    told = ''.join(f'; {problem}' for problem in broken)
    raise FileNotFoundError(f'no best checkpoint (best_*.pth) in {folder}{told}')


def best_or_last(folder: PathLike) -> Path:
    """Find the best checkpoint of a run, else the last one, else the newest with another name.

    Raises:
        FileNotFoundError: If there is none.
    """
    for choose in (best_checkpoint, last_checkpoint):
        try:
            return choose(folder)
        except FileNotFoundError as error:
            told = error
    others = sorted(Path(folder).glob('*.pth'), key=lambda path: path.stat().st_mtime)
    known = [path for path in others if not path.name.startswith(('best_', 'iter_', 'epoch_'))]
    if known:
        return known[-1]
    if others:
        raise told
    raise FileNotFoundError(f'no checkpoint (*.pth) in {folder}: train first, or name one')


def _noted_best(folder: Path) -> tuple[str, ...]:
    """Names of the best checkpoints, as noted in the last whole checkpoint."""
    for path in regular_checkpoints(folder):
        facts = _facts(path)
        if not facts.problem:
            return facts.best
    return ()


def is_whole(path: PathLike) -> bool:
    """Whether a file is a checkpoint that can be read to its last byte."""
    return not _facts(Path(path)).problem


def number_of(path: Path) -> int:
    """Iterations or epochs in the name of a checkpoint that a run writes at intervals; else 0."""
    named = re.fullmatch(r'(?:iter|epoch)_(\d+)', path.stem)
    return int(named[1]) if named else 0


def final_name(loop: Mapping[str, Any]) -> str:
    """Name of the checkpoint that a training writes last.

    Args:
        loop: ``train_cfg`` of the config.
    """
    length = loop.get('max_iters')
    return f'epoch_{loop.get("max_epochs")}.pth' if length is None else f'iter_{length}.pth'


def best_files(folder: PathLike) -> list[Path]:
    """List the checkpoints that a run has kept for their score, whole or not."""
    return sorted(Path(folder).glob('best_*.pth'))


def regular_checkpoints(folder: PathLike) -> list[Path]:
    """List the checkpoints that a run writes at intervals, the one with most iterations first."""
    found = [path for path in Path(folder).glob('*.pth') if number_of(path)]
    if len({path.stem.partition('_')[0] for path in found}) < 2:
        return sorted(found, key=number_of, reverse=True)
    # names count epochs and iterations: compare the iterations that the files hold
    return sorted(found, key=lambda path: (_facts(path).iteration, path.name), reverse=True)


def _facts(path: Path) -> _Facts:
    try:
        state = path.stat()
    except OSError as error:
        return _Facts(f'{path} cannot be read ({error.strerror})')
    return _read_facts(path, state.st_mtime_ns, state.st_size, state.st_ino)


@lru_cache(256)
def _read_facts(path: Path, *_: int) -> _Facts:
    """Read the facts of a file; the cache holds while its time, size and inode stay the same."""
    try:
        content = read_checkpoint(path)
        weights_of(content, path)
    except (ValueError, OSError) as error:
        return _Facts(str(error))
    meta: Any = content.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    step = meta.get('iter') if _is_count(meta.get('iter')) else 0
    info = _runtime_info(content)
    ended = (info.get(VALIDATED), bool(step) and info.get(STOPPED_EARLY) == step)
    return _Facts('', step, lacking(path, content), _best(info), meta, *ended)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def lacking(path: PathLike, content: dict) -> str:
    """Say why a training cannot be resumed from a whole checkpoint; empty if it can."""
    meta: Any = content.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    if not _is_count(meta.get('iter')) or not _is_count(meta.get('epoch')):
        return f'{path} does not say after how many iterations and epochs it was written'
    states = optimizer_states(content.get('optimizer')).values()
    if not states or not all(map(_is_optimizer, states)):
        return f'{path} holds no state of the optimiser: only a start from its weights is possible'
    if not _is_history(content.get('message_hub')):
        return f'{path} holds no history of the training (message_hub) that can be read'
    return ''


def optimizer_states(saved: Any) -> dict[str, Any]:
    """List the states of a checkpoint's optimisers by the names of their parts.

    Args:
        saved: ``optimizer`` of a checkpoint; a single optimiser has the name ``''``.
    """
    single = not isinstance(saved, dict) or 'state' in saved or 'param_groups' in saved
    return {'': saved} if single else saved


def _is_optimizer(state: Any) -> bool:
    if not isinstance(state, dict) or not isinstance(state.get('state'), dict):
        return False
    groups = state.get('param_groups')
    return isinstance(groups, list) and all(isinstance(group, dict) for group in groups)


def _is_history(hub: Any) -> bool:
    parts = ('log_scalars', 'runtime_info', 'resumed_keys')
    if not isinstance(hub, dict) or any(not isinstance(hub.get(part), dict) for part in parts):
        return False
    return all(map(_is_curve, hub['log_scalars'].values()))


def _is_curve(value: Any) -> bool:
    lists: Any = [None]
    if isinstance(value, dict):
        lists = [value.get('values'), value.get('counts')]
    if not all(isinstance(numbers, list) for numbers in lists):
        return False
    plain = all(isinstance(number, (int, float)) for numbers in lists for number in numbers)
    return plain and len(lists[0]) == len(lists[1]) and _is_count(value.get('max_length'))


def _runtime_info(content: dict) -> dict:
    hub: Any = content.get('message_hub')
    info = hub.get('runtime_info') if isinstance(hub, dict) else None
    return info if isinstance(info, dict) else {}


def _best(info: dict) -> tuple[str, ...]:
    return tuple(Path(str(v)).name for k, v in info.items() if str(k).startswith('best_ckpt') and v)
