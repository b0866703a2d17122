"""Benchmarks of single operations against their plain or compiled peers; see ``operations``.

Shape letters: N image, C channel, K class, H row, W column.
"""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.labels import IGNORE
from ...evaluation.boundary_f1_metric import boundary_f1
from ...evaluation.surface_metric import surface_scores
from ...models.layers.carafe import CARAFE
from ...models.layers.deform_conv import DCNTorch
from ...models.layers.dysample import DySample
from ...models.layers.max_unpool import max_pool, max_unpool
from .operations_losses import CLASSES, label_maps, losses
from .timing import Case, compare, register

Sides = tuple[str, str, Callable[[], Any], Callable[[], Any], float]  # case, peer, both, tolerance


@register
def operations(repeats: int, *, size: int = 256, batch: int = 2) -> Iterator[Case]:
    """Compare losses, unpooling, upsamplers, deformable ASPP, boundary F1 and HD95 with peers.

    Each peer computes the same in the plain way, or is a library. Results must be equal up to
    rounding.

    Args:
        repeats: Timed calls of each side.
        size: Height and width of label maps; feature maps have an eighth.
        batch: Images of losses and maps.

    Raises:
        ValueError: If a result differs from that of its peer.
    """
    torch.manual_seed(0)
    for make in (losses, _unpooling, _carafe, _dysample, _aspp, _scores):
        for case, peer, ours, theirs, tolerance in make(size, batch):
            difference = _difference(ours(), theirs())
            if not difference <= tolerance:
                raise ValueError(f'{case} differs from {peer} by {difference}')
            yield dict(
                case=case,
                reference=peer,
                max_difference=difference,
                **compare(ours, theirs, repeats=repeats),
            )


def _difference(ours: Any, theirs: Any) -> float:
    pairs = zip(ours, theirs) if isinstance(ours, tuple) else [(ours, theirs)]
    return max(
        float(np.nanmax(np.abs(np.subtract(*(np.asarray(x) for x in pair))))) for pair in pairs
    )


def _unpooling(size: int, batch: int) -> Iterator[Sides]:
    x = torch.randn(batch, 64, size // 2, size // 2)
    y, switches = max_pool(x)
    plain = nn.MaxUnpool2d(2, 2)
    for way in ('auto', 'scatter'):
        yield (
            f'unpooling, way {way}, {batch}x64x{size // 2}x{size // 2}',
            'torch.nn.MaxUnpool2d',
            partial(max_unpool, y, switches, way=way),
            partial(plain, y, switches.indices, output_size=x.shape),
            0.0,
        )


def _carafe(size: int, batch: int) -> Iterator[Sides]:
    side = size // 8
    layer = CARAFE(64, out_conv=False).eval()
    x = torch.randn(batch, 64, side, side)

    @torch.inference_mode()
    def theirs() -> Tensor:
        kernels = layer.kernels(x)  # K N H W SS G
        fine = F.pixel_shuffle(kernels[..., 0].permute(1, 0, 4, 2, 3).flatten(1, 2), 2)
        return _carafe_by_unfold(x, fine, 3, 2)

    shape = f'{batch}x64x{side}x{side}, scale 2'
    peer = 'F.unfold, as in the paper'
    yield f'CARAFE, {shape}', peer, torch.inference_mode()(partial(layer, x)), theirs, 1e-4


def _carafe_by_unfold(x: Tensor, masks: Tensor, kernel: int, scale: int) -> Tensor:
    """Mmcv's operator has no implementation for CPUs."""
    n, c, h, w = x.shape
    taps = F.unfold(x, kernel, padding=kernel // 2).view(n, -1, h, w)
    fine = F.interpolate(taps, scale_factor=scale).view(n, c, kernel**2, h * scale, w * scale)
    return (fine * masks.unsqueeze(1)).sum(2)


def _dysample(size: int, batch: int) -> Iterator[Sides]:
    side = size // 8
    layer = DySample(64).eval()
    nn.init.normal_(layer.offset.weight, std=0.1)
    x = torch.randn(batch, 64, side, side)
    yield (
        f'DySample, {batch}x64x{side}x{side}, scale 2',
        "its paper's formula with F.grid_sample",
        torch.inference_mode()(partial(layer, x)),
        torch.inference_mode()(partial(_dysample_by_formula, layer, x)),
        1e-4,
    )


def _dysample_by_formula(layer: DySample, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    s, axis = layer.scale_factor, (torch.arange(layer.scale_factor) + 0.5) / layer.scale_factor
    start = torch.stack(torch.meshgrid(axis - 0.5, axis - 0.5, indexing='xy'))  # of fine pixels
    start = start.repeat_interleave(layer.groups, 0).reshape(1, -1, 1, 1)
    move = (0.25 * layer.offset(x) + start).view(n, 2, -1, h, w)
    centres = torch.stack(torch.meshgrid(torch.arange(w), torch.arange(h), indexing='xy')) + 0.5
    grid = 2 * (centres[None, :, None] + move) / torch.tensor([w, h]).view(1, 2, 1, 1, 1) - 1
    grid = F.pixel_shuffle(grid.view(n, -1, h, w), s).view(n, 2, layer.groups, s * h, s * w)
    out = F.grid_sample(
        x.reshape(n * layer.groups, -1, h, w),
        grid.permute(0, 2, 3, 4, 1).flatten(0, 1),
        padding_mode='border',
        align_corners=False,
    )
    return out.view(n, c, s * h, s * w)


def _aspp(size: int, batch: int) -> Iterator[Sides]:
    side = size // 8
    init_default_scope('mmseg')
    layer = MODELS.build(dict(type='DeformASPP', in_channels=320, channels=256)).eval()
    for module in layer.modules():
        if isinstance(module, nn.Conv2d) and module.out_channels % 18 == 0:
            nn.init.normal_(module.weight, std=0.01)
    x, plain = torch.randn(batch, 320, side, side), copy.deepcopy(layer)
    for module in plain.modules():
        if isinstance(module, DCNTorch):
            module.order, module.deterministic = 'sample', False
    shape = f'{batch}x320x{side}x{side}'
    yield (
        f'deformable ASPP, {shape}',
        'the same with im2col by grid_sample',
        torch.inference_mode()(partial(layer, x)),
        torch.inference_mode()(partial(plain, x)),
        1e-3,
    )


def _scores(size: int, batch: int) -> Iterator[Sides]:
    truth = label_maps(size, 1)[0].numpy()
    guess = np.roll(truth, 2, 0)
    shape = f'{size}x{size}, {CLASSES} classes'
    yield (
        f'boundary F1, {shape}',
        "scipy's erosion and exact distances",
        lambda: boundary_f1(guess, truth, CLASSES),
        lambda: _plain_boundary_f1(guess, truth),
        1e-6,
    )
    masks = [(one == truth[size // 2, size // 2]) for one in (guess, truth)]
    peers = [("scipy's exact distances of the contours", lambda: _plain_hd95(*masks))]
    with suppress(ImportError):
        peers.append(_monai_hd95(masks))
    for peer, theirs in peers:
        yield f'HD95, {size}x{size}', peer, lambda: surface_scores(*masks)[0], theirs, 1e-4


def _monai_hd95(masks: list[np.ndarray]) -> tuple[str, Callable[[], Any]]:
    import monai
    from monai.metrics import compute_hausdorff_distance

    guess, truth = (torch.from_numpy(mask)[None, None] for mask in masks)
    score = partial(compute_hausdorff_distance, include_background=True, percentile=95)

    def theirs() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', FutureWarning)  # about its own calls
            return float(score(guess, truth))

    return f'MONAI {monai.__version__}', theirs


def _plain_boundary_f1(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    valid, reach = truth != IGNORE, 0.0075 * np.hypot(*truth.shape) * (1 + 1e-6)
    scores = np.full(CLASSES, np.nan)
    for label in range(CLASSES):
        lines = []
        for mask in (guess == label, truth == label):
            inside = ndimage.binary_erosion(mask | ~valid, border_value=1)
            lines.append(mask & valid & ~inside)
        if not (lines[0].any() or lines[1].any()):
            continue
        scores[label] = 0.0
        if lines[0].any() and lines[1].any():
            away = [ndimage.distance_transform_edt(~line) for line in lines]
            precision, recall = ((away[1 - i][lines[i]] <= reach).mean() for i in range(2))
            if precision + recall:
                scores[label] = 2 * precision * recall / (precision + recall)
    return scores


def _plain_hd95(guess: np.ndarray, truth: np.ndarray) -> float:
    from scipy import ndimage

    lines = [mask & ~ndimage.binary_erosion(mask) for mask in (guess, truth)]
    away = [ndimage.distance_transform_edt(~line) for line in lines]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return float(max(np.percentile(away[1 - i][lines[i]], 95) for i in range(2)))
