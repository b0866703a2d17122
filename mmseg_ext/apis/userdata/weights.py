"""Class weights for a config from the pixel counts of its data set.

Labels are read as in training; images are not read.
Shape letters: K class.
"""

from collections.abc import Sequence
from typing import Any, Optional

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS
from torch import Tensor

from ...core.labels import LOADERS
from ...core.progress import track
from ...models.losses.class_weights import class_weights, count_pixels, normalize_weights


def count_split(cfg: Config, *, split: str = 'train') -> dict[str, Any]:
    """Count the pixels of every class in one split of a config's data.

    Args:
        cfg: Config from ``load_config``.
        split: ``'train'``, ``'val'`` or ``'test'``.

    Returns:
        ``classes`` (names), ``pixels`` and ``image_pixels`` (K integers each), ``images`` (number
        of images) and ``ignored`` (number of unlabelled pixels).

    Raises:
        ValueError: If the pipeline of the split loads no labels, or its data set is wrapped.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    settings = cfg[f'{split}_dataloader'].dataset
    loaders = [step for step in settings.get('pipeline') or [] if step['type'] in LOADERS]
    if len(loaders) != 1:
        raise ValueError(
            f'{split}_dataloader.dataset.pipeline must load labels once, by one of {LOADERS}; a '
            'wrapped data set (ConcatDataset, RepeatDataset) is counted by its parts'
        )
    data, load = DATASETS.build(settings), TRANSFORMS.build(loaders[0])
    classes = list(data.metainfo['classes'])
    ignored = data.ignore_index
    counts, size = torch.zeros(2, len(classes), dtype=torch.int64), 0
    for index in track(range(len(data)), 'count'):
        label = _label(load, data.get_data_info(index))
        size += label.numel()
        counts += count_pixels(label[None], len(classes), ignore_index=ignored)
    return dict(
        classes=classes,
        pixels=counts[0].tolist(),
        image_pixels=counts[1].tolist(),
        images=len(data),
        ignored=size - int(counts[0].sum()),
    )


def _label(load: Any, info: dict) -> Tensor:
    results = load(dict(info, seg_fields=[]))
    return torch.from_numpy(results['gt_seg_map'].astype('int64'))


def weigh(
    counts: dict[str, Any],
    *,
    method: str = 'median',
    effective_beta: Optional[float] = None,
    normalize: bool = False,
) -> list[float]:
    """Compute class weights from :func:`count_split`; see ``models/losses/class_weights.py``.

    Args:
        counts: Counts with ``pixels`` and, for ``'median'``, ``image_pixels``.
        method: ``'median'``, ``'effective'`` or ``'complement'``.
        effective_beta: b of ``'effective'``; ``None`` takes its default.
        normalize: Scale the weights to a mean of 1 over pixels.

    Returns:
        One weight per class, 0 for a class without pixels.
    """
    pixels = torch.tensor(counts['pixels'])
    options = {} if effective_beta is None else dict(effective_beta=effective_beta)
    images = torch.tensor(counts['image_pixels'])
    weights = class_weights(pixels, method=method, image_pixels_K=images, **options)
    return (normalize_weights(weights, pixels) if normalize else weights).tolist()


def as_table(counts: dict[str, Any], weights: Sequence[float]) -> str:
    """Format a table of classes with pixels, shares in per cent and weights."""
    total = max(sum(counts['pixels']), 1)
    width = max(map(len, [*counts['classes'], 'class']))
    lines = [f'{"class":<{width}} {"pixels":>12} {"share %":>8} {"weight":>8}']
    for name, pixels, weight in zip(counts['classes'], counts['pixels'], weights):
        lines.append(f'{name:<{width}} {pixels:>12} {100 * pixels / total:>8.2f} {weight:>8.4f}')
    return '\n'.join(lines)
