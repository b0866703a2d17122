"""What the masks of each split hold: pixels and images of each class, and the sizes of objects.

Shape letters: N mask, K class.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS

from ....core.labels import background_of, evenly
from ....evaluation.objects import object_areas
from ...config.pipelines import reads_labels

MASKS = 1000  # most masks that are counted
_OBJECTS = 100  # most masks whose objects are measured


class SplitMasks(NamedTuple):
    """The masks of a split.

    Args:
        classes: Names of the classes.
        palette: Color of each class.
        images: File of each counted image.
        pixels: Pixels of each class and, last, those of none, ``(N, K + 1)``.
        areas: Area in pixels of the objects: connected regions of a class, the background aside.
        number: Images of the split, of which N are counted.
    """

    classes: list[str]
    palette: list
    images: list[str]
    pixels: np.ndarray
    areas: np.ndarray
    number: int

    @property
    def with_class(self) -> np.ndarray:
        """Number of masks with each class, ``(K + 1,)``."""
        return (self.pixels > 0).sum(0)


def parts_of(settings: dict) -> list[dict]:
    """Return the data sets with masks of which a loader's data set is made.

    Raises:
        ValueError: If there are none.
    """
    found = [part for part in _parts(settings) if any(map(_reads, part.get('pipeline') or ()))]
    if not found:
        raise ValueError('no step of the pipeline loads labels')
    return found


def _parts(settings: dict) -> list[dict]:
    inner = settings.get('datasets') or [settings.get('dataset')]
    if inner == [None]:
        return [settings]
    return [part for one in inner for part in _parts(one)]


def _reads(step: dict) -> bool:
    return step['type'] != 'LoadUnlabelled' and reads_labels(step)


def count_masks(cfg: Config, split: str, *, limit: int = MASKS) -> SplitMasks:
    """Count the masks of a split, or as many evenly spaced ones as the limit allows.

    Args:
        cfg: From ``load_config``.
        split: ``'train'``, ``'val'`` or ``'test'``.
        limit: Largest number of masks.

    Raises:
        FileNotFoundError: If the data are absent.
        ValueError: If the split is empty, or its pipeline loads no labels.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    built = [_built(part) for part in parts_of(cfg[f'{split}_dataloader'].dataset)]
    places = [(one, place) for one in built for place in range(len(one[0]))]
    if not places:
        raise ValueError(f'{split}_dataloader.dataset holds no image')
    meta = built[0][0].metainfo
    names, chosen = list(meta['classes']), evenly(places, limit)
    measured = set(evenly(range(len(chosen)), _OBJECTS))
    clear = background_of(names)
    things = [index for index in range(len(names)) if index != clear]
    rows, images, areas = [], [], [np.zeros(0, np.int64)]
    for number, (one, place) in enumerate(chosen):
        image, label = load_label(*one, place)
        images.append(image)
        rows.append(_pixels(label, len(names)))
        if number in measured:
            areas.append(object_areas(label, things))
    found = np.stack(rows)
    return SplitMasks(
        names, list(meta['palette'] or ()), images, found, np.concatenate(areas), len(places)
    )


def _built(settings: dict) -> tuple[Any, Any]:
    load = next(step for step in settings['pipeline'] if _reads(step))
    return DATASETS.build(settings), TRANSFORMS.build(load)


def load_label(dataset: Any, load: Any, place: int) -> tuple[str, np.ndarray]:
    """Return the file of an image and its label map."""
    info = dataset.get_data_info(place)
    label = np.asarray(load(dict(info, seg_fields=[]))['gt_seg_map'])
    return str(info['img_path']), label.astype(np.int64)


def _pixels(label: np.ndarray, num_classes: int) -> np.ndarray:
    known = label[(label >= 0) & (label < num_classes)]
    counts = np.bincount(known.ravel(), minlength=num_classes + 1)
    counts[-1] = label.size - known.size
    return counts


def rarest_class(masks: SplitMasks) -> int:
    """Return the class with the fewest pixels that has any.

    Raises:
        ValueError: If no mask has a labelled pixel.
    """
    totals = masks.pixels[:, :-1].sum(0)
    if not totals.any():
        raise ValueError('no training mask has a labelled pixel')
    return int(np.where(totals > 0, totals, totals.max() + 1).argmin())


def images_with(masks: SplitMasks, label: int, count: int) -> list[str]:
    """Return the images with most pixels of a class, those with most first."""
    pixels = masks.pixels[:, label]
    order: Sequence[int] = np.argsort(-pixels, kind='stable')[:count].tolist()
    return [masks.images[index] for index in order if pixels[index]]


def labels_of(cfg: Config, images: Sequence[str]) -> dict[str, np.ndarray]:
    """Load the label maps of training images."""
    wanted, found = set(images), {}
    for one in map(_built, parts_of(cfg.train_dataloader.dataset)):
        for place in range(len(one[0])):
            if str(one[0].get_data_info(place)['img_path']) in wanted:
                image, label = load_label(*one, place)
                found[image] = label
    return {image: found[image] for image in images if Path(image).is_file()}
