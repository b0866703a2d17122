"""Benchmarks of a network in other forms, and of a test, against mmseg's own; see ``benchmark``.

Shape letters: N image, C channel, H row, W column.
"""

import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.structures import SegDataSample
from PIL import Image
from torch import Tensor, nn

from ...core.files import PathLike
from ...core.reading import read_shown
from ...engine.bfloat16 import NO_PRODUCTS, is_imitated
from ...env import first_line
from ..run.config import load_config
from ..run.lean import lean
from ..run.load import load_tested
from ..run.network.build import build, channels_of, flops_of_image
from ..run.network.live_bytes import LiveBytes
from ..run.quick import quick
from ..run.training import build_runner
from .backends import Logits, backends, missing_programs
from .parts import in_stock_form
from .timing import Case, compare, compare_all, register

FORMS: dict[str, dict] = {
    'labels alone': {},
    'fast form': dict(fast=True),
    'fast form in bfloat16': dict(amp=True),
}


class _Side(NamedTuple):
    """One way to predict: its name, the type of its products, and the call."""

    name: str
    product: str
    labels: Callable[[], Tensor]


@register
def forms(
    repeats: int,
    *,
    configs: Sequence[str] = (),
    images: Sequence[str] = (),
    size: int = 512,
    batch: int = 1,
    compile: bool = False,
) -> Iterator[Case]:
    """Compare the prediction of labels in each form and each program with mmseg's.

    All are of the same network. mmseg's is eager, in NCHW, with batch norms apart and logits of the
    full size in float32. Programs are those of :func:`.backends.backends`; their logits have the
    full size, too. Memory is that of the tensors that operators return, without weights, and known
    of our forms alone.

    Args:
        repeats: Timed calls of each side.
        configs: Configs, whose weights are random, or folders of tested runs. The time does not
            depend on the weights; how many labels agree does.
        images: Files to predict, resized to ``size``; noise without them.
        size: Height and width of the images.
        batch: Images at once.
        compile: Also compile the network with torch, which takes minutes.
    """
    if not configs:
        raise ValueError('the benchmark forms needs --configs: configs or folders of tested runs')
    yield from (dict(note=reason) for reason in missing_programs().values())
    for path in configs:
        try:
            network = _network(path)
            inputs = _inputs(network, images, size, batch)
            plain = _predict(network, inputs)
            sizes = _sizes(network, size)
            with LiveBytes() as held:
                expected = plain()
        except Exception as error:  # a package is missing, or the size is refused
            yield dict(note=f'{path}: {type(error).__name__}: {first_line(error)}')
            continue
        with ExitStack() as stack:
            measured: dict[_Side, Case] = {}
            for side in _sides(network, inputs, stack, compile):
                found = side if isinstance(side, str) else _tried(side, expected)
                if isinstance(side, str) or isinstance(found, str):
                    yield dict(note=f'{path}: {found}')
                else:
                    measured[side] = found
            calls = [side.labels for side in measured]
            times = compare_all(calls, plain, repeats=repeats, programs=True)
        for (side, found), time in zip(measured.items(), times):
            yield dict(
                case=f'{path}, {side.name}, {len(inputs)}x{size}x{size}',
                reference="mmseg's prediction",
                reference_tensor_bytes=held.peak,
                images=len(inputs),
                product=side.product,
                **sizes,
                **found,
                **time,
            )


def _tried(side: _Side, expected: Tensor) -> Union[Case, str]:
    """Call a side, twice as the first call of a form builds it.

    Returns:
        The share of equal labels and, of our forms, the memory of the tensors that operators
        return, at the most; or why there are none: a form may be refused, a program fail.
    """
    ours = side.name in FORMS
    try:
        side.labels()
        with LiveBytes() as held:
            labels = side.labels()
    except Exception as error:  # programs raise types of their own
        if ours and not isinstance(error, ValueError):
            raise
        return f'no {side.name}: {type(error).__name__}: {first_line(error)}'
    agreement = float((labels == expected).float().mean())
    memory = dict(tensor_bytes=held.peak) if ours else {}
    return dict(label_agreement=agreement, **memory)


def _sides(
    network: Any, inputs: Tensor, stack: ExitStack, compiled: bool
) -> Iterator[Union[_Side, str]]:
    """Each form and each program; a text says why one is left out."""
    for name, form in FORMS.items():
        if form.get('amp') and is_imitated('cpu'):
            yield f'no {name}: {NO_PRODUCTS}'
            continue
        other = copy.copy(network)  # with the same weights
        stack.enter_context(quick(other, labels=True, **form))
        product = 'bfloat16' if form.get('amp') else 'float32'
        yield _Side(name, product, _predict(other, inputs))
    for found in backends(network, compiled=compiled):
        if isinstance(found, str):
            yield found
            continue
        other = copy.copy(network)
        other.encode_decode = partial(_given, found.logits)
        yield _Side(found.name, found.product, _predict(other, inputs))


def _given(logits: Logits, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
    return logits(inputs)


def _sizes(network: Any, size: int) -> dict:
    """Parameters and, where they can be counted, FLOPs of an image."""
    flops, _ = flops_of_image(network, (size, size))
    parameters = sum(p.numel() for p in network.parameters())
    return dict(parameters=parameters, **({} if flops is None else dict(flops=flops)))


def _network(path: str) -> nn.Module:
    network: Any = load_tested(path)[0] if Path(path).is_dir() else build(load_config(path))
    return in_stock_form(network.eval())


def _inputs(network: Any, images: Sequence[str], size: int, batch: int) -> Tensor:
    """Images as the preprocessor gives them, ``(N, C, H, W)``."""
    if not images:
        generator = torch.Generator().manual_seed(0)
        coarse = torch.randn(
            batch, channels_of(network), size // 16, size // 16, generator=generator
        )
        return F.interpolate(coarse, size=(size, size), mode='bicubic')
    files = (list(images) * batch)[:batch]
    shown = [Image.fromarray(read_shown(file)).resize((size, size)) for file in files]
    arrays = [torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in shown]  # BGR
    return network.data_preprocessor(dict(inputs=arrays), False)['inputs']


def _predict(network: Any, inputs: Tensor) -> Callable[[], Tensor]:
    size = tuple(inputs.shape[2:])
    facts = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4)

    @torch.inference_mode()
    def step() -> Tensor:
        samples = [SegDataSample(metainfo=facts) for _ in inputs]
        results = network.predict(inputs, samples)
        return torch.stack([result.pred_sem_seg.data for result in results])

    return step


@register
def evaluation(
    repeats: int, *, configs: Sequence[str] = (), amp: bool = False, batch: int = 1
) -> Iterator[Case]:
    """Compare a test, from files to scores, with mmengine's runner and mmseg's metric.

    The runner's network is in mmseg's form, see :func:`in_stock_form`.

    Args:
        repeats: Timed tests of each side.
        configs: Configs whose test images are there, with random weights.
        amp: Use the fast form in bfloat16; otherwise the fast form.
        batch: Images per batch of both sides.

    Raises:
        ValueError: Without configs, or with ``amp`` where it would be float32.
    """
    if not configs:
        raise ValueError('the benchmark evaluation needs --configs, with their test images')
    if amp and is_imitated('cpu'):
        raise ValueError(f'{NO_PRODUCTS}: leave out --amp')
    for path in configs:
        with tempfile.TemporaryDirectory() as folder:
            yield _test(path, repeats, amp, batch, folder)


def _test(path: str, repeats: int, amp: bool, batch: int, folder: str) -> Case:
    ours, theirs = (_runner(path, batch, metric, folder) for metric in ('SegMetric', 'IoUMetric'))
    in_stock_form(theirs.model).load_state_dict(ours.model.state_dict())
    cfg = Config(dict(inference=dict(fast=True, amp=amp)))
    loops = (ours.test_loop, theirs.test_loop)

    def test() -> Any:
        with lean(ours, cfg):
            return loops[0].run()  # type: ignore[union-attr]

    images = len(ours.test_dataloader.dataset)  # type: ignore[arg-type]
    return dict(
        case=f'test of {path}, {images} images, {"bfloat16" if amp else "fast form"}',
        reference="mmengine's runner with mmseg's IoUMetric",
        max_difference=float(abs(test()['mIoU'] - loops[1].run()['mIoU'])),  # type: ignore
        **compare(test, loops[1].run, repeats=repeats),  # type: ignore[union-attr]
    )


def _runner(path: str, batch: int, metric: str, work_dir: PathLike) -> Runner:
    """A runner ready to test."""
    cfg = load_config(path, work_dir=work_dir)
    cfg.test_evaluator = dict(type=metric)
    cfg.test_dataloader.update(batch_size=batch, num_workers=0, persistent_workers=False)
    runner = build_runner(cfg)
    runner.call_hook('before_run')
    return runner
