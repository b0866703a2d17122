"""Facts about a run, written beside its metrics."""

import datetime
import numbers
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.config import Config

from ....core.files import PathLike
from ....evaluation.intervals import NONE, Interval
from ...config.semi import plain_model
from ...config.written import PACKAGE
from ..checkpoints import read_checkpoint, settings_of
from .results import RunResults, Score


def git(*arguments: str) -> Optional[str]:
    """Output of git in the package's own checkout, ``None`` for an installed wheel."""
    root = PACKAGE.parent
    if not (root / '.git').exists():  # a wheel's environment may lie in somebody else's checkout
        return None
    try:
        done = subprocess.run(
            ['git', '-C', str(root), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def hardware() -> str:
    """Name the GPUs, or the processor with its cores and torch's threads."""
    if torch.cuda.is_available():
        return f'{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}'
    return f'{_cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads'


def _cpu_name() -> str:
    try:
        text = Path('/proc/cpuinfo').read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r'^model name\s*:\s*(.+)$', text, re.MULTILINE)
    return found.group(1) if found else platform.machine()


def _settings(cfg: Config, meta: dict) -> dict:
    """Settings of the training; a test may be given another config."""
    found = settings_of(meta)
    return found if 'model' in found else dict(cfg, load_from=None)


def _start(settings: dict) -> Optional[str]:
    """File that the training started from: its ``load_from``, else the backbone's."""
    if settings.get('load_from'):
        return settings['load_from']
    model = settings.get('model') or {}
    model = plain_model(model.get('module') or model)  # looked through test-time augmentation
    init = (model.get('backbone') or {}).get('init_cfg') or {}
    name = init.get('checkpoint') if isinstance(init, dict) else None
    return name or model.get('pretrained')


def _init(settings: dict) -> str:
    """Where the weights started: a ``load_from``, else ``init_note``, else the backbone's file."""
    start = _start(settings)
    if settings.get('init_note') and not settings.get('load_from'):
        return settings['init_note']
    return Path(start).name if start else 'random'


def _converted(settings: dict, meta: dict) -> Optional[dict]:
    """Find out whether the weights, or those of the start, were trained by others.

    Returns:
        ``part`` (``'model'`` or ``'start'``), ``file``, ``source`` and ``origin``; else ``None``.
    """
    if meta.get('converted_from'):
        return dict(part='model', **_origin(meta))
    start = _start(settings)
    if start is None or not Path(start).is_file():
        return None
    given = _origin(_meta(start))
    return dict(part='start', **given) if given else None


def _origin(meta: dict) -> dict:
    """Where converted weights come from, without the settings that loading compares."""
    came = meta.get('converted_from') or {}
    return {key: value for key, value in came.items() if key != 'settings'}


def _meta(checkpoint: PathLike) -> dict:
    """What a checkpoint says of itself."""
    return read_checkpoint(checkpoint).get('meta') or {}


def run_facts(cfg: Config, checkpoint: PathLike) -> dict:
    """Everything about a run that its metrics do not say.

    Args:
        cfg: The config that was tested.
        checkpoint: The file that was tested.

    Returns:
        config, init, converted, seed, iterations, commit, dirty, hardware, torch, date, checkpoint;
        ``None`` where unknown. ``dirty`` says whether the checkout had uncommitted changes.
    """
    status = git('status', '--porcelain')
    meta = _meta(checkpoint)
    settings = _settings(cfg, meta)
    converted = _converted(settings, meta)
    whole = converted is not None and converted['part'] == 'model'  # then nothing was started here
    return {
        'config': Path(cfg.filename).stem if cfg.filename else None,
        'init': converted['file'] if converted and whole else _init(settings),
        'converted': converted,
        'seed': meta.get('seed'),
        'iterations': meta.get('iter'),
        'commit': git('rev-parse', 'HEAD'),
        'dirty': None if status is None else bool(status),
        'hardware': hardware(),
        'torch': torch.__version__,
        'date': datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        'checkpoint': Path(checkpoint).name,
    }


def complete_results(
    path: PathLike,
    cfg: Config,
    checkpoint: PathLike,
    metrics: Mapping[str, Any],
    *,
    ours: bool,
    calibration: Optional[dict] = None,
    intervals: Optional[Mapping[str, Interval]] = None,
) -> RunResults:
    """Put :func:`run_facts` and the data set into the results file that the metric wrote.

    Args:
        path: The file; made here when the metric is not ours.
        cfg: The config that was tested.
        checkpoint: The file that was tested.
        metrics: What the evaluator returned, in per cent; boundary F1 and
            the scores of metrics with a prefix are added.
        ours: Whether ``SegMetric`` wrote the file.
        calibration: What a ``CalibrationMetric`` counted.
        intervals: Of the scores that are added, fractions.
    """
    found = RunResults.read(path, needed=('metrics',)) if ours else RunResults({})
    means, per_class = dict(found.metrics), dict(found.per_class)
    per_class_ends = dict(found.per_class_intervals)
    for name, value in metrics.items():
        if not isinstance(value, numbers.Real):
            continue
        fraction = None if value != value else float(value) / 100
        low, high = (intervals or {}).get(name, NONE)
        if not ours or name == 'BF' or _of_prefix(name):
            means[name] = Score(fraction, low, high)
        elif name.startswith('BF.'):
            label = name.removeprefix('BF.')
            per_class['BF'] = {**per_class.get('BF', {}), label: fraction}
            per_class_ends['BF'] = {**per_class_ends.get('BF', {}), label: [low, high]}
    done = replace(
        found,
        metrics=means,
        per_class=per_class,
        per_class_intervals=per_class_ends,
        calibration=calibration,
        dataset=found.described(cfg),
        **run_facts(cfg, checkpoint),
    )
    done.write(path)
    return done


def _of_prefix(name: str) -> bool:
    """Say whether a score is of a second ``SegMetric``; mAcc is mmseg's name for mPA."""
    prefix, _, score = name.rpartition('/')
    return bool(prefix) and score != 'mAcc'
