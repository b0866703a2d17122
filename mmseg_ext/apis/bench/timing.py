"""Time this package against the code that it replaces, or one config against another.

Both sides alternate in one process, so that a busy machine slows both down: compare ratios, not
milliseconds. Every case also gives the difference of the two results.
"""

import datetime
import importlib
import importlib.metadata
import inspect
import pkgutil
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmengine.utils.dl_utils import mmcv_full_available
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor

from ...core.stack import stack_facts
from ...core.words import unknown
from ...evaluation.confusion import confusion_matrix
from ...models.layers import deform_conv2d
from ..run.config import load_config
from ..run.network.build import build, channels_of, sizes_of
from ..run.outcome.facts import git, hardware
from .peaks import peaks
from .peers import versions_for

_NAP_S, _MOST_NAPS = 0.01, 50
Case = dict[str, Any]
BENCHMARKS: dict[str, Callable[..., Iterator[Case]]] = {}


def register(function: Callable[..., Iterator[Case]]) -> Callable[..., Iterator[Case]]:
    """Register a generator of cases under its name."""
    BENCHMARKS[function.__name__] = function
    return function


def load_all() -> None:
    """Import all modules of this folder, which register their benchmarks."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f'{__package__}.{module.name}')


def foreign(name: str, settings: Iterable[str]) -> Optional[tuple[str, list[str]]]:
    """Find a setting that a benchmark does not take.

    Returns:
        The first such setting with the benchmarks that take it, or ``None``.
    """
    for setting in settings:
        owners = [
            key
            for key, function in BENCHMARKS.items()
            if setting in inspect.signature(function).parameters
        ]
        if name not in owners:
            return setting, owners
    return None


def run(name: str, *, threads: Optional[int] = None, repeats: int = 7, **settings: Any) -> dict:
    """Run one benchmark.

    Args:
        name: A key of ``BENCHMARKS``.
        threads: Number of torch threads; ``None`` does not change it.
        repeats: Number of timed calls of each side, after an untimed one.
        settings: Passed on to the benchmark.

    Returns:
        The machine, the versions, the commit, the rates of :func:`.peaks.peaks`, one dict per case
        under ``cases``, and lines on what could not be measured under ``notes``.

    Raises:
        ValueError: If the name is unknown, ``threads`` or ``repeats`` are below 1, or nothing could
            be measured.
    """
    if name not in BENCHMARKS:
        raise ValueError(unknown('benchmark', name, BENCHMARKS))
    for setting, value in (('threads', threads), ('repeats', repeats)):
        if value is not None and value < 1:
            raise ValueError(f'{setting} must be at least 1, got {value}')
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        told = list(BENCHMARKS[name](repeats, **settings))
        cases = [case for case in told if 'note' not in case]
        notes = list(dict.fromkeys(case['note'] for case in told if 'note' in case))
        if not cases:
            raise ValueError(f'nothing was measured: {"; ".join(notes)}')
        return dict(_facts(name, repeats), peaks=peaks(), cases=cases, notes=notes)
    finally:
        torch.set_num_threads(before)


def _facts(name: str, repeats: int) -> dict:
    status = git('status', '--porcelain')
    return dict(
        benchmark=name,
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        commit=git('rev-parse', 'HEAD'),
        dirty=None if status is None else bool(status),
        hardware=hardware(),
        threads=torch.get_num_threads(),
        repeats=repeats,
        python=platform.python_version(),
        versions={
            'torch': importlib.metadata.version('torch'),
            **stack_facts(),
            'numpy': np.__version__,
            **versions_for(name),
        },
    )


def compare(ours: Callable[[], Any], reference: Callable[[], Any], *, repeats: int) -> Case:
    """Time two functions in alternation.

    Returns:
        Median milliseconds of both; ``ratio``, reference / ours (above 1 ours is faster); the
        lowest and highest ratio of neighbouring calls; and ``ratio_cpu``, the ratio of processor
        times, which other programs disturb less but which counts waiting threads.
    """
    return compare_all([ours], reference, repeats=repeats)[0]


def compare_all(
    sides: Sequence[Callable[[], Any]],
    reference: Callable[[], Any],
    *,
    repeats: int,
    programs: bool = False,
) -> list[Case]:
    """Time several functions and one reference by turns.

    Args:
        sides: Functions to time.
        reference: What each of them is compared with.
        repeats: Timed calls of each.
        programs: They belong to several programs, so that one's idle threads disturb the next.

    Returns:
        For each side, what :func:`compare` gives; a ratio is that of two calls of one round.
    """
    wall, processor = sampled([*sides, reference], repeats=repeats, programs=programs)
    pairs = wall[:, -1:] / wall[:, :-1]
    (*ours_s, reference_s), (*ours_cpu, reference_cpu) = (
        np.median(samples, 0).tolist() for samples in (wall, processor)
    )
    return [
        dict(
            ours_ms=ours_s[i] * 1e3,
            reference_ms=reference_s * 1e3,
            ratio=reference_s / ours_s[i],
            ratio_lowest=float(pairs[:, i].min()),
            ratio_highest=float(pairs[:, i].max()),
            ratio_cpu=reference_cpu / ours_cpu[i],
        )
        for i in range(len(sides))
    ]


def sampled(
    sides: Sequence[Callable[[], Any]], *, repeats: int, programs: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Time functions by turns, each round from another one on; see :func:`compare_all`.

    Returns:
        Seconds that passed and seconds of processor time, both ``(repeats, sides)``.
    """
    samples = np.empty((repeats + 1, len(sides), 2))
    for repeat, step in np.ndindex(*samples.shape[:2]):
        side = (repeat + step) % len(sides)
        if programs:
            _wait_for_idle_threads()
        start, start_cpu = time.perf_counter(), time.process_time()
        sides[side]()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        samples[repeat, side] = time.perf_counter() - start, time.process_time() - start_cpu
    samples = samples[1:]  # the first call of each allocates memory and warms up
    return samples[..., 0], samples[..., 1]


def _wait_for_idle_threads() -> None:
    """Wait until this process uses no core, for half a second at the most.

    Threads of ONNX Runtime look for more work for 60 ms after a call, those of torch for 15 ms, and
    take a core from the threads of the program that is called next.
    """
    for _ in range(_MOST_NAPS):
        before = time.process_time()
        time.sleep(_NAP_S)
        if time.process_time() - before < _NAP_S / 10:
            return


# --- deformable convolution -----------------------------------------------------------------------


@register
def deform_conv(
    repeats: int,
    *,
    size: int = 32,
    batch: int = 1,
    channels: Sequence[tuple[int, int]] = ((2048, 256), (320, 256)),
    rates: Sequence[int] = (6, 24),
) -> Iterator[Case]:
    """Compare ``deform_conv2d`` with mmcv's compiled operator, or without it with plain im2col."""
    reference, name = _deform_reference()
    for (c_in, c_out), rate in ((c, r) for c in channels for r in rates):
        torch.manual_seed(0)
        x, offset = torch.randn(batch, c_in, size, size), torch.randn(batch, 18, size, size)
        weight = torch.randn(c_out, c_in, 3, 3) / (9 * c_in) ** 0.5
        last = weight.contiguous(memory_format=torch.channels_last)  # the layout in DCNTorch
        ours = partial(deform_conv2d, padding=rate, dilation=rate)
        theirs = partial(reference, rate=rate)
        difference = (ours(x, offset, last) - theirs(x, offset, weight)).abs().max().item()
        for backward in (False, True):
            yield dict(
                case=f'{c_in}->{c_out}, {batch}x{size}x{size}, rate {rate}, '
                + ('forward + backward' if backward else 'forward'),
                reference=name,
                max_difference=difference,
                **compare(
                    _step(ours, (x, offset, last), backward),
                    _step(theirs, (x, offset, weight), backward),
                    repeats=repeats,
                ),
            )


def _deform_reference() -> tuple[Callable[..., Tensor], str]:
    if mmcv_full_available():
        import mmcv
        from mmcv import ops

        def compiled(x: Tensor, offset: Tensor, weight: Tensor, rate: int) -> Tensor:
            return ops.deform_conv2d(x, offset, weight, 1, rate, rate)

        return compiled, f'mmcv {mmcv.__version__}'
    return _im2col, 'im2col by grid_sample (no compiled mmcv here)'


def _im2col(x: Tensor, offset: Tensor, weight: Tensor, rate: int) -> Tensor:
    return deform_conv2d(
        x, offset, weight, padding=rate, dilation=rate, order='sample', deterministic=False
    )


def _step(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], backward: bool
) -> Callable[[], Any]:
    leaves = [t.detach().requires_grad_(backward) for t in inputs]

    def step() -> Any:
        out = function(*leaves)
        return torch.autograd.grad(out, leaves, torch.ones_like(out)) if backward else out

    return step


# --- metric ---------------------------------------------------------------------------------------


@register
def metric(
    repeats: int, *, size: int = 512, batch: int = 1, num_classes: int = 21
) -> Iterator[Case]:
    """Compare one confusion matrix with mmseg's areas, on segments and on noise."""
    from mmseg.evaluation import IoUMetric

    generator = torch.Generator().manual_seed(0)
    for kind, coarse in (('segments', max(size // 64, 1)), ('noise', size)):
        draw = torch.randint(num_classes, (2, batch, 1, coarse, coarse), generator=generator)
        pred, label = F.interpolate(draw.flatten(0, 1).float(), size=size).long().chunk(2)
        label[..., : max(size // 50, 1)] = 255
        pred, label = pred.contiguous(), label.contiguous()

        ours = partial(confusion_matrix, pred, label, num_classes)
        theirs = partial(IoUMetric.intersect_and_union, pred, label, num_classes, 255)
        difference = np.abs(ours().diagonal() - theirs()[0].numpy()).max()
        yield dict(
            case=f'{batch}x{size}x{size}, {num_classes} classes, {kind}',
            reference='mmseg IoUMetric.intersect_and_union',
            max_difference=float(difference),
            **compare(ours, theirs, repeats=repeats),
        )


# --- whole models ---------------------------------------------------------------------------------


@register
def model(
    repeats: int,
    *,
    configs: Sequence[str] = (),
    size: int = 128,
    batch: int = 2,
    amp: bool = False,
) -> Iterator[Case]:
    """Compare a training step (forward, loss, backward, SGD) of each config with the last one."""
    if len(configs) < 2:
        raise ValueError(
            f'the benchmark model compares two configs or more, got {len(configs)}: '
            '--configs OURS.py REFERENCE.py'
        )
    *others, last_model = (build(load_config(path)) for path in configs)
    reference = _training_step(last_model, size, batch, amp)
    sizes = sizes_of(last_model, size)
    for network, path in zip(others, configs):
        yield dict(
            case=f'{path}, {batch}x{size}x{size}{", bfloat16" if amp else ""}',
            reference=str(configs[-1]),
            **sizes_of(network, size),
            **{f'reference_{key}': value for key, value in sizes.items()},
            **compare(_training_step(network, size, batch, amp), reference, repeats=repeats),
        )


def _training_step(network: BaseSegmentor, size: int, batch: int, amp: bool) -> Callable[[], Any]:
    compute_loss = training_loss(network, size, batch, amp)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)

    def step() -> None:
        total = compute_loss()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def training_loss(
    network: BaseSegmentor, size: int, batch: int, amp: bool, device: str = 'cpu'
) -> Callable[[], Tensor]:
    """Return a function that computes the training loss of one batch of noise.

    Args:
        network: Network, which is moved to ``device``.
        size: Height and width of the images.
        batch: Number of images.
        amp: Use autocast: float16 on CUDA, bfloat16 elsewhere.
        device: ``'cpu'`` or ``'cuda'``.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, channels_of(network), size, size, generator=generator).to(device)
    labels = torch.randint(network.decode_head.num_classes, (batch, 1, size, size),
                           generator=generator).to(device)  # fmt: skip
    samples = []
    for label in labels:
        sample = SegDataSample(metainfo=dict(img_shape=(size, size), pad_shape=(size, size)))
        sample.gt_sem_seg = PixelData(data=label)
        samples.append(sample)
    network.to(device).train()
    half = torch.float16 if device == 'cuda' else torch.bfloat16

    def compute_loss() -> Tensor:
        with torch.autocast(device, half, enabled=amp):
            losses = network.loss(images, samples)
        return network.parse_losses(losses)[0]

    return compute_loss
