"""Train and test all folds of a cross validation with the tools that a user would call.

A tested fold is skipped. A stopped fold resumes from its last checkpoint. If a fold fails, the
others still run, and the failed fold is listed at the end. The command can be repeated at any time.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional
from zipfile import BadZipFile

import numpy as np
from mmengine.config import Config

from ...core.files import read_json, write_json
from ...core.locks import locked
from ...core.progress import announce
from ...datasets.kfold import Folds, check_fold
from ...evaluation.surface_metric import check_spacing
from ..run.checkpoints import check_start_weights
from ..run.folder import RunFolder
from ..run.launch import Launch, option_arguments
from .division import check_division, division_digest
from .pool import Pool, read_pool


@dataclass(frozen=True)
class Plan:
    """All settings that change the results of the folds. They are kept in the work folder.

    Args:
        config: The config as given to the tools.
        num_folds: Number of folds.
        split_seed: Seed of the split.
        pool: Data sets that the folds are cut from, one of ``POOLS``.
        stratify: Whether every fold gets the same share of images without foreground.
        seed: Seed of every fold's training; ``None`` leaves it to the config.
        amp: Whether to train with mixed precision.
        deterministic: Whether to use only deterministic algorithms.
        checkpoint: Which checkpoint to test, ``'last'`` or ``'best'``. The best one is chosen on
            the same images that it is scored on, so its scores are optimistic.
        options: ``--cfg-options``, as typed.
        dataset: File that describes the user's data.
        switches: Words of the command line that only the trainings get, from ``switch_words``.
    """

    config: str
    num_folds: int
    split_seed: int = 0
    pool: str = 'train'
    stratify: bool = False
    seed: Optional[int] = None
    amp: bool = False
    deterministic: bool = False
    checkpoint: str = 'last'
    options: tuple[str, ...] = ()
    dataset: Optional[str] = None
    switches: tuple[str, ...] = ()

    def split_arguments(self, fold: int) -> list[str]:
        """Return the arguments with which the tools select a fold."""
        given = ['--fold', fold, '--num-folds', self.num_folds, '--split-seed', self.split_seed]
        return [*map(str, given), '--pool', self.pool, *(['--stratify'] if self.stratify else [])]


@dataclass(frozen=True)
class Failed:
    """A fold that failed: its index, the failed step (``train`` or ``test``) and the log file."""

    fold: int
    step: str
    log: Path


_DECISIVE = (
    'model',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
    'train_dataloader',
    'test_dataloader',
)
# Paths of files and settings of worker processes may differ between machines.
_INDIFFERENT = ('data_root', 'ann_file', 'num_workers', 'persistent_workers', 'checkpoint')


def config_digest(cfg: Config) -> str:
    """Return a SHA-256 hash of all settings of a config that change results."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items() if k not in _INDIFFERENT}
        return [plain(v) for v in value] if isinstance(value, (list, tuple)) else repr(value)

    text = json.dumps({key: plain(cfg.get(key)) for key in _DECISIVE}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


# Settings of a plan that decide how the images are divided.
_DIVIDING = ('num_folds', 'split_seed', 'pool', 'stratify')


def keep_plan(plan: Plan, cfg: Config, pool: Pool, division: Folds) -> None:
    """Write the plan into the work folder, or compare it with the one that is there.

    Args:
        plan: What is to run.
        cfg: Its config.
        pool: All images.
        division: How they are divided.

    Raises:
        ValueError: If the folder holds folds that were run with another plan, or of other images.
    """
    folder = RunFolder.of(cfg)
    path = folder.plan_file
    new = json.loads(json.dumps(dict(asdict(plan), config_sha256=config_digest(cfg))))
    new['config'] = Path(plan.config).name
    images = dict(division_sha256=division_digest(pool, division))
    old = read_json(path) if path.is_file() else {**new, **images}
    old.setdefault('switches', [])  # a plan of an older version
    different = [key for key in new if old.get(key) != new[key]]
    if not set(_DIVIDING) & set(different):  # images that were added may change the length, too
        check_division(folder, pool, division, old.get('division_sha256'))
    if different:
        changed = [f'{key} was {old.get(key)} and is {new[key]}' for key in different]
        raise ValueError(
            f'{path.parent} holds folds that were run otherwise ({"; ".join(changed)}): give '
            'another --work-dir, or remove that folder'
        )
    write_json(path, {**new, **images})


def run_folds(
    plan: Plan,
    cfg: Config,
    *,
    launch: Launch,
    folds: Optional[Sequence[int]] = None,
    spacing: Sequence[float] = (1.0, 1.0),
    tolerance: float = 1.0,
) -> list[Failed]:
    """Run the folds that are not finished.

    Args:
        plan: What to run.
        cfg: The config with all options merged; its ``work_dir`` holds the folds.
        launch: How the tools are started.
        folds: Indices of the folds to run; all folds by default.
        spacing: Height and width of a pixel, for HD95 and surface Dice.
        tolerance: Distance that surface Dice allows, in the unit of ``spacing``.

    Returns:
        The folds that failed.

    Raises:
        FileNotFoundError: If the weights that a training starts from are absent.
        ValueError: If the data cannot be cut into that many folds, a fold is out of range, or the
            work folder holds folds of another plan or of other images.
    """
    chosen = list(range(plan.num_folds) if folds is None else dict.fromkeys(folds))
    for fold in chosen:
        check_fold(fold, plan.num_folds)
    check_spacing(spacing, tolerance)
    _check_best(plan, cfg)
    lengths = [*map(float, spacing)], float(tolerance)
    folder = RunFolder.of(cfg)
    folders = [folder.fold(fold) for fold in chosen]
    if not all(is_finished(fold, plan.checkpoint, *lengths) for fold in folders):
        check_start_weights(cfg.model)
    # Reading the pool here reports an error in the data once, before any fold starts.
    pool = read_pool(cfg, pool=plan.pool, stratify=plan.stratify)
    division = pool.folds(plan.num_folds, plan.split_seed)
    sizes = [len(val) for _, val in division]
    count = '' if pool.groups is None else f' of {len(set(pool.groups.values()))} groups'
    print(pool.note)
    announce(f'{len(pool.pairs)} images{count}, held out by fold: {sizes}')
    with locked(cfg.work_dir):
        keep_plan(plan, cfg, pool, division)
        results = [_run_fold(plan, fold, folder, launch, *lengths) for fold in chosen]
    return [result for result in results if result is not None]


def _check_best(plan: Plan, cfg: Config) -> None:
    hook = cfg.get('default_hooks', {}).get('checkpoint') or {}
    if plan.checkpoint == 'best' and not hook.get('save_best'):
        raise ValueError(
            "--checkpoint best needs default_hooks.checkpoint.save_best='mIoU' in the config"
        )


def _run_fold(
    plan: Plan,
    fold: int,
    parent: RunFolder,
    launch: Launch,
    spacing: list[float],
    tolerance: float,
) -> Optional[Failed]:
    folder = parent.fold(fold)
    if is_finished(folder, plan.checkpoint, spacing, tolerance):
        announce(f'fold {fold}: finished already, see {folder.path}')
        return None
    resumed = folder.resumable().path
    note = f' from {resumed.name}' if resumed is not None else ''
    shared = [*plan.split_arguments(fold), '--work-dir', str(parent.path)]
    shared += [] if plan.dataset is None else ['--dataset', plan.dataset]
    training = _training(plan, resumed is not None)
    command = launch.command('train', plan.config, *shared, *training)
    if launch.run(command, f'fold {fold}: train{note}', folder.log_file('train')) != 0:
        return _failed(fold, 'train', folder)
    weights = folder.checkpoint(plan.checkpoint)
    command = launch.command('test', plan.config, weights, *shared)
    command += ['--surfaces', '--spacing', *map(str, spacing), '--tolerance', str(tolerance)]
    command += option_arguments(plan.options)
    if launch.run(command, f'fold {fold}: test', folder.log_file('test')) != 0:
        return _failed(fold, 'test', folder)
    return None


def _failed(fold: int, step: str, folder: RunFolder) -> Failed:
    log = folder.log_file(step)
    print(f'fold {fold}: failed, see {log}', flush=True)
    return Failed(fold, step, log)


def _training(plan: Plan, resume: bool) -> list[str]:
    arguments = [] if plan.seed is None else ['--seed', str(plan.seed)]
    arguments += [f'--{flag}' for flag in ('amp', 'deterministic') if getattr(plan, flag)]
    arguments += plan.switches
    if not resume:
        return arguments + option_arguments(plan.options)
    # With load_from set, mmengine would resume from the start weights, not from the checkpoint.
    return [*arguments, '--resume', *option_arguments([*plan.options, 'load_from=None'])]


def is_finished(
    folder: RunFolder, checkpoint: str, spacing: Sequence[float], tolerance: float
) -> bool:
    """Say whether a fold was tested with the right checkpoint, spacing and tolerance."""
    tested = wanted = folder.tested_with()
    try:
        wanted = folder.checkpoint(checkpoint).name
    except FileNotFoundError:  # the weights were deleted to save space: the results still hold
        pass
    if tested is None or tested != wanted:
        return False
    try:
        with np.load(folder.surface_file) as surfaces:
            same = surfaces['spacing'].tolist() == list(spacing)
            return same and float(surfaces['tolerance']) == tolerance
    except (FileNotFoundError, ValueError, KeyError, BadZipFile):  # damaged: tested again
        return False
