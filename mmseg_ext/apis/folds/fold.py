"""Change a config for one fold of a cross validation: train on some images, test on the rest.

Validation and test both read the fold's held-out images, each through its own pipeline. The lists
of image ids are kept in the fold's work folder.
"""

import argparse
import copy
import os
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.logging import print_log

from ...core.files import PathLike, read_json, write_json
from ...datasets.groups import write_groups
from ...datasets.kfold import check_fold, splitter_name
from ...datasets.splits import write_lists
from ..config.metrics import add_facts, metrics_of
from ..run.folder import RunFolder
from ..run.outcome.check import check_split
from .pool import Pair, Pool, choose_pool, list_dataset, read_pool


@dataclass(frozen=True)
class Split:
    """How the images of a fold were chosen: the entries of ``split.json``.

    Args:
        fold: Index of the fold that is held out.
        num_folds: Number of folds.
        split_seed: Seed of the split.
        pool: Where the images come from, one of ``POOLS``.
        splitter: Name of the method that split the images.
        val_ids: Ids of the held-out images, in the order of the data set.
        val_groups: Group of each held-out image; ``None`` without groups.
        num_train: Number of training images.
    """

    fold: int
    num_folds: int
    split_seed: int
    pool: str
    splitter: str
    val_ids: list[str]
    val_groups: Optional[list[str]] = None
    num_train: Optional[int] = None


def use_fold(
    cfg: Config,
    *,
    fold: int,
    num_folds: int,
    split_seed: int = 0,
    pool: Optional[str] = None,
    stratify: bool = False,
) -> None:
    """Restrict a config to one fold and move its work folder to ``<work_dir>/fold<fold>``.

    Writes three files into that folder. The data sets read ``split_train.txt`` and
    ``split_val.txt``, and ``split_groups.csv`` where the group files of several data sets were
    joined. ``split.json`` says how the images were split, and to which group each held-out image
    belongs. A later test writes the fold, the number of folds and the seed into ``results.json``.

    Example::

        cfg = apis.load_config('configs/mfp/mfp_mobilenetv2_bmseg.py')
        apis.use_fold(cfg, fold=0, num_folds=5)
        apis.train(cfg)

    Args:
        cfg: From ``load_config``; changed in place.
        fold: Which fold to hold out, from 0.
        num_folds: Number of folds.
        split_seed: Seed of the split. It is independent of the seed of the training.
        pool: Where the images come from, one of ``POOLS``; ``None`` takes the config's
            ``fold_pool``, or ``'train'`` without one.
        stratify: Whether every fold gets the same share of images without foreground.

    Raises:
        ValueError: If there is no such fold, the data set does not list its images in
            ``ann_file``, or the folder holds the lists of another split.
    """
    check_fold(fold, num_folds)
    if not cfg.get('test_dataloader'):
        raise ValueError('a fold is tested, and the config lacks test_dataloader: add it')
    pool = choose_pool(cfg, pool)
    found = read_pool(cfg, pool=pool, stratify=stratify)
    print_log(found.note, 'current')
    train, val = found.folds(num_folds, split_seed)[fold]
    order = _check_lists(found, dict(train=train, val=val))['val']
    folder = RunFolder.of(cfg).fold(fold)
    cfg.work_dir = str(folder.path)
    paths = _keep_lists(folder.path, dict(split_train=train, split_val=val))
    if found.group_unit is not None and found.groups is not None:
        place = folder.path / 'split_groups.csv'
        write_groups(place, found.groups, name=found.group_unit)
        found.dataset['group_file'] = str(place.absolute())
    for part, path in zip(('train', 'val', 'test'), (paths[0], paths[1], paths[1])):
        loader = cfg.get(f'{part}_dataloader')
        if loader:
            loader.dataset = _subset(found.dataset, path, loader.dataset)
    facts: dict[str, Any] = dict(
        fold=fold,
        num_folds=num_folds,
        split_seed=split_seed,
        pool=pool,
        splitter=splitter_name(grouped=found.groups is not None, stratified=stratify),
    )
    add_facts(metrics_of(cfg), facts)
    groups = None if found.groups is None else [found.groups[name] for name in order]
    split = Split(**facts, num_train=len(train), val_ids=order, val_groups=groups)
    write_json(folder.split_file, asdict(split))


def _check_lists(pool: Pool, lists: dict[str, list[str]]) -> dict[str, list[str]]:
    """Check that the data set reads exactly the ids of each list; return them in its order."""
    with tempfile.TemporaryDirectory(prefix='mmseg_ext_folds_') as folder:
        paths = write_lists(folder, lists)
        return {name: _listed(pool, path, lists[name]) for name, path in zip(lists, paths)}


def _listed(pool: Pool, ann_file: str, ids: list[str]) -> list[str]:
    built = list_dataset(dict(pool.dataset, ann_file=ann_file))
    infos = map(built.get_data_info, range(len(built)))
    name_of = {_absolute(pool.pairs[name]): name for name in ids}
    pairs = [_absolute((info['img_path'], info.get('seg_map_path'))) for info in infos]
    order = [name_of[pair] for pair in pairs if pair in name_of]
    if not len(order) == len(pairs) == len(ids):
        raise ValueError(
            f'{pool.dataset["type"]} reads {len(pairs)} images when ann_file lists {len(ids)}, '
            f'{len(order)} of them those listed: folds need a data set that takes its images from '
            'ann_file alone, out of one folder of images and one of masks'
        )
    return order


def _absolute(pair: Pair) -> Pair:
    image, mask = pair
    return os.path.abspath(image), mask and os.path.abspath(mask)


def _keep_lists(folder: Path, lists: dict[str, list[str]]) -> list[str]:
    """Write the id lists that are not there yet, and return their paths.

    The paths are absolute, because data sets join relative ones to their ``data_root``.
    """
    for name, ids in lists.items():
        path = folder / f'{name}.txt'
        if path.is_file() and path.read_text().splitlines() != ids:
            raise ValueError(
                f'{path} is the list of another split: the data, --num-folds, --split-seed, --pool '
                f'or --stratify have changed; give another --work-dir, or remove {folder}'
            )
    if not all((folder / f'{name}.txt').is_file() for name in lists):
        write_lists(str(folder), lists)
    return [str((folder / f'{name}.txt').absolute()) for name in lists]


def _subset(dataset: dict, ann_file: str, written: dict) -> dict:
    """Let the pool's data set read one list, with the pipeline of the config's own data set."""
    if 'pipeline' not in written:
        raise ValueError(
            f'a dataset of type {written.get("type")} in the config has no pipeline of its own: '
            'folds need plain data sets'
        )
    subset = copy.deepcopy(dataset)
    subset.pop('test_mode', None)
    kept = {key: written[key] for key in ('pipeline', 'test_mode') if key in written}
    return dict(subset, ann_file=ann_file, **kept)


def read_split(work_dir: PathLike) -> Split:
    """Read the ``split.json`` that :func:`use_fold` wrote into a fold's work folder.

    Raises:
        FileNotFoundError: If the folder has no such file.
        ValueError: If the file is damaged.
    """
    path = RunFolder(work_dir).split_file
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: {work_dir} is no fold of a run')
    split = read_json(path)
    check_split(split, path)
    return Split(**{item.name: split.get(item.name) for item in fields(Split)})


def split_settings(cfg: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Read the arguments of ``add_split_arguments``, and fill in the defaults."""
    return dict(
        num_folds=args.num_folds,
        split_seed=0 if args.split_seed is None else args.split_seed,
        pool=choose_pool(cfg, args.pool),
        stratify=args.stratify,
    )


def use_fold_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the arguments of ``add_fold_arguments``; do nothing if none is given.

    Raises:
        ValueError: As :func:`use_fold`, or if an argument is given that another one requires.
    """
    if args.fold is None and args.num_folds is None:
        values = {'--split-seed': args.split_seed, '--pool': args.pool}
        given = [name for name, value in values.items() if value is not None]
        given += ['--stratify'] if args.stratify else []
        if given:
            raise ValueError(
                f'{", ".join(given)} without --fold would change nothing: add --fold 0 '
                '--num-folds 5, or leave it out'
            )
        return
    if args.fold is None or args.num_folds is None:
        raise ValueError('--fold and --num-folds belong together: --fold 0 --num-folds 5')
    use_fold(cfg, fold=args.fold, **split_settings(cfg, args))
