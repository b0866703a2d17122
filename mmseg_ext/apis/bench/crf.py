"""Benchmark of the dense CRF against pydensecrf2; see ``benchmark``."""

import importlib.metadata
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Union

import numpy as np
import torch
import torch.nn.functional as F

from ...models.layers.dense_crf import SETTINGS, DenseCRF
from ..draw.pixels import read_rgb
from .timing import Case, compare, register

_SIZE = (375, 500)  # size of most VOC images
_PRESENT = 6


@register
def crf(
    repeats: int,
    *,
    images: Sequence[Union[str, Path]] = (),
    classes: Sequence[int] = (21, 171),
    setting: str = 'deeplabv2_resnet101',
) -> Iterator[Case]:
    """``DenseCRF`` with and without label pruning against pydensecrf2, 10 iterations.

    Neither keeps freed memory, as ``tools/crf.py`` does: it would pay for both. The position kernel
    is cached by the untimed first call, as it is from the second image of a data set on. In the
    synthetic probabilities six classes are likely somewhere and the others nowhere; only the gain
    from pruning depends on this.

    Args:
        repeats: Number of timed calls of each side.
        images: Image files; without any, a synthetic image of 500x375.
        classes: Numbers of classes to try.
        setting: A key of ``SETTINGS``.
    """
    try:
        import pydensecrf.densecrf  # noqa: F401
    except ImportError as error:
        raise ValueError(
            'the benchmark crf compares with pydensecrf2: pip install pydensecrf2'
        ) from error
    reference = f'pydensecrf2 {importlib.metadata.version("pydensecrf2")}'
    for name, picture in _pictures(images):
        for count in classes:
            prob, image = _probabilities(count, *picture.shape[:2]), picture.copy()
            theirs = partial(_pydensecrf, prob, image, SETTINGS[setting])
            expected = theirs()
            for mode, prune in (('all labels', 0.0), ('labels pruned at 1e-3', 1e-3)):
                ours = _ours(prob, image, DenseCRF(**SETTINGS[setting], prune=prune))
                got = ours()
                yield dict(
                    case=f'{name}, {image.shape[1]}x{image.shape[0]}, {count} classes, {mode}',
                    reference=reference,
                    max_difference=float(np.abs(got - expected).max()),
                    label_agreement=float((got.argmax(0) == expected.argmax(0)).mean()),
                    process_peak=process_peak(prob, image, dict(SETTINGS[setting], prune=prune)),
                    **compare(ours, theirs, repeats=repeats),
                )


def _pictures(paths: Sequence[Union[str, Path]]) -> Iterator[tuple[str, np.ndarray]]:
    for path in paths:
        yield Path(path).name, read_rgb(path)
    if not paths:
        g = torch.Generator().manual_seed(0)
        shapes = F.interpolate(torch.rand(1, 3, 6, 8, generator=g) * 255, _SIZE, mode='bicubic')
        grain = 6 * torch.randn(3, *_SIZE, generator=g)
        picture = (shapes[0] + grain).clamp(0, 255).byte().permute(1, 2, 0)
        yield 'made-up picture', picture.contiguous().numpy()


def _probabilities(classes: int, height: int, width: int) -> np.ndarray:
    """Make smooth probabilities, ``(K, H, W)`` float32."""
    g = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(1, classes, 9, 12, generator=g)
    logits[:, _PRESENT:] = logits[:, _PRESENT:] / 8 - 12
    smooth = F.interpolate(logits, (height, width), mode='bilinear', align_corners=True)
    return smooth[0].softmax(0).numpy()


def process_peak(prob: np.ndarray, image: np.ndarray, setting: dict) -> int:
    """Refine one image in a new process and return its peak memory in bytes.

    This includes Python, torch, this package and a copy of the probabilities.

    Args:
        prob: ``(K, H, W)`` float32.
        image: ``(H, W, 3)`` uint8 RGB.
        setting: Arguments of ``DenseCRF``.
    """
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(_peak_of_this_process, (prob, image, setting, torch.get_num_threads()))


def _peak_of_this_process(prob: np.ndarray, image: np.ndarray, setting: dict, threads: int) -> int:
    import resource  # not on Windows

    torch.set_num_threads(threads)
    _ours(prob, image, DenseCRF(**setting))()
    kilo = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo


def _ours(prob: np.ndarray, image: np.ndarray, crf_module: DenseCRF) -> Callable[[], np.ndarray]:
    @torch.inference_mode()
    def step() -> np.ndarray:
        rgb = torch.from_numpy(image.transpose(2, 0, 1).copy())
        return crf_module(torch.from_numpy(prob)[None], rgb[None])[0].numpy()

    return step


def _pydensecrf(prob: np.ndarray, image: np.ndarray, setting: dict) -> np.ndarray:
    from pydensecrf import densecrf

    count, height, width = prob.shape
    model = densecrf.DenseCRF2D(width, height, count)
    unary = -np.log(np.clip(prob, 1e-5, None)).reshape(count, -1)
    model.setUnaryEnergy(np.ascontiguousarray(unary, np.float32))
    model.addPairwiseGaussian(sxy=setting['pos_xy'], compat=setting['pos_w'])
    model.addPairwiseBilateral(
        sxy=setting['bi_xy'],
        srgb=setting['bi_rgb'],
        rgbim=np.ascontiguousarray(image),
        compat=setting['bi_w'],
    )
    return np.array(model.inference(10)).reshape(prob.shape)
