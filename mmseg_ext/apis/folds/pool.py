"""The pool of images that folds are cut from: the images of a config, by id, mask and group.

By default the pool is the config's training data. ``'train+val'`` adds its validation data, and
``'train+val+test'`` its test data as well. If the protocol of a config pools more than the
training data, the config sets ``fold_pool = 'train+val'``, for example.
"""

import copy
import os
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS

from ...core.choices import FOLD_POOLS as POOLS
from ...core.files import path_below, stem_below
from ...core.labels import background_of
from ...core.words import check_choice
from ...datasets.kfold import Folds, split_folds
from ..config.pipelines import label_loader

# Settings that say which files belong to a split, and how they are prepared.
_OF_THE_SPLIT = ('ann_file', 'data_prefix', 'group_file', 'pipeline', 'indices', 'test_mode')

Pair = tuple[str, Optional[str]]


@dataclass(frozen=True)
class Pool:
    """The images that folds are cut from.

    Args:
        dataset: Config of a data set that reads the images; it has no ``ann_file`` and no
            ``pipeline`` yet.
        pairs: Image path and mask path of each id. An id is the image's path below the image
            folder, without the suffix, as an ``ann_file`` lists it.
        groups: Group of each id, such as the patient; ``None`` if the data set has no groups.
        labels: Whether the mask of each id has any foreground; ``None`` unless the folds are
            stratified.
        note: One line that counts the images by data set, and the images that are left out.
        group_unit: What the group file calls a group, such as ``'patient'``, if the files of
            several data sets were joined, so that ``dataset`` names none.
    """

    dataset: dict
    pairs: dict[str, Pair]
    groups: Optional[dict[str, str]] = None
    labels: Optional[dict[str, bool]] = None
    note: str = ''
    group_unit: Optional[str] = None

    def folds(self, num_folds: int, split_seed: int) -> Folds:
        """Cut the pool into folds; see :func:`mmseg_ext.datasets.kfold.split_folds`."""
        ids = list(self.pairs)
        return split_folds(
            ids,
            num_folds=num_folds,
            split_seed=split_seed,
            groups=None if self.groups is None else [self.groups[name] for name in ids],
            labels=None if self.labels is None else [self.labels[name] for name in ids],
        )


def choose_pool(cfg: Config, pool: Optional[str] = None) -> str:
    """Return the given pool, else the config's ``fold_pool``, else ``'train'``.

    Raises:
        ValueError: If the pool is not one of ``POOLS``.
    """
    chosen = cfg.get('fold_pool', 'train') if pool is None else pool
    check_choice('fold_pool of the config' if pool is None else 'the pool', chosen, POOLS)
    return chosen


def read_pool(cfg: Config, *, pool: Optional[str] = None, stratify: bool = False) -> Pool:
    """List the images that folds are cut from.

    Args:
        cfg: A complete config; not changed.
        pool: Which of the config's data sets to pool, as for :func:`choose_pool`. The data sets
            must have the same settings, but their images may lie in different folders.
        stratify: Read every mask to find out which images have foreground.

    Raises:
        ValueError: If the data sets cannot be pooled, or only some samples name their group.
    """
    pool = choose_pool(cfg, pool)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    configs = [_plain_dataset(cfg, part) for part in pool.split('+')]
    built = [list_dataset(config) for config in configs]
    merged = _merge_datasets(configs, built, pool)
    prefix = DATASETS.build(dict(merged, ann_file='', lazy_init=True)).data_prefix['img_path']
    pairs, groups = {}, {}
    for dataset in built:
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            name = stem_below(info['img_path'], prefix, dataset.img_suffix)
            pairs[name] = (info['img_path'], info.get('seg_map_path'))
            if info.get('group') is not None:
                groups[name] = str(info['group'])
    if groups and len(groups) < len(pairs):
        alone = next(name for name in pairs if name not in groups)
        raise ValueError(
            f'{len(pairs) - len(groups)} of {len(pairs)} images have no group, such as {alone!r}: '
            'name the group of every image, or of none'
        )
    labels = _foreground(cfg, built) if stratify else None
    if labels is not None:  # they come by path, because _foreground does not know the ids
        labels = {name: labels[pair[0]] for name, pair in pairs.items()}
    lost = groups and merged.get('group_file') == ''
    unit = str(built[0].metainfo.get('group_unit') or 'group') if lost else None
    return Pool(merged, pairs, groups or None, labels, _note(cfg, pool, built), unit)


def _note(cfg: Config, pool: str, built: list[Any]) -> str:
    """Count the images of the pool, and the labelled images that are not in it.

    An image that several data sets list is counted once, for the first of them.
    """
    seen: set[str] = set()
    pooled = {part: _count_new(data, seen) for part, data in zip(pool.split('+'), built)}
    left_out, unknown = {}, []
    for part in POOLS[-1].split('+'):
        if part in pooled or not cfg.get(f'{part}_dataloader'):
            continue
        try:  # the folds do not need these data, so an error in them must not stop the run
            left_out[part] = _count_new(
                list_dataset(_plain_dataset(cfg, part)), seen, labelled=True
            )
        except (KeyError, OSError, ValueError):
            unknown.append(part)
    rest = sum(left_out.values())
    parts = f' ({_counts(left_out)}), see --pool' if rest else ''
    unread = ''.join(f'; {part}_dataloader could not be listed' for part in unknown)
    return (
        f'pool {pool}: {sum(pooled.values())} images ({_counts(pooled)}); '
        f'{rest or "no"} labelled images of the config left out{parts}{unread}'
    )


def _count_new(dataset: Any, seen: set[str], *, labelled: bool = False) -> int:
    before = len(seen)
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if not labelled or os.path.isfile(info.get('seg_map_path') or ''):
            seen.add(os.path.abspath(info['img_path']))
    return len(seen) - before


def _counts(numbers: dict[str, int]) -> str:
    return ', '.join(f'{part} {number}' for part, number in numbers.items() if number)


def list_dataset(config: dict) -> Any:
    """Build a data set without a pipeline, to list its samples only."""
    return DATASETS.build(dict(config, pipeline=[], serialize_data=False))


def _plain_dataset(cfg: Config, part: str) -> dict:
    loader = cfg.get(f'{part}_dataloader')
    if not loader:
        raise ValueError(f'cross validation needs {part}_dataloader, which the config lacks')
    dataset = copy.deepcopy(dict(loader['dataset']))
    if 'dataset' in dataset or 'datasets' in dataset:
        raise ValueError(
            f'{part}_dataloader.dataset is a {dataset["type"]}, which wraps other data sets, and '
            'folds need one that lists its images in ann_file: name that data set itself'
        )
    return dataset


def _merge_datasets(configs: list[dict], built: list[Any], pool: str) -> dict:
    """Merge data set configs into one that reads all images from their common parent folders."""
    merged = {k: v for k, v in configs[0].items() if k not in ('ann_file', 'pipeline', 'indices')}
    for other in configs[1:]:
        keys = (set(other) | set(merged)) - set(_OF_THE_SPLIT)
        different = sorted(key for key in keys if other.get(key) != merged.get(key))
        if different:
            raise ValueError(
                f'the data sets of {pool} cannot be pooled, as they differ in '
                f'{", ".join(different)}: pool train alone, or give them the same settings'
            )
    if len(configs) > 1:
        root = merged.get('data_root') or ''
        tops = {
            key: os.path.commonpath([d.data_prefix[key] for d in built])
            for key in built[0].data_prefix
        }
        merged['data_prefix'] = {key: _below(top, root) for key, top in tops.items()}
        folders = _mask_folders(built, tops)
        if folders and merged['type'] == 'FolderDataset':
            merged['mask_folders'] = folders
        if getattr(built[0], 'group_file', ''):  # its names may be relative to another folder
            merged['group_file'] = ''
    return merged


def _mask_folders(built: list[Any], tops: dict[str, str]) -> dict[str, str]:
    """Map each image folder to its mask folder, both relative to the common parent folders.

    The mapping is empty if image and mask folders have the same names. They differ, for example,
    for ``train/images`` with ``train/masks`` and ``val/images`` with ``val/masks``.
    """
    if 'seg_map_path' not in tops:
        return {}
    images, masks = (
        [path_below(dataset.data_prefix[key], tops[key]) for dataset in built]
        for key in ('img_path', 'seg_map_path')
    )
    return {} if images == masks else dict(zip(images, masks))


def _below(path: str, root: str) -> str:
    """Make a folder relative to the data set's root, to which the data set joins it again."""
    inside = root and not os.path.relpath(path, root).startswith(os.pardir)
    return os.path.relpath(path, root) if inside else path


def _foreground(cfg: Config, datasets: list[Any]) -> dict[str, bool]:
    """Read all masks, and say for each image path whether the mask has any foreground."""
    background = background_of(datasets[0].metainfo['classes'])
    if background is None:
        raise ValueError(
            'stratifying spreads the images without foreground over the folds, and none of the '
            'classes is called background: leave --stratify out'
        )
    load = TRANSFORMS.build(label_loader(cfg.train_dataloader.dataset.pipeline))
    found = {}
    for dataset in datasets:
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            label = np.asarray(load(info)['gt_seg_map'])
            found[info['img_path']] = bool(
                ((label != background) & (label != dataset.ignore_index)).any()
            )
    return found
