"""The arguments of ``tools/train.py`` and ``tools/test.py`` as changes of a config, in place."""

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
from ..config.metrics import metrics_of, takes
from .folder import RunFolder

_SYNC_HOOKS = ('SyncStatisticsHook', 'SyncBuffersHook')


def use_launcher(cfg: Config, launcher: str) -> None:
    """Set the launcher; on a machine without CUDA start gloo and wrap without device ids."""
    cfg.launcher = launcher
    if launcher != 'none':  # BN statistics that agree, unless the config sees to it
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
    """How long the processes of a run wait for each other."""
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


def use_output(cfg: Config, folder: PathLike) -> None:
    """Write the predicted masks into a folder; a metric with a prefix writes into one within."""
    for metric in metrics_of(cfg):
        if takes(metric, 'output_dir'):
            metric.update(output_dir=str(Path(folder, metric.get('prefix') or '')))
        if takes(metric, 'keep_results'):  # else mmseg's Cityscapes metric deletes them again
            metric.update(keep_results=True)


def use_surfaces(
    cfg: Config, *, spacing: Sequence[float] = (1.0, 1.0), tolerance: float = 1.0
) -> None:
    """Also report HD95 and surface Dice, and write those of each image into a file, too.

    Args:
        cfg: Changed in place; a ``SurfaceMetric`` of its own is replaced.
        spacing: Height and width of a pixel.
        tolerance: Distance that counts as on the outline, in the unit of ``spacing``.
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


def use_calibration(cfg: Config) -> None:
    """Also count how sure the model is and how often right, and write it into ``results.json``.

    Args:
        cfg: Changed in place, unless it has a ``CalibrationMetric`` of its own.
    """
    metrics = metrics_of(cfg)
    if all(metric.get('type') != 'CalibrationMetric' for metric in metrics):
        path = str(RunFolder.of(cfg).calibration_file)
        calibration = dict(type='CalibrationMetric', per_image_file=path)
        cfg.test_evaluator = [*metrics, calibration]
