"""Benchmarks of a network in other forms, and of a test, against mmseg's own; see ``benchmark``.

Shape letters: N image, C channel, H row, W column.
"""

import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

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
from ..run.config import load_config
from ..run.lean import lean
from ..run.load import load_tested
from ..run.network.build import build, channels_of, sizes_of
from ..run.quick import quick
from ..run.training import build_runner
from .timing import Case, compare, register

FORMS: dict[str, dict] = {
    'labels alone': {},
    'fast form': dict(fast=True),
    'fast form in bfloat16': dict(amp=True),
}


@register
def forms(
    repeats: int,
    *,
    configs: Sequence[str] = (),
    images: Sequence[str] = (),
    size: int = 512,
    batch: int = 1,
) -> Iterator[Case]:
    """Compare the prediction of labels in each form with mmseg's, of the same network.

    mmseg's is eager, in NCHW, with batch norms apart and logits of the full size in float32.

    Args:
        repeats: Timed calls of each side.
        configs: Configs, whose weights are random, or folders of tested runs. The time does not
            depend on the weights; how many labels agree does.
        images: Files to predict, resized to ``size``; noise without them.
        size: Height and width of the images.
        batch: Images at once.
    """
    if not configs:
        raise ValueError('the benchmark forms needs --configs: configs or folders of tested runs')
    for path in configs:
        network = _network(path)
        inputs = _inputs(network, images, size, batch)
        plain = _predict(network, inputs)
        facts = sizes_of(network, size)
        for name, form in FORMS.items():
            other = copy.deepcopy(network)
            with quick(other, labels=True, **form):
                ours = _predict(other, inputs)
                agreement = float((ours() == plain()).float().mean())
                yield dict(
                    case=f'{path}, {name}, {len(inputs)}x{size}x{size}',
                    reference="mmseg's prediction",
                    label_agreement=agreement,
                    images=len(inputs),
                    product='bfloat16' if form.get('amp') else 'float32',
                    **facts,
                    **compare(ours, plain, repeats=repeats),
                )


def _network(path: str) -> nn.Module:
    network: Any = load_tested(path)[0] if Path(path).is_dir() else build(load_config(path))
    for module in network.modules():
        if hasattr(module, 'mix_first'):
            module.mix_first = False
    return network.eval()


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

    Args:
        repeats: Timed tests of each side.
        configs: Configs whose test images are there, with random weights.
        amp: Use the fast form in bfloat16; otherwise the fast form.
        batch: Images per batch of both sides.
    """
    if not configs:
        raise ValueError('the benchmark evaluation needs --configs, with their test images')
    for path in configs:
        with tempfile.TemporaryDirectory() as folder:
            yield _test(path, repeats, amp, batch, folder)


def _test(path: str, repeats: int, amp: bool, batch: int, folder: str) -> Case:
    ours, theirs = (_runner(path, batch, metric, folder) for metric in ('SegMetric', 'IoUMetric'))
    theirs.model.load_state_dict(ours.model.state_dict())
    cfg, loops = (
        Config(dict(inference=dict(fast=True, amp=amp))),
        (ours.test_loop, theirs.test_loop),
    )

    def test() -> Any:
        with lean(ours, cfg):
            return loops[0].run()  # type: ignore[union-attr]

    images = len(ours.test_dataloader.dataset)  # type: ignore[arg-type]
    return dict(
        case=f'test of {path}, {images} images, {"bfloat16" if amp else "fast form"}',
        reference="mmengine's runner with mmseg's IoUMetric",
        max_difference=abs(test()['mIoU'] - loops[1].run()['mIoU']),  # type: ignore
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
