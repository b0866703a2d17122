"""The first samples of a training, as the network gets them.

Shape letters: C channel, H row, W column.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from torch import Tensor

from ....core.labels import UNLABELLED, VALID
from ....models.segmentors.semi_inputs import SemiDataPreProcessor
from ...config.semi import plain_model
from ...draw.pixels import to_display


class Seen(NamedTuple):
    """A sample behind the data preprocessor.

    Args:
        name: Name of the image's file.
        picture: The input of the network with its normalisation undone, ``(H, W, 3)`` uint8 RGB.
        label: What the loss compares with, ``(H, W)``; of an unlabelled image 0 where there is
            image, and -1 in the padding.
        strong: The strong views of an unlabelled image, each like ``picture``.
        labelled: Whether the image has a mask.
    """

    name: str
    picture: np.ndarray
    label: np.ndarray
    strong: tuple[np.ndarray, ...] = ()
    labelled: bool = True


def preprocessor_settings(cfg: Config) -> dict:
    """Return the settings of the data preprocessor that a training of this config builds.

    Raises:
        ValueError: If the config has none.
    """
    found = plain_model(cfg.model).get('data_preprocessor') or cfg.get('data_preprocessor')
    if not found:
        raise ValueError(
            f'{cfg.filename or "the config"}: model has no data_preprocessor, so what the network '
            'sees is unknown'
        )
    return dict(found)


def first_samples(cfg: Config, count: int, *, seed: int = 0) -> list[Seen]:
    """Load the first samples of a training: batches of its loader, behind its preprocessor.

    Args:
        cfg: From ``load_config``, made semi-supervised or not.
        count: Labelled samples, and as many unlabelled ones if the config learns from some.
        seed: Seed of the order and of the augmentation.

    Raises:
        FileNotFoundError: If the data are absent.
        ValueError: If the config has no data preprocessor, or ``count`` is not positive.
    """
    if count < 1:
        raise ValueError(f'--number must be at least 1, got {count}')
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    settings = preprocessor_settings(cfg)
    preprocessor = SemiDataPreProcessor(settings)
    seen: dict[bool, list[Seen]] = {True: [], False: []}
    set_random_seed(seed)
    for batch in _batches(cfg, seed):
        names = [_name(sample) for sample in batch['data_samples']]
        without = [bool(s.metainfo.get(UNLABELLED)) for s in batch['data_samples']]
        data = preprocessor(batch, training=True)
        seen[True] += _labelled(data, _where(names, without, False), settings)
        if any(without):
            seen[False] += _unlabelled(data['unlabelled'], _where(names, without, True), settings)
        if len(seen[True]) >= count:
            break
    return seen[True][:count] + seen[False][:count]


def _batches(cfg: Config, seed: int) -> Iterator[dict]:
    """Load batches in this process: an epoch after the other, at most a thousand batches."""
    loader = {k: v for k, v in cfg.train_dataloader.items() if k != 'prefetch_factor'}
    loader.update(num_workers=0, persistent_workers=False)
    built = Runner.build_dataloader(loader, seed=seed)
    if not len(built.dataset):
        raise ValueError('train_dataloader.dataset holds no image')
    endless = itertools.chain.from_iterable(itertools.repeat(built))
    return itertools.islice(endless, 1000)


def _name(sample: Any) -> str:
    return Path(str(sample.metainfo.get('img_path', '?'))).name


def _where(names: list[str], without: list[bool], wanted: bool) -> list[str]:
    return [name for name, is_without in zip(names, without) if is_without == wanted]


def _labelled(data: dict, names: list[str], settings: dict) -> list[Seen]:
    return [
        Seen(name, picture_of(image, settings), sample.gt_sem_seg.data[0].numpy())
        for name, image, sample in zip(names, data['inputs'], data['data_samples'])
    ]


def _unlabelled(data: Any, names: list[str], settings: dict) -> list[Seen]:
    found = []
    for place, name in enumerate(names):
        weak, *strong = (picture_of(v[place], settings) for v in (data.weak, *data.strong))
        label = np.where(data.ignore[place].numpy(), -1, VALID - 1)
        found.append(Seen(name, weak, label, tuple(strong), labelled=False))
    return found


def picture_of(inputs_CHW: Tensor, settings: dict) -> np.ndarray:
    """Undo the normalisation of an input of the network, for the eye.

    Args:
        inputs_CHW: What the data preprocessor yields for an image.
        settings: Settings of the preprocessor.

    Returns:
        ``(H, W, 3)`` uint8 RGB. Of more than three channels the first three are shown, of fewer the
        first. Values are cut off at black and white.
    """
    values = inputs_CHW.detach().double().cpu().numpy()
    mean, std = (_channels(settings.get(key)) for key in ('mean', 'std'))
    if mean is not None and std is not None:
        values = values * std + mean
    values_HWC = np.moveaxis(values, 0, 2)
    if settings.get('bgr_to_rgb') and len(values) == 3:
        values_HWC = values_HWC[..., ::-1]  # back to BGR, as loaders have it
    return to_display(values_HWC.round().clip(0, 255).astype(np.uint8))


def _channels(values: Optional[Any]) -> Optional[np.ndarray]:
    return None if values is None else np.asarray(values, np.float64).reshape(-1, 1, 1)
