"""Change a config in place, as the arguments of ``tools/train.py`` and ``tools/test.py`` ask."""

import logging
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Optional

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from ...core.files import PathLike
from ...engine.distributed import start_cpu_group
from ...engine.lost_process import waiting_time
from ..config.metrics import add_facts, metrics_of, takes
from ..config.pipelines import tta_steps
from .folder import RunFolder

_SYNC_HOOKS = ('SyncStatisticsHook', 'SyncBuffersHook')


def use_launcher(cfg: Config, launcher: str) -> None:
    """Set the launcher of a run.

    With a launcher, BN statistics are averaged over the processes, and waiting times are limited.
    On a machine without CUDA, the gloo group is started here, and models are wrapped without device
    ids.
    """
    cfg.launcher = launcher
    if launcher != 'none':  # average BN statistics, unless the config has a hook for it
        hooks = list(cfg.get('custom_hooks') or [])
        if all(hook.get('type') not in _SYNC_HOOKS for hook in hooks):
            cfg.custom_hooks = [*hooks, dict(type='SyncStatisticsHook')]
        dist_cfg = cfg.setdefault('env_cfg', {}).setdefault('dist_cfg', dict(backend='nccl'))
        dist_cfg['timeout'] = waiting_time(dist_cfg).total_seconds()
    if start_cpu_group(launcher, limit=process_limit(cfg)):
        cfg.setdefault(
            'model_wrapper_cfg',
            dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
                find_unused_parameters=cfg.get('find_unused_parameters', False),
            ),
        )


def process_limit(cfg: Config) -> timedelta:
    """Return the longest time that the processes of a run wait for each other."""
    return waiting_time((cfg.get('env_cfg') or {}).get('dist_cfg'))


def use_seed(cfg: Config, *, seed: Optional[int] = None, deterministic: bool = False) -> None:
    """Set the seed, unless it is ``None``; allow only deterministic algorithms if asked to."""
    if seed is not None:
        cfg.randomness = dict(cfg.get('randomness') or {}, seed=seed)
    if deterministic:
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # required by cuBLAS
        cfg.randomness = dict(cfg.get('randomness') or {}, deterministic=True)


def use_amp(cfg: Config) -> None:
    """Turn on mixed precision: float16 with loss scaling on CUDA, bfloat16 elsewhere.

    Raises:
        ValueError: If the config already has another optimiser wrapper.
    """
    wrapper = cfg.optim_wrapper
    single = 'optimizer' in wrapper or 'type' in wrapper
    for part in [wrapper] if single else [v for v in wrapper.values() if isinstance(v, dict)]:
        _use_amp(part)


def _use_amp(wrapper: dict) -> None:
    kind = wrapper.get('type', 'OptimWrapper')
    if kind in ('AmpOptimWrapper', 'Bf16OptimWrapper'):
        print_log(f'--amp: the config already uses {kind}', 'current', logging.WARNING)
    elif kind != 'OptimWrapper':
        raise ValueError(f'--amp replaces optim_wrapper.type=OptimWrapper only, got {kind}')
    elif torch.cuda.is_available():
        wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    else:
        wrapper.update(type='Bf16OptimWrapper')


def use_fast(cfg: Config, *, amp: bool = False) -> None:
    """Test in the model's fast form.

    Args:
        cfg: Changed in place; ``inference`` of the results names the form.
        amp: In bfloat16, on CUDA in float16.
    """
    cfg.inference = dict(fast=True, amp=amp)


def use_nan(cfg: Config, action: str = 'stop') -> None:
    """Choose whether a loss or gradient that is not finite stops the run or skips the step.

    Args:
        cfg: Changed in place. If it already has a ``NonFiniteHook``, only the action changes.
        action: ``'stop'`` or ``'skip'``; see :class:`~mmseg_ext.engine.nonfinite.NonFiniteHook`.
    """
    hooks = list(cfg.get('custom_hooks') or [])
    ours = [hook for hook in hooks if hook.get('type') == 'NonFiniteHook']
    for hook in ours:
        hook['action'] = action
    cfg.custom_hooks = hooks if ours else [*hooks, dict(type='NonFiniteHook', action=action)]


def use_tta(cfg: Config) -> None:
    """Test with the config's ``tta_pipeline`` and ``tta_model``.

    Without a pipeline, an image and its mirror image are averaged. For mmseg's ``SegTTAModel``
    stands ours, which averages the probabilities of single channels, too.

    Raises:
        ValueError: If the config lacks the model.
    """
    if cfg.get('tta_model') is None:
        raise ValueError('--tta needs tta_model in the config')
    cfg.test_dataloader.dataset.pipeline = tta_steps(cfg)
    if cfg.tta_model.type == 'SegTTAModel':
        cfg.tta_model.type = 'AveragedTTAModel'
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def use_drawing(
    cfg: Config, *, show: bool = False, show_dir: Optional[PathLike] = None, wait_time: float = 2
) -> None:
    """Draw the predictions on the screen or into a folder.

    Args:
        cfg: Changed in place.
        show: Whether to draw on the screen.
        show_dir: Folder for the drawings; ``None`` leaves it to the config's visualizer.
        wait_time: Seconds for which each drawing is shown.

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


def use_output(cfg: Config, folder: PathLike) -> None:
    """Write predicted masks into a folder; a metric with a prefix uses a subfolder of that name."""
    for metric in metrics_of(cfg):
        if takes(metric, 'output_dir'):
            metric.update(output_dir=str(Path(folder, metric.get('prefix') or '')))
        if takes(metric, 'keep_results'):  # mmseg's Cityscapes metric would delete them
            metric.update(keep_results=True)


def use_surfaces(
    cfg: Config, *, spacing: Sequence[float] = (1.0, 1.0), tolerance: float = 1.0
) -> None:
    """Also report HD95 and surface Dice, and write the scores of each image into a file.

    Args:
        cfg: Changed in place. If it already has a ``SurfaceMetric``, that one is replaced.
        spacing: Height and width of a pixel.
        tolerance: Distance that surface Dice allows, in the unit of ``spacing``.
    """
    others = [metric for metric in metrics_of(cfg) if metric.get('type') != 'SurfaceMetric']
    path = RunFolder.of(cfg).surface_file
    surfaces = dict(
        type='SurfaceMetric',
        spacing=list(spacing),
        tolerance=tolerance,
        per_image_file=str(path),
    )
    cfg.test_evaluator = [*others, surfaces]


def use_details(cfg: Config) -> None:
    """Also count errors by object size and distance to a border and, of two classes, thresholds.

    Args:
        cfg: Changed in place, unless it already has a ``DetailMetric``.
    """
    metrics = metrics_of(cfg)
    if all(metric.get('type') != 'DetailMetric' for metric in metrics):
        cfg.test_evaluator = [*metrics, dict(type='DetailMetric')]


def use_voxel(cfg: Config, sides: Sequence[float]) -> None:
    """Tell the results how large a voxel is.

    Args:
        cfg: Changed in place.
        sides: Distance of slices, and height and width of a pixel, in mm.

    Raises:
        ValueError: If a side is not positive.
    """
    if not all(0 < side < float('inf') for side in sides):
        raise ValueError(f'--voxel takes three positive lengths in mm, got {list(sides)}')
    add_facts(metrics_of(cfg), dict(voxel_mm=list(sides)))


def use_calibration(cfg: Config) -> None:
    """Also measure the calibration of the predicted probabilities, for ``results.json``.

    Args:
        cfg: Changed in place, unless it already has a ``CalibrationMetric``.
    """
    metrics = metrics_of(cfg)
    if all(metric.get('type') != 'CalibrationMetric' for metric in metrics):
        path = str(RunFolder.of(cfg).calibration_file)
        calibration = dict(type='CalibrationMetric', per_image_file=path)
        cfg.test_evaluator = [*metrics, calibration]
