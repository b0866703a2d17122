"""Benchmarks of a training against mmseg's own form: of its time and of its losses."""

import copy
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, Optional

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...core.progress import hushed
from ...engine.bfloat16 import is_imitated
from ...evaluation.intervals import t_interval
from ..config.written import configs_folder
from ..run.config import load_config
from ..run.options import use_amp
from ..run.training import train
from .timing import Case, register

_DEFAULT = 'fmsi/deeplabv3plus_mobilenetv2_camvid.py'
_WARM = 3  # steps that are not timed
_IMAGES = 40  # that are made
_MADE = (360, 480)  # their height and width
_CLASSES = 5
_AGAIN = "mmseg's with other dropout"
_STOCK_HOOKS: dict[str, dict] = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1_000_000),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    iter_seed=dict(type='IterSeedHook'),  # ours, so that both sides draw the same dropout
    visualization=dict(type='SegVisualizationHook'),
)
_STOCK_STEPS = dict(LoadLabels='LoadAnnotations', LoadImageFromFile='mmcv.LoadImageFromFile')


@HOOKS.register_module()
class StepTimesHook(Hook):
    """Note the time and the loss after each step."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.times: list[float] = []
        self.losses: list[float] = []

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Note both."""
        self.losses.append((outputs or {})['loss'].item())
        self.times.append(time.perf_counter())

    @property
    def step(self) -> float:
        """Seconds of a step, without the first ones."""
        return (self.times[-1] - self.times[_WARM - 1]) / (len(self.times) - _WARM)


@register
def training(
    repeats: int,
    *,
    configs: Sequence[str] = (),
    size: int = 256,
    batch: int = 8,
    count: int = 20,
) -> Iterator[Case]:
    """Compare a training with mmengine's runner and mmseg's transforms and hooks, by turns.

    Both sides have the same network, data, seed and optimiser, and each training a process. The
    other side's convolutions follow their upsampling and its maps are in NCHW, as in mmseg. Then
    the loader alone is compared with a step.

    Args:
        repeats: Trainings of each side.
        configs: Configs, on images that are made unless theirs are there; one of DeepLabv3+
            without any.
        size: Height and width of the crops.
        batch: Images of a step.
        count: Timed steps of each training.
    """
    for path in configs or [str(configs_folder() / _DEFAULT)]:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            made = None if configs else str(_make(home))
            bases = [_config(path, made, home, size, batch, count) for _ in range(2)]
            yield from _cases(path, bases[0], repeats, batch)


def _ours(base: Config) -> dict[str, Config]:
    """Our forms by name: bfloat16 only where the processor has products of it."""
    half = copy.deepcopy(base)
    use_amp(half)
    return dict(exact=base) if is_imitated('cpu') else dict(exact=base, bfloat16=half)


def _cases(path: str, base: Config, repeats: int, batch: int) -> Iterator[Case]:
    forms = _ours(base)
    sides = dict(stock=_stock(base), **forms)
    runs: dict[str, list[StepTimesHook]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, cfg in sides.items():
            runs[name].append(_train_apart(cfg, stock=name == 'stock'))
    shape = f'{batch} images of {base.crop_size[0]}x{base.crop_size[1]}'
    for name in forms:
        yield dict(
            case=f'training of {Path(path).name}, {name}, {shape}',
            reference="mmengine's runner and mmseg's transforms",
            images=batch,
            **_ratio([w.step for w in runs[name]], [w.step for w in runs['stock']], batch),
        )
    loads = [_load(base) for _ in range(repeats)]
    for name in forms:
        yield dict(
            case=f'its loader alone, {base.train_dataloader.num_workers} workers',
            reference=f'a step, {name}',
            **_ratio(loads, [w.step for w in runs[name]], batch),
        )


def _ratio(ours: Sequence[float], theirs: Sequence[float], batch: int) -> Case:
    pairs = [b / a for a, b in zip(ours, theirs)]
    return dict(
        ours_ms=median(ours) * 1e3,
        reference_ms=median(theirs) * 1e3,
        ratio=median(theirs) / median(ours),
        ratio_lowest=min(pairs),
        ratio_highest=max(pairs),
        rate=batch / median(ours),
        reference_rate=batch / median(theirs),
    )


@register
def losses(
    repeats: int,
    *,
    configs: Sequence[str] = (),
    size: int = 96,
    batch: int = 4,
    count: int = 200,
) -> Iterator[Case]:
    """Compare the losses of trainings with those of mmseg's form, and with that form's own noise.

    The noise is that of dropout: a second training of that form draws other masks for the same
    batches. All forms of one seed begin with the same weights and see the same batches, so that
    their last losses are compared in pairs.

    Args:
        repeats: Trainings of each form, with the seeds 0, 1 and so on; an interval takes three.
        configs: As for :func:`training`.
        size: Height and width of the crops.
        batch: Images of a step.
        count: Steps.
    """
    for path in configs or [str(configs_folder() / _DEFAULT)]:
        with tempfile.TemporaryDirectory() as folder:
            made = None if configs else str(_make(Path(folder)))
            base = _config(path, made, Path(folder), size, batch, count - _WARM)
            found = _losses_by_form(base, repeats)
        noise = _apart(found[_AGAIN], found['stock'])
        for name in [name for name in found if name != 'stock']:
            yield dict(
                case=f'losses of {Path(path).name}, {name}, {count} steps of {batch} images',
                reference="mmengine's runner and mmseg's transforms",
                **_paired(_ends(found[name]), _ends(found['stock'])),
                mean_difference=_apart(found[name], found['stock']),
                noise=noise,
            )


def _losses_by_form(base: Config, seeds: int) -> dict[str, np.ndarray]:
    """Losses of each form's trainings, ``(seeds, steps)``."""
    stock = _stock(base)
    again = copy.deepcopy(stock)
    del again.default_hooks['iter_seed']
    sides = {'stock': stock, _AGAIN: again, **_ours(base)}
    found: dict[str, list] = {name: [] for name in sides}
    for seed in range(seeds):
        for name, cfg in sides.items():
            cfg.randomness = dict(seed=seed)
            found[name].append(_train_here(cfg, stock=name in ('stock', _AGAIN)).losses)
    return {name: np.array(losses) for name, losses in found.items()}


def _paired(ours: np.ndarray, theirs: np.ndarray) -> Case:
    """Means and standard deviations over seeds, and the mean difference of pairs."""
    apart = ours - theirs
    seeds = len(apart)
    error = float(apart.std(ddof=1)) / seeds**0.5 if seeds > 1 else float('nan')
    return dict(
        loss=float(ours.mean()),
        reference_loss=float(theirs.mean()),
        difference=float(apart.mean()),
        difference_interval=list(t_interval(float(apart.mean()), error, seeds)),
        losses=ours.tolist(),
        reference_losses=theirs.tolist(),
    )


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference of the losses of a step."""
    return float(np.abs(a - b).mean())


def _ends(losses: np.ndarray) -> np.ndarray:
    """Mean of each training's last quarter, ``(seeds, steps)`` to ``(seeds,)``."""
    last: np.ndarray = losses[:, -max(losses.shape[1] // 4, 1) :].mean(1)
    return last


def _config(
    path: str, dataset: Optional[str], home: Path, size: int, batch: int, count: int
) -> Config:
    cfg = load_config(path, work_dir=home / 'run', dataset=dataset)
    steps = _WARM + count
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps, val_interval=steps + 1)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.param_scheduler = []
    cfg.optim_wrapper.type = 'OptimWrapper'
    cfg.default_hooks.checkpoint = dict(_STOCK_HOOKS['checkpoint'], save_last=False)
    cfg.randomness, cfg.log_level = dict(seed=0), 'ERROR'
    cfg.crop_size = (size, size)
    cfg.model.data_preprocessor.size = (size, size)
    for step in cfg.train_dataloader.dataset.pipeline:
        if step['type'] == 'RandomCrop':
            step['crop_size'] = (size, size)
    cfg.train_dataloader.batch_size = batch
    return cfg


def _stock(cfg: Config) -> Config:
    """The same training as mmseg would write it."""
    cfg = copy.deepcopy(cfg)
    cfg.custom_hooks = []
    cfg.default_hooks = dict(_STOCK_HOOKS, checkpoint=cfg.default_hooks.checkpoint)
    for step in cfg.train_dataloader.dataset.pipeline:
        step['type'] = _STOCK_STEPS.get(step['type'], step['type'])
    head = cfg.model.decode_head
    if 'mix_first' in head:
        head.mix_first = False
    return cfg


def _train_apart(cfg: Config, *, stock: bool) -> StepTimesHook:
    """Train in a process of its own: ours decides how its process keeps memory."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        pool.submit(torch.set_num_threads, torch.get_num_threads()).result()
        return pool.submit(_train_here, cfg, stock=stock).result()


def _train_here(cfg: Config, *, stock: bool) -> StepTimesHook:
    cfg = copy.deepcopy(cfg)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='StepTimesHook')]
    with tempfile.TemporaryDirectory() as folder, hushed():
        cfg.work_dir = folder
        cfg.experiment_name = Path(folder).name  # mmengine shares loggers of one name
        if stock:
            runner = Runner.from_cfg(cfg)
            runner.train()
        else:
            runner = train(cfg)
        return next(hook for hook in runner.hooks if isinstance(hook, StepTimesHook))


def _load(cfg: Config) -> float:
    """Seconds of a batch of the loader alone."""
    init_default_scope('mmseg')  # which trainings do, in other processes
    loader = Runner.build_dataloader(copy.deepcopy(cfg.train_dataloader), seed=0)
    batches = iter(loader)
    for _ in range(_WARM):
        next(batches)
    count = max(cfg.train_cfg.max_iters - _WARM, 20)
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return (time.perf_counter() - start) / count


def _make(home: Path) -> Path:
    """Write images with smooth objects, and the file that describes them."""
    random = np.random.default_rng(0)
    for part in ('images', 'masks'):
        (home / part).mkdir()
    for index in range(_IMAGES):
        coarse = random.integers(0, _CLASSES, (6, 8), np.uint8)
        mask = cv2.resize(coarse, _MADE[::-1], interpolation=cv2.INTER_NEAREST)
        grain = random.normal(0, 20, (*_MADE, 3))
        image = (mask[..., None] * 45 + 30 + grain).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(home / f'images/{index}.jpg'), image)
        cv2.imwrite(str(home / f'masks/{index}.png'), mask)
    file = home / 'made.yml'
    names = ', '.join(f'class{index}' for index in range(_CLASSES))
    file.write_text(
        f'classes: [{names}]\ntrain: {{images: images, masks: masks}}\n'
        'val: {images: images, masks: masks}\n'
    )
    return file
