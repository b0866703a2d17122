"""Collect the facts about a run, and write them into the file of its results."""

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
from ....core.stack import describe_stack
from ....engine.bfloat16 import is_imitated
from ....evaluation.intervals import NONE, Interval
from ...config.semi import plain_model
from ...config.written import PACKAGE
from ..checkpoints import read_checkpoint, settings_of
from .results import RunResults, Score


def git(*arguments: str) -> Optional[str]:
    """Return the output of git in the package's own checkout; ``None`` for an installed wheel."""
    root = PACKAGE.parent
    if not (root / '.git').exists():  # a wheel may lie in the checkout of another project
        return None
    try:
        done = subprocess.run(
            ['git', '-C', str(root), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def hardware() -> str:
    """Name the GPUs, or the processor with its instructions, its cores and torch's threads."""
    if torch.cuda.is_available():
        return f'{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}'
    kind = torch.backends.cpu.get_cpu_capability()  # one name is given to processors that differ
    return f'{_cpu_name()} ({kind}), {os.cpu_count()} cores, {torch.get_num_threads()} threads'


def _cpu_name() -> str:
    try:
        text = Path('/proc/cpuinfo').read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r'^model name\s*:\s*(.+)$', text, re.MULTILINE)
    return found.group(1) if found else platform.machine()


def _settings(cfg: Config, meta: dict) -> dict:
    """Return the settings of the training from the checkpoint, else those of the test's config."""
    found = settings_of(meta)
    return found if 'model' in found else dict(cfg, load_from=None)


def _start(settings: dict) -> Optional[str]:
    """Return the file that the training started from: ``load_from``, else the backbone's."""
    if settings.get('load_from'):
        return settings['load_from']
    model = settings.get('model') or {}
    model = plain_model(model.get('module') or model)  # the model inside test-time augmentation
    init = (model.get('backbone') or {}).get('init_cfg') or {}
    name = init.get('checkpoint') if isinstance(init, dict) else None
    return name or model.get('pretrained')


def _init(settings: dict) -> str:
    """Name the initial weights: ``load_from``, else ``init_note``, else the backbone's file."""
    start = _start(settings)
    if settings.get('init_note') and not settings.get('load_from'):
        return settings['init_note']
    return Path(start).name if start else 'random'


def _converted(settings: dict, meta: dict) -> Optional[dict]:
    """Find out whether others trained the weights, or the weights that training started from.

    Returns:
        ``part`` (``'model'`` or ``'start'``), ``file``, ``source`` and ``origin``; ``None`` if our
        training made all of them, as far as is known.
    """
    if meta.get('converted_from'):
        return dict(part='model', **_origin(meta))
    start = _start(settings)
    if start is None or not Path(start).is_file():
        return None
    given = _origin(_meta(start))
    return dict(part='start', **given) if given else None


def _origin(meta: dict) -> dict:
    """Return where converted weights come from, without the settings that loading compares."""
    came = meta.get('converted_from') or {}
    return {key: value for key, value in came.items() if key != 'settings'}


def _meta(checkpoint: PathLike) -> dict:
    """Return the meta data of a checkpoint."""
    return read_checkpoint(checkpoint).get('meta') or {}


def _form(cfg: Config) -> str:
    """Name the form that a model was tested in, if it was not the plain one."""
    form = cfg.get('inference')
    if not form:
        return ''
    kind = 'cuda' if torch.cuda.is_available() else 'cpu'
    if not form.get('amp') or is_imitated(kind):
        return ', fast form'
    return f', fast form in {"float16" if kind == "cuda" else "bfloat16"}'


def run_facts(cfg: Config, checkpoint: PathLike) -> dict:
    """Collect the facts about a run, other than its metrics.

    Args:
        cfg: The config that was tested.
        checkpoint: The file that was tested.

    Returns:
        config, init, converted, seed, iterations, commit, dirty, hardware, torch, stack, date,
        checkpoint;
        ``None`` where unknown. ``dirty`` says whether the checkout had uncommitted changes.
    """
    status = git('status', '--porcelain')
    meta = _meta(checkpoint)
    settings = _settings(cfg, meta)
    converted = _converted(settings, meta)
    whole = converted is not None and converted['part'] == 'model'  # so we did not train it
    return {
        'config': Path(cfg.filename).stem if cfg.filename else None,
        'init': converted['file'] if converted and whole else _init(settings),
        'converted': converted,
        'seed': meta.get('seed'),
        'iterations': meta.get('iter'),
        'commit': git('rev-parse', 'HEAD'),
        'dirty': None if status is None else bool(status),
        'hardware': hardware() + _form(cfg),
        'torch': torch.__version__,
        'stack': describe_stack(),
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
    """Add :func:`run_facts` and the data set to the results file that the metric wrote.

    Args:
        path: The results file. It is created here if the metric is not ours.
        cfg: The config that was tested.
        checkpoint: The file that was tested.
        metrics: Scores that the evaluator returned, in per cent. If ``ours``, only boundary F1 and
            the scores of metrics with a prefix are added; otherwise all are.
        ours: Whether ``SegMetric`` wrote the file.
        calibration: Bins and error that a ``CalibrationMetric`` counted.
        intervals: Intervals of the scores that are added, as fractions.

    Returns:
        The results as they were written.
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
    """Whether a score is of a metric with a prefix; mAcc is left out, as it repeats mPA."""
    prefix, _, score = name.rpartition('/')
    return bool(prefix) and score != 'mAcc'
