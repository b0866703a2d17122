"""What ``tools/train.py`` and ``tools/test.py`` do, callable from Python.

A config goes through :func:`load_config`, the ``use_...`` functions of the arguments given, and
ends in :func:`train` or :func:`test`. The priority is mmseg's: command line, then file, then the
file's name.
"""

import ast
import contextlib
import logging
import os
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence, Union

import torch
from mmengine import hub
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from ...core import refusals, signals
from ...core.files import output_names
from ...core.saved import began_with
from ...engine import lost_process
from ...engine.distributed import start_cpu_group
from ...engine.lost_process import waiting_time
from ...engine.stop_hook import StopHook
from ...evaluation import CalibrationMetric
from ...evaluation.calibration_metric import PER_IMAGE_FILE
from ..config.check import check_config, check_numbers, check_options
from ..config.classes import check_num_classes
from ..config.packages import check_packages
from ..config.schedule import set_max_iters, set_val_interval, short_schedule
from ..userdata.apply import apply_dataset, run_name
from ..userdata.record import check_same_data
from .checkpoints import (
    best_or_last,
    check_classes,
    check_start_weights,
    check_weights,
    find_resumable,
    read_checkpoint,
    settings_of,
    weights_of,
)
from .facts import add_run_facts
from .guard import guarded
from .settings import check_settings, check_starts

PathLike = Union[str, Path]
_RUNS: Counter[str] = Counter()  # that this process has built, by name
_SYNC_HOOKS = ('SyncStatisticsHook', 'SyncBuffersHook')


def load_config(
    path: PathLike,
    *,
    options: Optional[dict] = None,
    work_dir: Optional[PathLike] = None,
    dataset: Optional[PathLike] = None,
) -> Config:
    """Read a config, merge options and decide on the work folder. Writes nothing.

    Args:
        path: A file, or ``package::path`` such as ``mmseg_ext::fmsi/fmsi_xception_voc.py``.
        options: ``--cfg-options``. ``max_iters`` rescales the whole schedule; what is given beside
            it wins, and ``val_interval`` is that of the loop.
        work_dir: Wins over the file's own; without either ``work_dirs/<config name>``, and with a
            ``dataset`` ``work_dirs/<config name>-<data set name>``.
        dataset: File of the user's data, see :func:`~.user_dataset.apply_dataset`.

    Raises:
        FileNotFoundError: If there is no such file.
        UnknownKeyError: If the config or the options hold a key that nothing reads.
        ValueError: If the data set file does not fit the data.
    """
    path = str(path)
    cfg = _read(path)
    name = Path(path.split('::')[-1]).stem
    if dataset is not None:
        name = run_name(path, apply_dataset(cfg, dataset, options))
    override(cfg, options)
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif dataset is not None or cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', name)
    cfg.launcher = cfg.get('launcher', 'none')
    return cfg


def _restates_start(path: str) -> bool:
    """Whether a file, or a base of it, says anew what weights start from and notes nothing."""
    if not path.endswith('.py'):
        return False
    nodes = list(ast.walk(ast.parse(Path(path).read_text(encoding='utf-8'))))
    if any(isinstance(node, ast.Name) and node.id == 'init_note' for node in nodes):
        return False
    keys: set = {node.arg for node in nodes if isinstance(node, ast.keyword)}
    keys |= {node.value for node in nodes if isinstance(node, ast.Constant)}
    if keys & {'init_cfg', 'pretrained'}:
        return True
    bases = [Config._get_cfg_path(base, path)[0] for base in Config._get_base_files(path)]
    return any(map(_restates_start, bases))


def _read(path: str) -> Config:
    """Read a config file: whatever is wrong in it is its author's, not ours."""
    packaged = '::' in path
    if not packaged and not Path(path).is_file():
        raise FileNotFoundError(f'no config {path}{_similar(Path(path))}')
    if Path(path).suffix not in ('.py', '.json'):  # mmengine would run the tags of a .yml
        raise ValueError(
            f'{path} is no config: they are .py files'
            + ('; your data go to --dataset' if Path(path).suffix in ('.yml', '.yaml') else '')
        )
    try:
        cfg = hub.get_config(path) if packaged else Config.fromfile(path)
        if not packaged and _restates_start(path):
            cfg.pop('init_note', None)  # a base's, of another start
    except signals.Stopped:
        raise
    except (Exception, SystemExit) as error:  # a config is a program, which may end us
        where = error.lineno if isinstance(error, SyntaxError) else None
        line = '' if where is None else f', line {where}'
        raise ValueError(
            f'config {path}{line} cannot be read: {type(error).__name__}: {error}'
        ) from error
    if not isinstance(cfg.get('model'), dict):
        raise ValueError(f'config {path} has no model: a part of a config, or something else')
    return cfg


def override(cfg: Config, options: Optional[dict]) -> None:
    """Merge ``--cfg-options`` into a config and check it.

    Args:
        cfg: Changed in place.
        options: Dotted keys to values. ``max_iters`` rescales the whole schedule.

    Raises:
        UnknownKeyError: If the config or the options hold a key that nothing reads.
    """
    check_options(cfg, options or {})
    object.__setattr__(cfg, '_overridden', tuple(options or ()))  # no setting of the config
    with explained(cfg, '--cfg-options cannot be merged'):
        _merge(cfg, dict(options or {}))
    _fit_workers(cfg)
    check_config(cfg)
    check_numbers(cfg)


def _similar(path: Path) -> str:
    """Names of configs in the same tree that look like a missing one."""
    import difflib

    papers = [folder for folder in path.parents if folder.name == 'configs' and folder.is_dir()]
    root = next(iter(papers), path.parent if path.parent.is_dir() else Path('configs'))
    names = {p.name: p for p in root.rglob('*.py')}
    close = difflib.get_close_matches(path.name, names, n=3)
    return f'; did you mean {", ".join(str(names[n]) for n in close)}?' if close else ''


def _merge(cfg: Config, options: dict) -> None:
    max_iters = options.pop('max_iters', None)
    if any(part in ('init_cfg', 'pretrained') for key in options for part in key.split('.')):
        cfg.pop('init_note', None)  # it tells of another start; results then name the file
    if max_iters is not None:  # first: what is given beside it wins
        set_max_iters(cfg, max_iters)
    if 'val_interval' in options and cfg.get('train_cfg'):
        set_val_interval(cfg, options['val_interval'])
    cfg.merge_from_dict(options)
    note = short_schedule(cfg) if any(key.startswith('train_cfg') for key in options) else None
    if note:
        print_log(note, 'current', logging.WARNING)


def _fit_workers(cfg: Config) -> None:
    """Drop what only worker processes need from loaders without any: torch would refuse it."""
    for part in ('train', 'val', 'test'):
        loader = cfg.get(f'{part}_dataloader') or {}
        if loader.get('num_workers', 0) == 0:
            if loader.get('persistent_workers'):
                loader['persistent_workers'] = False
            for key in ('prefetch_factor', 'timeout'):
                loader.pop(key, None)


def use_launcher(cfg: Config, launcher: str) -> None:
    """Set the launcher; on a machine without CUDA start gloo and wrap without device ids."""
    cfg.launcher = launcher
    if launcher != 'none':  # BN statistics that agree, unless the config sees to it
        hooks = list(cfg.get('custom_hooks') or [])
        if all(hook.get('type') not in _SYNC_HOOKS for hook in hooks):
            cfg.custom_hooks = [*hooks, dict(type='SyncStatisticsHook')]
        dist_cfg = cfg.setdefault('env_cfg', {}).setdefault('dist_cfg', dict(backend='nccl'))
        dist_cfg['timeout'] = waiting_time(dist_cfg).total_seconds()
    if start_cpu_group(launcher, limit=_limit(cfg)):
        cfg.setdefault(
            'model_wrapper_cfg',
            dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
                find_unused_parameters=cfg.get('find_unused_parameters', False),
            ),
        )


def _limit(cfg: Config) -> timedelta:
    return waiting_time((cfg.get('env_cfg') or {}).get('dist_cfg'))


def use_seed(cfg: Config, *, seed: Optional[int] = None, deterministic: bool = False) -> None:
    """Set the seed and the deterministic switch; seed 0 is a seed."""
    if seed is not None:
        cfg.randomness = dict(cfg.get('randomness') or {}, seed=seed)
    if deterministic:
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # cuBLAS asks for it
        cfg.randomness = dict(cfg.get('randomness') or {}, deterministic=True)


def use_amp(cfg: Config) -> None:
    """Switch mixed precision on: float16 with loss scaling on CUDA, bfloat16 elsewhere.

    Raises:
        ValueError: If the config already has another optimiser wrapper.
    """
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind in ('AmpOptimWrapper', 'Bf16OptimWrapper'):
        print_log(f'--amp: the config already uses {kind}', 'current', logging.WARNING)
    elif kind != 'OptimWrapper':
        raise ValueError(f'--amp replaces optim_wrapper.type=OptimWrapper only, got {kind}')
    elif torch.cuda.is_available():
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    else:
        cfg.optim_wrapper.type = 'Bf16OptimWrapper'


def use_nan(cfg: Config, action: str = 'stop') -> None:
    """Say what a loss or gradient that is not finite does: ``stop`` the run, or ``skip`` the step.

    Args:
        cfg: Changed in place; a ``NonFiniteHook`` of its own keeps its other settings.
        action: See :class:`~mmseg_ext.engine.nonfinite.NonFiniteHook`.
    """
    hooks = list(cfg.get('custom_hooks') or [])
    ours = [hook for hook in hooks if hook.get('type') == 'NonFiniteHook']
    for hook in ours:
        hook['action'] = action
    cfg.custom_hooks = hooks if ours else [*hooks, dict(type='NonFiniteHook', action=action)]


def _named_apart(cfg: Config) -> Config:
    """Name a further run of this process apart from the ones before.

    mmengine keeps log, history and curves under a run's name and second: two within a second would
    share them.
    """
    name = cfg.get('experiment_name') or Path(cfg.filename or 'run').stem
    _RUNS[name] += 1
    if _RUNS[name] > 1:
        cfg = cfg.copy()
        cfg.experiment_name = f'{name}_{_RUNS[name]}'
    return cfg


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that the config names.

    Raises:
        ValueError: If a setting makes that impossible.
    """
    cfg = _named_apart(cfg)
    try:
        with explained(cfg, 'it cannot be built'):
            return Runner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
    except (ValueError, KeyError) as error:  # of a library, which knows no config
        name, text = str(cfg.filename or 'config'), str(error.args[0] if error.args else error)
        if name in text:
            raise
        raise ValueError(f'{name}{_given(cfg)}: {text}') from error


def _given(cfg: Config) -> str:
    """The options that were merged into a config, to be named beside it."""
    options = ', '.join(getattr(cfg, '_overridden', ()))
    return f' with --cfg-options {options}' if options else ''


@contextlib.contextmanager
def explained(cfg: Config, what: str) -> Iterator[None]:
    """Name the config where a library stumbles over one of its settings.

    What the user can read as it is, and what the system refuses, passes through.
    """
    try:
        yield
    except (ValueError, OSError, ImportError):
        raise
    except Exception as error:
        if refusals.is_refused_write(error):
            raise
        first = next(iter(str(error).strip().splitlines()), '')
        raise ValueError(
            f'{cfg.filename or "config"}{_given(cfg)}: {what}, a setting does not fit the others '
            f'or is of another kind ({type(error).__name__}: {first})'
        ) from error


def train(cfg: Config, *, resume: bool = False) -> Runner:
    """Train; a run that fails before its first step leaves nothing behind.

    Args:
        cfg: From :func:`load_config`.
        resume: Go on from the newest whole checkpoint in ``cfg.work_dir``, or from a ``load_from``
            that the stopped run did not itself begin with. Settings of optimiser, schedule and
            length that have changed hold from there on.

    Returns:
        The Runner after training.

    Raises:
        FileNotFoundError: If the weights that the model starts from are absent.
        ImportError: If the model needs a package that is missing.
        Stopped: If a signal ended it, after the step is saved.
        ValueError: For the user's mistakes, with what to do, and if another run uses the folder.
    """
    cfg.resume = resume
    if all(hook.get('type') != 'NonFiniteHook' for hook in cfg.get('custom_hooks') or ()):
        use_nan(cfg)
    check_packages(cfg.model)
    check_start_weights(cfg.model)
    check_same_data(cfg)
    if resume:
        _keep_origin(cfg)
    with guarded(cfg) as written:
        runner = build_runner(cfg)
        check_starts(cfg.model)
        runner.register_hook(StopHook())
        if cfg.get('load_from') and not resume:
            _check_file(runner, cfg, cfg.load_from, complete=False)
        check_num_classes(runner.model, cfg, 'train')
        try:
            with lost_process.named(_limit(cfg)):
                runner.train()
        except ValueError as error:
            error = _explain(error, cfg)
            if _steps_done(runner) or os.sep in str(error):  # names a file
                raise error from None
            raise ValueError(f'{cfg.filename or "config"}{_given(cfg)}: {error}') from error
        except Exception:
            if _steps_done(runner):
                raise
            with explained(cfg, 'the first step fails'):
                raise
        finally:
            written.keep = _steps_done(runner) > 0
    return runner


def _check_file(runner: Runner, cfg: Config, path: PathLike, *, complete: bool) -> None:
    """Refuse weights of another network, and converted ones that only look like this one's."""
    content = read_checkpoint(path)
    check_weights(runner.model, path, complete=complete, state=weights_of(content, path))
    check_settings(cfg.model, content.get('meta'), path, complete=complete)


def _keep_origin(cfg: Config) -> None:
    """Let a run that goes on keep the seed that it drew and the weights that it began with.

    The data loaders are built from the seed; its results name the weights.
    """
    start = cfg.get('load_from')
    meta = find_resumable(cfg.work_dir).meta
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
    """Say which setting leads to torch's complaint about BN on a single value."""
    if 'Expected more than 1 value per channel' not in str(error):
        return error
    size = cfg.get('train_dataloader', {}).get('batch_size')
    return ValueError(
        f'batch normalisation met a single value per channel ({error}). '
        f'train_dataloader.batch_size={size}, and a layer pools to a 1x1 map: use a batch of at '
        'least 2 per process, set train_dataloader.drop_last=True if the last batch is smaller, '
        'or replace the norm_cfg by one that needs no batch (GN)'
    )


def use_tta(cfg: Config) -> None:
    """Test with the config's ``tta_pipeline`` and ``tta_model``.

    Raises:
        ValueError: If the config has none.
    """
    for key in ('tta_pipeline', 'tta_model'):
        if cfg.get(key) is None:
            raise ValueError(f'--tta needs {key} in the config')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def use_drawing(
    cfg: Config, *, show: bool = False, show_dir: Optional[PathLike] = None, wait_time: float = 2
) -> None:
    """Draw the predictions on screen or into a folder.

    Raises:
        ValueError: If the config has no visualisation hook.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError(
            '--show and --show-dir need '
            "default_hooks.visualization=dict(type='SegVisualizationHook')"
        )
    hook.update(draw=True, interval=1)
    if show:
        hook.update(show=True, wait_time=wait_time)
    if show_dir is not None:
        cfg.visualizer.save_dir = str(show_dir)


def metrics_of(cfg: Config) -> list:
    """List the configs of the test's metrics."""
    evaluator = cfg.test_evaluator
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]


def use_output(cfg: Config, folder: PathLike) -> None:
    """Write the predicted masks into a folder; a metric with a prefix writes into one within."""
    for metric in metrics_of(cfg):
        if metric.get('type') in ('BoundaryF1Metric', 'CalibrationMetric', 'SurfaceMetric'):
            continue
        metric.update(output_dir=str(Path(folder, metric.get('prefix') or '')))
        if metric.get('type') == 'IoUMetric':
            metric.update(keep_results=True)


def use_surfaces(
    cfg: Config, *, spacing: Sequence[float] = (1.0, 1.0), tolerance: float = 1.0
) -> None:
    """Also report HD95 and surface Dice, and write them into ``per_image_surface.npz``.

    Args:
        cfg: Changed in place; a ``SurfaceMetric`` of its own is replaced.
        spacing: Height and width of a pixel.
        tolerance: Distance that counts as on the outline, in the unit of ``spacing``.
    """
    others = [metric for metric in metrics_of(cfg) if metric.get('type') != 'SurfaceMetric']
    path = Path(cfg.work_dir, 'per_image_surface.npz')
    surfaces = dict(
        type='SurfaceMetric',
        spacing=list(spacing),
        tolerance=tolerance,
        per_image_file=str(path),
    )
    cfg.test_evaluator = [*others, surfaces]


def use_calibration(cfg: Config) -> None:
    """Also count how sure the model is and how often right, and write it into ``results.json``.

    Args:
        cfg: Changed in place, unless it has a ``CalibrationMetric`` of its own.
    """
    metrics = metrics_of(cfg)
    if all(metric.get('type') != 'CalibrationMetric' for metric in metrics):
        path = str(Path(cfg.work_dir, PER_IMAGE_FILE))
        calibration = dict(type='CalibrationMetric', per_image_file=path)
        cfg.test_evaluator = [*metrics, calibration]


def _calibration(runner: Runner) -> Optional[dict]:
    """What a CalibrationMetric of the test has found."""
    metrics = runner.test_loop.evaluator.metrics
    return next((m.summary for m in metrics if isinstance(m, CalibrationMetric)), None)


def _name_outputs(runner: Runner) -> None:
    """Keep the masks of images apart that have one name, in other folders or by their suffix."""
    metrics = [m for m in runner.test_loop.evaluator.metrics if getattr(m, 'output_dir', None)]
    if not metrics:
        return
    dataset = runner.test_dataloader.dataset
    paths = [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]
    if len({Path(path).stem for path in paths}) == len(paths):
        return
    names = map(str, output_names([Path(path) for path in paths]))
    for metric in metrics:
        metric.output_names = dict(zip(paths, names))


def _intervals(runner: Runner) -> dict:
    """Intervals of the scores, by the names under which the evaluator returns them."""
    found: dict = {}
    for metric in runner.test_loop.evaluator.metrics:
        prefix = f'{metric.prefix}/' if metric.prefix else ''
        found.update(
            {prefix + name: ends for name, ends in getattr(metric, 'intervals', {}).items()}
        )
    return found


def pack_groups(dataset: Any) -> None:
    """Let the samples of a built data set carry their ``group``, the patient, say, to the metric.

    Args:
        dataset: Changed in place: wherever its pipeline packs, ``group`` is packed if it is known.
    """
    steps = list(getattr(getattr(dataset, 'pipeline', None), 'transforms', ()))
    while steps:
        step = steps.pop()
        if isinstance(step, (list, tuple)):
            steps += step
        elif hasattr(step, 'meta_keys'):
            step.meta_keys = tuple(dict.fromkeys((*step.meta_keys, 'group')))
        else:  # a composition, or test-time augmentation
            for inner in ('transforms', 'subroutines'):
                found = getattr(step, inner, ())
                steps += found if isinstance(found, (list, tuple)) else [found]


def _check_tested(runner: Runner, cfg: Config) -> None:
    """Refuse a checkpoint whose scores on these data would mean nothing."""
    checkpoint = cfg.load_from
    content = read_checkpoint(checkpoint)
    state = weights_of(content, checkpoint)
    check_weights(runner.model, checkpoint, complete=True, state=state)
    check_settings(cfg.model, content.get('meta'), checkpoint)
    known = getattr(runner.test_dataloader.dataset, 'metainfo', None) or {}
    check_classes(content.get('meta'), known.get('classes'), checkpoint)
    check_num_classes(runner.model, cfg, 'test')


def test(cfg: Config, checkpoint: Optional[PathLike] = None) -> dict:
    """Test, and write ``results.json`` and ``per_image.npz`` into the work folder.

    A ``SegMetric`` with a prefix, such as the scores before a CRF, writes ``results_<prefix>.json``
    beside it; its means, and those of other metrics, stand in ``results.json``, too.

    Args:
        cfg: From :func:`load_config`.
        checkpoint: ``None`` takes the best, else the last, of ``cfg.work_dir``.

    Returns:
        What the evaluator returned, in per cent.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If the checkpoint belongs to another model.
    """
    cfg.load_from = str(checkpoint or best_or_last(cfg.work_dir))
    cfg.resume = False
    check_packages(cfg.model)
    summary = Path(cfg.work_dir, 'results.json')
    ours = False
    for metric in metrics_of(cfg):
        if metric.get('type') != 'SegMetric':
            continue
        # Of several, the one without a prefix is the run's; the others have files of their own.
        prefix = metric.get('prefix')
        ending = f'_{prefix}' if prefix else ''
        metric.setdefault('summary_file', str(Path(cfg.work_dir, f'results{ending}.json')))
        metric.setdefault('per_image_file', str(Path(cfg.work_dir, f'per_image{ending}.npz')))
        if not prefix:
            summary, ours = Path(metric['summary_file']), True
    with guarded(cfg, cfg.get('visualizer', {}).get('save_dir'), shared=True):
        runner = build_runner(cfg)
        _check_tested(runner, cfg)
        pack_groups(runner.test_dataloader.dataset)
        _name_outputs(runner)
        with explained(cfg, 'the test fails'), lost_process.named(_limit(cfg)):
            metrics = runner.test()
        if is_main_process():
            add_run_facts(
                summary,
                cfg,
                cfg.load_from,
                metrics,
                ours=ours,
                calibration=_calibration(runner),
                intervals=_intervals(runner),
            )
    return metrics
