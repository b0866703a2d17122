"""Train a config: what ``tools/train.py`` does, callable from Python.

A config comes from :func:`~.config.load_config`. The functions of :mod:`~.options` then apply the
arguments of the tool to it.
"""

import logging
import os
import time
from pathlib import Path
from typing import Optional

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from ...core.files import PathLike
from ...core.heap import keep_freed_memory_of
from ...core.progress import hushed
from ...core.saved import began_with
from ...engine import lost_process
from ...engine.frozen_norm import FrozenNormHook
from ...engine.stop_hook import StopHook
from ..config.classes import check_class_weights, check_num_classes
from ..config.notes import notes_on
from ..config.packages import check_packages
from ..config.schedule import check_units
from ..config.semi import check_optimisers, plain_model
from ..userdata.record import check_same_data
from .checkpoints import (
    check_start_weights,
    check_weights,
    read_checkpoint,
    settings_of,
    weights_of,
)
from .config import explained, options_given
from .folder import RunFolder
from .guard import guarded
from .network.settings import check_settings, check_starts
from .options import process_limit, use_nan, use_seed

_TAKEN: set[str] = set()  # names of the runs that this process has built


def _named_apart(cfg: Config, dumped: Optional[str]) -> Config:
    """Give each further run of this process a name of its own, and set the name of its config file.

    mmengine keeps logs, history and curves under the run's name and the time in seconds. Two runs
    of one name within a second would share them. A run's folder has a config with the name that the
    run was given here, which whoever reads it asks for again.
    """
    given = cfg.get('experiment_name') or Path(cfg.filename or 'run').stem
    name, number = given, 1
    while name in _TAKEN:
        number += 1
        name = f'{given}_{number}'
    _TAKEN.add(name)
    if name != given or dumped:
        cfg = cfg.copy()
        cfg.experiment_name = name
    if dumped:
        object.__setattr__(cfg, '_filename', dumped)
    return cfg


def _wait_for_own_second(folder: PathLike) -> None:
    """Return at a second of which the work folder holds no logs.

    mmengine names the folder of a run's logs, curves and config by the second alone. A test within
    the last second of a training would write its config over the training's.
    """
    while (Path(folder) / time.strftime('%Y%m%d_%H%M%S')).exists():
        time.sleep(0.02)


def build_runner(cfg: Config, *, dumped: Optional[str] = None) -> Runner:
    """Build the Runner that the config names.

    Args:
        cfg: From :func:`load_config`.
        dumped: Name of the file in the work folder to which the config is written; by default the
            config's own name.

    Raises:
        ValueError: If a setting of the config prevents it.
    """
    named = _named_apart(cfg, dumped)
    _wait_for_own_second(cfg.work_dir)
    try:
        with explained(cfg, 'it cannot be built'), hushed():
            return Runner.from_cfg(named) if 'runner_type' not in cfg else RUNNERS.build(named)
    except (ValueError, KeyError) as error:  # from a library, which cannot name the config
        name, text = str(cfg.filename or 'config'), str(error.args[0] if error.args else error)
        if name in text:
            raise
        raise ValueError(f'{name}{options_given(cfg)}: {text}') from error


def train(cfg: Config, *, resume: bool = False) -> Runner:
    """Train; a run that fails before its first step removes what it has written.

    On a CPU the process keeps the memory of freed tensors, see :func:`.keep_freed_memory`.

    Example::

        cfg = apis.load_config('configs/mfp/mfp_mobilenetv2_camvid.py')
        apis.train(cfg)

    Args:
        cfg: From :func:`load_config`.
        resume: Whether to continue from the last whole checkpoint in ``cfg.work_dir``, as with
            ``resume=True`` in the config. If ``load_from`` names other weights than those that the
            stopped run began with, the run continues from that checkpoint instead. Changed settings
            apply from there on; those that decide about a step are listed in a warning.

    Returns:
        The Runner after training.

    Raises:
        FileNotFoundError: If the weights that the model starts from are absent.
        ImportError: If the model needs a package that is missing.
        Stopped: If a signal ended the run; see :class:`StopHook` for what is saved.
        ValueError: If a setting or the data are wrong, with the remedy, another run uses the
            folder, or masks mean something else than before the run was stopped.
    """
    resume = resume or bool(cfg.get('resume'))
    cfg.resume = False  # in the config that the run keeps, which trains the same anew
    if all(hook.get('type') != 'NonFiniteHook' for hook in cfg.get('custom_hooks') or ()):
        use_nan(cfg)
    check_units(cfg)
    check_optimisers(cfg)
    check_packages(cfg.model)
    check_start_weights(cfg.model)
    check_same_data(cfg)
    if resume:
        _keep_origin(cfg)
    with guarded(cfg) as written:
        runner = build_runner(cfg)
        runner._resume = resume
        check_starts(plain_model(cfg.model))
        runner.register_hook(StopHook())
        runner.register_hook(FrozenNormHook())
        if cfg.get('load_from') and not resume:
            _check_file(runner, cfg, cfg.load_from, complete=False)
        check_num_classes(runner.model, cfg, 'train')
        check_class_weights(runner.model)
        for note in notes_on(cfg, [name for name, _ in runner.model.named_parameters()]):
            print_log(note, 'current', logging.WARNING)
        keep_freed_memory_of(runner.model)
        try:
            with lost_process.named(process_limit(cfg)):
                runner.train()
        except ValueError as error:
            error = _explain(error, cfg)
            if _steps_done(runner) or os.sep in str(error):  # it names a file
                raise error from None
            raise ValueError(f'{cfg.filename or "config"}{options_given(cfg)}: {error}') from error
        except Exception:
            if _steps_done(runner):
                raise
            with explained(cfg, 'the first step fails'):
                raise
        finally:
            written.keep = _steps_done(runner) > 0
    return runner


def _check_file(runner: Runner, cfg: Config, path: PathLike, *, complete: bool) -> None:
    """Refuse weights of another network, and converted weights that fit it only by name."""
    content = read_checkpoint(path)
    check_weights(runner.model, path, complete=complete, state=weights_of(content, path))
    check_settings(cfg.model, content.get('meta'), path, complete=complete)


def _keep_origin(cfg: Config) -> None:
    """Let a resumed run keep its random seed and the name of the weights that it began with.

    The data loaders are built from the seed, and the results name the weights.
    """
    start = cfg.get('load_from')
    meta = RunFolder.of(cfg).resumable().meta
    if start and not began_with(meta, start):
        meta = read_checkpoint(start).get('meta')
    elif not start and meta is not None:
        cfg.load_from = settings_of(meta).get('load_from')
    seed = meta.get('seed') if isinstance(meta, dict) else None
    if isinstance(seed, int) and (cfg.get('randomness') or {}).get('seed') is None:
        use_seed(cfg, seed=seed)


def _steps_done(runner: Runner) -> int:
    loop = runner._train_loop
    return getattr(loop, 'iter', 0) or 0


def _explain(error: ValueError, cfg: Config) -> ValueError:
    """Name the setting that causes torch's error about BN on a single value per channel."""
    if 'Expected more than 1 value per channel' not in str(error):
        return error
    size = cfg.get('train_dataloader', {}).get('batch_size')
    return ValueError(
        f'batch normalisation met a single value per channel ({error}). '
        f'train_dataloader.batch_size={size}, and a layer pools to a 1x1 map: use a batch of at '
        'least 2 per process, set train_dataloader.drop_last=True if the last batch is smaller, '
        'or replace the norm_cfg by one that needs no batch (GN)'
    )
