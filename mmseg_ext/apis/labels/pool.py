"""Scores of a pool of images by a trained model: one forward pass each, or several with dropout.

Shape letters: N candidate, K class, H row, W column, T pass, R region, C feature.
"""

import contextlib
import logging
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn import functional

from ...core.labels import background_of
from ...core.probabilities import as_probabilities
from ...core.progress import track
from ...core.reading import read_shown
from ...core.words import check_choice
from ...models.layers.highest import highest
from ...models.segmentors.passes import dropout_drawn, dropouts
from ..config.pipelines import test_steps
from ..predict.memory import Memory, check_readable
from ..predict.scores import (
    OF_DROPOUT,
    OF_ONE_PASS,
    SCORES,
    entropy,
    flip_disagreement,
    mean_score,
    region_means,
)
from ..predict.windows import Windows
from .candidates import Candidates
from .pool_strips import score_in_strips
from .regions import regions_of


class _Values(NamedTuple):
    """Of one image or its regions: ``(R,)``, ``(R, K)``, ``(R, K)`` and ``(R, C)``."""

    scores: Tensor
    pixels: Tensor
    class_scores: Tensor
    features: Optional[Tensor]


@dataclass(frozen=True)
class ScorePool:
    """Scores images by how unsure a model is of them.

    Args:
        model: From ``load_model``.
        score: Of ``SCORES``.
        passes: With dropout, for ``bald`` and ``variance``.
        regions: Kind of regions to score one by one; ``None`` scores whole images.
        size: Side of a region in pixels.
        seed: Of dropout.

    Raises:
        ValueError: If there is no such score, or the model has no dropout and the score needs it.
    """

    model: Any
    score: str = 'entropy'
    passes: int = 10
    regions: Optional[str] = None
    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice('score', self.score, SCORES)
        if self.score in OF_DROPOUT and not dropouts(self.model):
            raise ValueError(
                f'{self.score} compares passes with dropout, and the model has none: take entropy, '
                'or set decode_head.dropout_ratio'
            )
        if self.score in OF_DROPOUT and self.passes < 2:
            raise ValueError(f'{self.score} compares passes: at least 2, got {self.passes}')

    def __call__(self, images: Mapping[str, str]) -> Candidates:
        """Score images.

        Args:
            images: Name to file.

        Returns:
            The images by their names, or regions as ``NAME#NUMBER``.

        An image whose probabilities would not fit into memory is scored in windows
        (``pool_strips.py``), but for its regions.

        Raises:
            ValueError: If a file cannot be read, its probabilities would not fit into memory and it
                cannot be cut into windows, or the model answers with NaN.
        """
        pipeline = Compose(test_steps(self.model.cfg))
        memory = Memory(self.model, keep_prob=True)
        copies = self.passes if self.score in OF_DROPOUT else 2 if self.score == 'flip' else 1
        names, found = [], []
        for name, path in track(images.items(), 'score the pool'):
            check_readable(Path(path))
            data = pipeline(dict(img_path=path, seg_fields=[], reduce_zero_label=False))
            windows = None
            if self.regions is None:
                windows = memory.windows_of_probabilities(path, data, copies)
            else:
                memory.check_probabilities(path, data, copies)
            if windows is None:
                values = self._one(name, path, data)
            else:
                values = self._in_windows(name, path, data, windows)
            own = len(values.scores)
            names += [name] if self.regions is None else [f'{name}#{index}' for index in range(own)]
            found.append(values)
        return self._joined(tuple(names), found)

    def _joined(self, names: tuple[str, ...], found: list[_Values]) -> Candidates:
        background = background_of(self.model.dataset_meta['classes'])
        if not found:
            return Candidates(names, background=background)
        features = [values.features for values in found]
        return Candidates(
            names,
            scores=torch.cat([values.scores for values in found]).numpy(),
            pixels=torch.cat([values.pixels for values in found]).numpy(),
            class_scores=torch.cat([values.class_scores for values in found]).numpy(),
            features=None if None in features else torch.cat(features).numpy(),  # type: ignore
            background=background,
        )

    @torch.inference_mode()
    def _one(self, name: str, path: str, data: dict) -> _Values:
        with _watched(self.model) as maps:
            prob, score = self._passes(name, data)
        if not torch.isfinite(score).all():
            raise ValueError(f'{path}: the model answers with NaN')
        own = score if self.score == 'entropy' else entropy(prob)
        if self.regions is None:
            return _of_image(score, own, prob, _pooled(maps))
        where = torch.from_numpy(regions_of(read_shown(path), self.regions, self.size))
        return _of_regions(score, own, prob, where, _pooled_by_region(maps, where))

    @torch.inference_mode()
    def _in_windows(self, name: str, path: str, data: dict, windows: Windows) -> _Values:
        print_log(f'{path}: {windows}', 'current', logging.WARNING)
        image, meta = data['inputs'], data['data_samples'].metainfo
        images = [image]
        drawn: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if self.score in OF_DROPOUT:
            images, drawn = [image] * self.passes, dropout_drawn(self.model, self._number(name))
        elif self.score == 'flip':
            images = [image, image.flip(-1)]
        try:
            with _watched(self.model, pooled=True) as maps, drawn:
                found = score_in_strips(self.model, images, meta, windows, self._judged)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        by_class = found.class_scores[None]
        return _Values(found.score[None], found.pixels[None], by_class, _pooled(maps))

    def _judged(self, prob_TKHW: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities ``(K, h, W)`` and score ``(h, W)`` of all passes over some rows."""
        if self.score in OF_DROPOUT:
            return prob_TKHW.mean(0), OF_DROPOUT[self.score](prob_TKHW)
        if self.score == 'flip':
            return prob_TKHW[0], flip_disagreement(*prob_TKHW)
        return prob_TKHW[0], OF_ONE_PASS[self.score](prob_TKHW[0])

    def _number(self, name: str) -> int:
        """Seed of the dropout of an image, which does not depend on others."""
        return self.seed + zlib.crc32(name.encode(errors='surrogateescape'))

    def _passes(self, name: str, data: dict) -> tuple[Tensor, Tensor]:
        """Probabilities ``(K, H, W)`` and score ``(H, W)`` of an image."""
        if self.score in OF_DROPOUT:
            with dropout_drawn(self.model, self._number(name)):
                return self._judged(torch.stack([self._forward(data) for _ in range(self.passes)]))
        every = [self._forward(data)]
        if self.score == 'flip':
            every.append(self._forward(dict(data, inputs=data['inputs'].flip(-1))))
        return self._judged(torch.stack(every) if len(every) > 1 else every[0][None])

    def _forward(self, data: dict) -> Tensor:
        batch = dict(inputs=[data['inputs']], data_samples=[data['data_samples'].clone()])
        return as_probabilities(self.model.test_step(batch)[0].seg_logits.data)


def _of_image(
    score_HW: Tensor, entropy_HW: Tensor, prob_KHW: Tensor, features: Optional[Tensor]
) -> _Values:
    by_class_K = prob_KHW.flatten(1) @ entropy_HW.flatten() / entropy_HW.numel()
    pixels_K = torch.bincount(highest(prob_KHW, 0).ravel(), minlength=len(prob_KHW))
    mean = mean_score(score_HW)
    return _Values(mean[None].cpu(), pixels_K[None].cpu(), by_class_K[None].cpu(), features)


def _of_regions(
    score_HW: Tensor,
    entropy_HW: Tensor,
    prob_KHW: Tensor,
    where_HW: Tensor,
    features: Optional[Tensor],
) -> _Values:
    num = len(prob_KHW)
    every = torch.cat((score_HW[None], entropy_HW * prob_KHW)).cpu()
    means = region_means(every, where_HW).T
    pairs = where_HW * num + highest(prob_KHW, 0).cpu()
    pixels = torch.bincount(pairs.ravel(), minlength=num * len(means)).view(-1, num)
    return _Values(means[:, 0], pixels, means[:, 1:], features)


@contextlib.contextmanager
def _watched(model: nn.Module, *, pooled: bool = False) -> Iterator[list[Tensor]]:
    """Collect the backbone's last map ``(C, H, W)``, or its mean, of each forward pass."""
    maps: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        last = output[-1] if isinstance(output, (list, tuple)) else output
        if isinstance(last, Tensor) and last.ndim == 4:
            last = last.float().cpu()
            maps.extend(last.mean((2, 3), keepdim=True) if pooled else last)

    backbone = getattr(model, 'backbone', None)
    handle = backbone.register_forward_hook(keep) if isinstance(backbone, nn.Module) else None
    try:
        yield maps
    finally:
        if handle is not None:
            handle.remove()


def _pooled(maps: list[Tensor]) -> Optional[Tensor]:
    """Mean over pixels and passes, ``(1, C)``."""
    if not maps:
        return None
    return torch.stack([one.mean((1, 2)) for one in maps]).mean(0, keepdim=True)


def _pooled_by_region(maps: list[Tensor], regions_HW: Tensor) -> Optional[Tensor]:
    """Mean over the pixels of each region, each with the map's nearest cell, ``(R, C)``.

    ``None`` if the passes are not of the whole image.
    """
    from scipy.sparse import coo_matrix

    if not maps or len({one.shape for one in maps}) > 1:
        return None
    mean = torch.stack(maps).mean(0)
    numbers = torch.arange(mean[0].numel(), dtype=torch.float64).view(1, 1, *mean.shape[1:])
    size = tuple(regions_HW.shape)
    cells = functional.interpolate(numbers, size=size, mode='nearest').long().ravel().numpy()
    where = regions_HW.ravel().numpy()
    shares = coo_matrix((np.ones(len(cells)), (where, cells)), (where.max() + 1, numbers.numel()))
    sums = shares.tocsr() @ mean.flatten(1).T.double().numpy()
    return torch.from_numpy(sums / np.bincount(where)[:, None])


def without_labels(scored: Candidates, labelled: set[str]) -> Candidates:
    """Leave out what has labels already; its features are kept as such."""
    has = np.array([name in labelled for name in scored.names], bool)

    def left(values: Optional[np.ndarray]) -> Optional[np.ndarray]:
        return None if values is None else values[~has]

    return Candidates(
        tuple(name for name in scored.names if name not in labelled),
        left(scored.scores),
        left(scored.pixels),
        left(scored.class_scores),
        left(scored.features),
        None if scored.features is None else scored.features[has],
        scored.background,
    )
